# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are known and alive, and what of their vms is known before they report it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from maglica.client_worker import transactions
from maglica.client_worker.known.reservations import SETTLE_SECONDS
from maglica.model.errors import JournalFailed
from maglica.model.request import new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from support.reports import image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell


def test_a_host_is_down_after_its_timeout(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cell.hello()
    cell.now += 15.0
    cell.engine.tick()
    assert cell.context.hosts.alive("kvm0")
    cell.now += 0.3
    cell.engine.tick()
    assert not cell.context.hosts.alive("kvm0")
    assert "host kvm0 is down: silent for 15 s" in caplog.text
    cell.hello()
    assert cell.context.hosts.alive("kvm0")
    assert caplog.text.count("host kvm0 is alive") == 2


def test_hosts_that_were_alive_get_one_timeout_after_a_restart(cell: Cell) -> None:
    cell.hello("old")
    cell.now += 100.0
    cell.engine.tick()
    cell.hello("new")
    cell.now += transactions.KEEP_SECONDS
    cell.engine.tick()
    cell.reopen()
    hosts = cell.context.hosts
    assert (hosts.alive("new"), hosts.alive("old")) == (True, False)
    cell.now += 15.5
    cell.engine.tick()
    assert not hosts.alive("new")


def test_hosts_without_key_and_configuration_are_forgotten(cell: Cell) -> None:
    for name in ("kvm0", "kvm1"):
        cell.hello(name, report(image(), image(name=f"vm-{name}", uuid=new_request_id())))
    request = cell.clone("vm0", host="kvm1")
    cell.engine.tick()
    cell.engine.admit(frozenset({"kvm2"}))
    cell.engine.tick()
    assert cell.context.hosts.names() == ["kvm1", "kvm2"]
    assert not cell.context.hosts.alive("kvm1")
    cell.result(request, state="cancelled")
    cell.now += transactions.PRUNE_SECONDS
    cell.engine.tick()
    assert cell.context.hosts.names() == ["kvm2"]
    assert cell.journal.hosts() == []
    # What is known of the request stays.
    spec = {"kind": "clone", "spec": request.spec}
    (place,) = cell.ask("submit", requests=[{"id": request.id, **spec}], dry_run=True)[1][
        "placements"
    ]
    assert place.host == "kvm1"


def test_a_removed_vm_is_gone_at_once(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    cell.result(request, state="done", vm=vm(request))
    said = report(image(), made(request))
    cell.hello("kvm0", said)
    spec = RemoveSpec("vm0", vm_uuid(request.id), "kvm0")
    remove = cell.ask("submit", id=new_request_id(), kind="remove", spec=spec)[1]["request"]
    cell.result(remove, state="done")
    # A report that is older than the result does not bring it back.
    cell.hello("kvm0", said)
    assert cell.plan("vm0")[0] == "placements"
    cell.now += SETTLE_SECONDS + 1
    cell.engine.tick()
    cell.hello("kvm0", said)
    assert cell.plan("vm0")[1]["code"] == "name_taken"


def test_a_vm_that_is_removed_before_it_was_reported_leaves_its_name(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    cell.result(request, state="done", vm=vm(request))
    spec = RemoveSpec("vm0", vm_uuid(request.id), "kvm0")
    remove = cell.ask("submit", id=new_request_id(), kind="remove", spec=spec)[1]["request"]
    cell.result(remove, state="done")
    assert cell.reserved() == (0, 0.0, set())
    assert cell.clone("vm0").id != request.id


def test_a_vm_s_name_is_held_by_its_own_request(cell: Cell) -> None:
    """Another host may say of one of that name that it has it under way, and drop it again."""
    for host in ("kvm0", "kvm1"):
        cell.hello(host)
    hosts, own = cell.context.hosts, cell.clone("vm0", host="kvm0")
    cell.result(own, state="done", vm=vm(own))
    other = replace(own, id=new_request_id(), host="kvm1")
    hosts.reserve(other)
    assert hosts.owner("vm0") == "kvm0"
    hosts.unreserve(other)
    assert hosts.owner("vm0") == "kvm0"
    cell.hello("kvm0", report(image(), made(own)))
    assert hosts.owner("vm0") == "kvm0"
    cell.hello("kvm0", report(image()))
    assert hosts.owner("vm0") is None


def test_who_has_keys_is_taken_in_while_the_journal_can_not_be_read(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_asked: object) -> None:
        raise JournalFailed("cannot read the journal: disk I/O error")

    monkeypatch.setattr(cell.journal._db, "read", broken)
    cell.engine.admit(frozenset({"kvm7"}))
    assert cell.context.hosts.names() == ["kvm7"]
    # A new journal waits for what it has, too.
    assert "kvm7" in cell.context.hosts.expected


def test_a_journal_that_could_not_note_that_it_has_learnt_goes_on_learning(cell: Cell) -> None:
    assert cell.journal.is_learning()
    cell.journal.begin()
    cell.journal.learnt()
    cell.journal.rollback()
    assert cell.journal.is_learning()
    cell.journal.begin()
    cell.journal.learnt()
    cell.journal.commit()
    assert not cell.journal.is_learning()
    cell.reopen()
    assert not cell.journal.is_learning()


@pytest.mark.parametrize("weight", [1.0, 1e-6])
def test_a_host_that_tells_of_absurd_memory_fails_no_plan(cell: Cell, weight: float) -> None:
    """Beyond a bound a load could not be told: an answer with it would be none for anybody."""
    cell.context.hosts._weights = {"kvm0": weight}
    memory = {"made": True, "disk_bytes": 0, "memory_mib": 1 << 50}
    many = [image(name=f"vm{each}", uuid=new_request_id(), **memory) for each in range(9)]
    cell.hello("kvm0", replace(report(image(), *many), memory_total_mib=0))
    kind, body = cell.plan("vm-new")
    assert (kind, [each.host for each in body["placements"]]) == ("placements", ["kvm0"])
