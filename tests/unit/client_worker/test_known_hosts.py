# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are known and alive, and what of their vms is known before they report it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from maglica.client_worker import transactions
from maglica.client_worker.known.reservations import SETTLE_SECONDS
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
