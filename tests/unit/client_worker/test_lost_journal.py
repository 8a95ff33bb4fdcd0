# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new journal while hosts have requests of the lost one under way: nothing is made twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.known.expected import GIVE_UP_SECONDS
from maglica.model.request import HostReport, Request, State, new_request_id
from maglica.wire import features
from support.reports import clone, image, made, report

if TYPE_CHECKING:
    from .conftest import Cell

BOTH = frozenset({"kvm0", "kvm1"})


def roomy() -> HostReport:
    """The report of a host that the placement prefers to the other."""
    return report(image(), memory_total_mib=1 << 20, memory_free_mib=1 << 20)


@pytest.fixture
def lost(cell: Cell) -> Request:
    """A clone that runs on kvm0, unknown to the journal; kvm1 has more room."""
    cell.hello("kvm0")
    request = cell.clone("vm0")
    cell.hello("kvm0", None, **{request.id: "running"})
    cell.journal.close()
    for path in cell.path.parent.glob(f"{cell.path.name}*"):
        path.unlink()
    cell.configured = BOTH
    cell.open()
    return request


def refusal(cell: Cell, request_id: str | None = None) -> str:
    body = cell.ask("submit", **clone("vm0", request_id))[1]
    return f"{body['code']}: {body['text']}"


def test_clones_wait_for_the_hosts_that_may_have_them(cell: Cell, lost: Request) -> None:
    cell.hello("kvm1", roomy())
    assert refusal(cell, lost.id) == (
        "not_ready: cannot clone vm0 from debian12.original: the client worker has a new journal"
        " and does not place clones before it has heard what there is on kvm0, for 10 minutes at"
        " most; try again in a few seconds; a host that is gone for good has to be taken out of the"
        " access file"
    )
    assert cell.plan("vm0")[1]["code"] == "not_ready"
    # Nor does a restart meanwhile end the time.
    cell.reopen()
    cell.hello("kvm1", roomy())
    assert "there is on kvm0," in refusal(cell, lost.id)
    cell.hello("kvm0", None, **{lost.id: "running"})
    again = cell.clone("vm0", request_id=lost.id)
    assert (again.id, again.host) == (lost.id, "kvm0")
    assert cell.hello("kvm0", None, **{lost.id: "running"})["cancel"] == ()
    assert cell.context.strays == {}


def test_the_vm_itself_does_not_take_its_name(cell: Cell, lost: Request) -> None:
    cell.hello("kvm1", roomy())
    cell.hello("kvm0", report(image(), made(lost)), **{lost.id: "running"})
    assert "name_taken" in refusal(cell)
    assert cell.clone("vm0", request_id=lost.id).host == "kvm0"


def test_a_host_that_comes_too_late_drops_what_is_made_elsewhere(cell: Cell, lost: Request) -> None:
    cell.hello("kvm1", roomy())
    cell.now += 15.0
    cell.hello("kvm1", roomy())
    assert cell.clone("vm0", request_id=lost.id).host == "kvm1"
    assert cell.hello("kvm0", None, **{lost.id: "running"})["cancel"] == (lost.id,)
    assert cell.hello("kvm1", None, **{lost.id: "running"})["cancel"] == ()


def test_what_one_host_has_under_way_ends_no_waiting_for_others(cell: Cell, lost: Request) -> None:
    cell.hello("kvm0", None, **{lost.id: "running"})
    assert cell.clone("vm0", request_id=lost.id).host == "kvm0"
    body = cell.ask("submit", **clone("vm1"))[1]
    assert body["code"] == "not_ready" and "there is on kvm1," in body["text"]
    cell.hello("kvm1", roomy())
    assert cell.clone("vm1").host == "kvm1"


def test_a_host_that_never_tells_all_holds_up_no_clone_for_ever(
    cell: Cell, lost: Request, caplog: pytest.LogCaptureFixture
) -> None:
    def problems() -> Any:
        ((_peer, answer),) = cell.send("hosts", features=list(features.OWN)).replies
        return answer.body["client_worker"]["problems"]

    def hello(host: str, **more: Any) -> None:
        held = [{"id": lost.id, "state": "running"}] if host == "kvm0" else []
        cell.ask("hello", host=host, report=roomy(), requests=held, features=features.OWN, **more)

    for host in BOTH:
        hello(host)
    hello("kvm1", journal=cell.journal.id)
    cell.engine.tick()
    cell.now += GIVE_UP_SECONDS - 1.0
    for host in BOTH:
        hello(host)
    cell.engine.tick()
    assert cell.ask("submit", **clone("vm1"))[1]["code"] == "not_ready"
    assert problems() == []
    cell.now += 1.0
    cell.engine.tick()
    assert cell.clone("vm1").state is State.QUEUED
    (problem,) = problems()
    assert problem.startswith("host kvm0 has not told in 10 minutes what it knows")
    assert [each.message for each in caplog.records if each.message == problem] == [problem]
    # Until it has.
    cell.clone("vm0", request_id=lost.id)
    hello("kvm0", journal=cell.journal.id)
    assert problems() == []


def test_a_host_that_registers_later_has_its_time_too(cell: Cell, lost: Request) -> None:
    cell.hello("kvm0", None, **{lost.id: "running"})
    cell.hello("kvm1", roomy())
    cell.now += GIVE_UP_SECONDS
    cell.engine.admit(BOTH | {"kvm2"})
    cell.hello("kvm1", roomy())
    assert "there is on kvm2," in cell.ask("submit", **clone("vm1"))[1]["text"]
    cell.now += GIVE_UP_SECONDS
    cell.hello("kvm1", roomy())
    assert cell.clone("vm1").host == "kvm1"
    # A host that has lost its key is nobody's problem.
    assert len(cell.context.hosts.expected.complaints()) == 1
    cell.engine.admit(BOTH)
    assert cell.context.hosts.expected.complaints() == []


def test_hosts_that_come_late_have_their_time_from_then_on(cell: Cell, lost: Request) -> None:
    cell.now += 2 * GIVE_UP_SECONDS
    cell.engine.tick()
    cell.hello("kvm0", None, **{lost.id: "running"})
    assert "there is on kvm1," in cell.ask("submit", **clone("vm1"))[1]["text"]


def test_what_a_host_has_no_more_is_placed_anywhere(cell: Cell, lost: Request) -> None:
    cell.hello("kvm0", None, **{lost.id: "running"})
    cell.hello("kvm1", roomy())
    cell.hello("kvm0")
    assert cell.clone("vm0", request_id=lost.id).host == "kvm1"


def test_what_a_host_without_a_key_has_is_placed_anywhere(cell: Cell, lost: Request) -> None:
    cell.configured = frozenset()
    cell.reopen()
    cell.hello("kvm0", None, **{lost.id: "running"})
    cell.engine.admit(frozenset({"kvm1"}))
    cell.engine.tick()
    cell.now += 15.0
    cell.hello("kvm1", roomy())
    assert cell.clone("vm0", request_id=lost.id).host == "kvm1"


def test_a_journal_that_has_known_requests_waits_for_no_host(cell: Cell) -> None:
    cell.hello("kvm0")
    request = cell.clone("vm0")
    cell.ask("result", host="kvm0", id=request.id, state="cancelled")
    cell.now += 1e6
    cell.engine.tick()
    assert cell.ask("list")[1]["requests"] == ()
    cell.configured = BOTH
    cell.reopen()
    cell.hello("kvm0")
    assert cell.clone("vm1", request_id=new_request_id()).host == "kvm0"
