# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts are shown to have, as soon as a result says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.known.news import SETTLE_SECONDS, left_by
from maglica.model.moment import Moment
from maglica.model.request import DomainSummary, Request, new_request_id
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs import table
from maglica.wire.records import MAX_DOMAINS
from support.reports import image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell

UUID = vm_uuid("vm1")
THERE = DomainSummary("vm1", UUID, True, True, True, 1, 512)


def left(state: str, host: str = "kvm0", uuid: str = UUID, **facts: Any) -> Domain:
    """The vm as a request has left it."""
    active = state not in ("stopped", "absent")
    return Domain("vm1", uuid, host, state, active, **facts)


def shown(cell: Cell, host: str = "kvm0") -> dict[str, DomainSummary]:
    """What a client is shown of a host's domains, but for the image."""
    hosts = {each.host: each.report for each in cell.ask("hosts")[1]["hosts"]}
    return {each.name: each for each in hosts[host].domains if each.name != image().name}


def done(cell: Cell, verb: str, told: Domain | None, ended: float = 0.0, **spec: Any) -> None:
    """Let a request about the vm be handed in and be done."""
    asked = table.named(verb).spec("vm1", UUID, "kvm0", **spec)
    request = cell.ask("submit", id=new_request_id(), kind=verb, spec=asked)[1]["request"]
    result(cell, request, told, ended)


def result(cell: Cell, request: Request, told: Domain | None, ended: float = 0.0) -> None:
    body = {"host": request.host, "id": request.id, "state": "done", "vm": told}
    assert cell.ask("result", **body, ended=Moment(ended)) == ("ok", {})


@pytest.fixture
def running(cell: Cell) -> Cell:
    """A host with a vm that runs."""
    cell.hello(said=report(image(), THERE, taken=Moment(10)))
    assert shown(cell) == {"vm1": THERE}
    return cell


def test_a_clone_is_a_vm_of_its_host_as_soon_as_it_is_done(cell: Cell) -> None:
    cell.hello(said=report(taken=Moment(10)))
    request = cell.clone("vm0")
    assert shown(cell) == {}
    result(cell, request, replace(vm(request), vcpus=2, memory_mib=768), ended=11)
    expected = made(request, vcpus=2, memory_mib=768, disk_bytes=0)
    assert shown(cell) == {"vm0": expected}
    # Nor does a report that is older than the result hide it.
    cell.hello(said=report(taken=Moment(10.9)))
    assert shown(cell) == {"vm0": expected}
    # One that is newer is right whatever it says: somebody has removed it.
    cell.hello(said=report(taken=Moment(11.1)))
    assert shown(cell) == {}


STATES = [
    ("stop", {"state": "stopped"}, {"active": False}),
    ("start", {"state": "running"}, {"active": True}),
    ("start", {"state": "paused"}, {"active": True}),
    ("tag", {"state": "running", "tags": ("web",)}, {}),
    ("resize", {"state": "stopped", "memory_mib": 64}, {"active": False, "memory_mib": 64}),
    (
        # A guest that runs has what it was started with.
        "resize",
        {"state": "running", "memory_mib": 64, "vcpus": 9, "restart_needed": True},
        {},
    ),
    ("flatten", {"state": "running"}, {}),
]


@pytest.mark.parametrize(("verb", "told", "changed"), STATES)
def test_what_was_done_to_a_vm_is_shown_at_once(
    running: Cell, verb: str, told: dict[str, Any], changed: dict[str, Any]
) -> None:
    facts = {"vcpus": 1, "memory_mib": 512, **told}
    done(running, verb, left(**facts), ended=11)
    assert shown(running) == {"vm1": replace(THERE, **changed)}


def test_of_two_results_before_a_report_the_second_goes_on_from_the_first(cell: Cell) -> None:
    cell.hello(said=report(taken=Moment(10)))
    hosts = cell.context.hosts
    hosts.left(left("running", vcpus=2, memory_mib=512), 11.0, cell.now)
    resized = left("running", vcpus=3, memory_mib=64, restart_needed=True)
    hosts.left(resized, 12.0, cell.now)
    (told,) = cell.ask("domains")[1]["domains"]
    assert (told.vcpus, told.memory_mib) == (2, 512)
    assert (told.next_vcpus, told.next_memory_mib) == (3, 64)


def test_an_image_that_a_result_shows_is_none_of_the_vms() -> None:
    told = Domain("debian-13", UUID, "kvm0", "stopped", False, made=True, is_image=True)
    summary = left_by(told, None)
    assert (summary.made, summary.is_image) == (False, True)
    assert not left_by(replace(told, is_image=False), None).is_image


def test_a_vm_that_was_removed_is_shown_no_more(running: Cell) -> None:
    done(running, "remove", left("absent"), ended=11)
    assert shown(running) == {}
    running.hello(said=report(image(), THERE, taken=Moment(10.5)))
    assert shown(running) == {}
    assert running.plan("vm1")[0] == "placements"


def test_a_vm_that_is_on_its_peer_now_is_shown_there(running: Cell) -> None:
    running.hello("kvm1")
    asked = table.named("stop").spec("vm1", UUID, "kvm0")
    entry = {"id": new_request_id(), "kind": "stop", "spec": asked, "peer": "kvm1"}
    request = running.ask("submit", requests=[entry])[1]["requests"][0]
    result(running, request, left("running", host="kvm1", memory_mib=512), ended=11)
    assert (list(shown(running)), list(shown(running, "kvm1"))) == ([], ["vm1"])


def test_a_report_that_was_made_after_the_result_had_ended_counts(running: Cell) -> None:
    """It came first, and the vm was started by others since."""
    asked = table.named("stop").spec("vm1", UUID, "kvm0")
    request = running.ask("submit", id=new_request_id(), kind="stop", spec=asked)[1]["request"]
    running.hello(said=report(image(), THERE, taken=Moment(12)))
    result(running, request, left("stopped"), ended=11)
    assert shown(running) == {"vm1": THERE}


def test_without_times_a_result_counts_until_a_report_agrees_or_a_minute_is_over(
    cell: Cell,
) -> None:
    cell.hello(said=report(image(), THERE))
    stopped = left("stopped", vcpus=1, memory_mib=512)
    done(cell, "stop", stopped)
    cell.hello(said=report(image(), THERE))
    assert not shown(cell)["vm1"].active
    cell.hello(said=report(image(), replace(THERE, active=False)))
    cell.hello(said=report(image(), THERE))
    assert shown(cell)["vm1"].active
    done(cell, "stop", stopped)
    cell.now += SETTLE_SECONDS + 1
    cell.hello(said=report(image(), THERE))
    assert shown(cell)["vm1"].active


def test_a_restart_of_the_client_worker_forgets_no_result(running: Cell) -> None:
    running.now = 2000.0
    done(running, "stop", left("stopped"), ended=11)
    running.engine.stop()
    running.reopen()
    assert not shown(running)["vm1"].active


def test_a_host_that_nobody_knows_any_more_has_no_news(cell: Cell) -> None:
    cell.context.hosts.left(left("running", host="gone"), 1.0, cell.now)
    assert cell.context.hosts.names() == []


def test_news_make_no_report_longer_than_a_message_may_have_it(cell: Cell) -> None:
    others = [
        DomainSummary(f"vm{n:04}", vm_uuid(f"other{n}"), True, False, False, 1, 1)
        for n in range(MAX_DOMAINS - 1)
    ]
    cell.hello(said=report(image(), *others, taken=Moment(10)))
    # A vm that the report had no room for.
    done(cell, "stop", left("stopped"), ended=11)
    said = cell.ask("hosts")[1]["hosts"][0].report.domains
    assert len(said) == MAX_DOMAINS
    assert {image().name, "vm1"} < {each.name for each in said}


@pytest.mark.parametrize("host", ["kvm0", "kvm1"])
def test_a_result_says_nothing_of_another_vm(running: Cell, host: str) -> None:
    other = DomainSummary("vm1", vm_uuid("other"), True, False, False, 1, 512)
    running.hello("kvm1", said=report(image(), other))
    spec = table.named("stop").spec("vm1", UUID, "kvm0")
    request = running.ask("submit", id=new_request_id(), kind="stop", spec=spec, peer="kvm1")[1]
    body = {"host": "kvm0", "id": request["request"].id, "state": "done"}
    told = left("stopped", host=host, uuid=other.uuid)
    refused = running.ask("result", **body, vm=told)[1]
    assert refused["text"] == "result.vm: not the vm that this request is about"
    assert shown(running, "kvm1") == {"vm1": other}


def test_a_result_that_does_not_say_when_it_ended_counts_at_once(running: Cell) -> None:
    done(running, "stop", left("stopped", memory_mib=512))
    off = replace(THERE, active=False)
    assert shown(running) == {"vm1": off}
    # A report may still be older, unless it says the same.
    running.hello(said=report(image(), THERE, taken=Moment(11)))
    assert shown(running) == {"vm1": off}
    running.hello(said=report(image(), off, taken=Moment(12)))
    running.hello(said=report(image(), THERE, taken=Moment(13)))
    assert shown(running) == {"vm1": THERE}
