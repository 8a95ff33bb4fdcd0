# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of vms, their protection, and pauses; all processes and sockets are real."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
import pytest
from maglica.domain import definition
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE
from support.reports import IMAGE

NAME = "vm0.example.jp"
UUID = vm_uuid("r")


@pytest.fixture
def domain(cell: Cell) -> Iterator[libvirt.virDomain]:
    """A domain that Maglica made, shut off."""
    made = cell.libvirtd.define(NAME, UUID, MADE)
    yield made
    for each in cell.libvirtd.connection.listAllDomains():
        if each.UUIDString() == UUID:
            if each.isActive():
                each.destroy()
            each.undefine()


def act(cell: Cell, kind: str, **fields: object) -> Request:
    spec = table.named(kind).spec(name=NAME, uuid=UUID, host=HOST, **fields)
    return cell.client.request("submit", id=new_request_id(), kind=kind, spec=spec)


@pytest.mark.parametrize("runs", [True, False])
def test_what_is_noted_of_a_vm_is_changed_in_place(
    cell: Cell, domain: libvirt.virDomain, runs: bool
) -> None:
    cell.start()
    if runs:
        domain.create()
    noted = {"autostart": True, "description": "web & <db>", "protected": True}
    nothing = {"autostart": False, "description": "", "protected": False}
    for fields in (noted, noted, nothing):
        request = cell.ended(act(cell, "set", **fields))
        assert request.state is State.DONE, request.failure
        shown = {**fields, "description": fields["description"] or None}
        assert {name: getattr(request.vm, name) for name in fields} == shown
        assert bool(domain.autostart()) == fields["autostart"]
        for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
            found = definition.describe(domain.XMLDesc(flags))
            assert found.description == shown["description"]
            assert (found.made.protected, found.made.image) == (fields["protected"], IMAGE)
    assert domain.isActive() == runs


def test_a_protected_vm_is_not_removed(cell: Cell, domain: libvirt.virDomain) -> None:
    cell.start()
    domain.create()
    number, before = domain.ID(), domain.XMLDesc()
    assert cell.ended(act(cell, "set", protected=True)).vm.protected
    refused = cell.ended(act(cell, "remove")).failure
    assert (refused.code, refused.text.partition(";")[0]) == (
        "vm_protected",
        f"cannot remove {NAME} on host {HOST}: it is protected",
    )
    there = cell.libvirtd.connection.lookupByName(NAME)
    assert (there.ID(), there.isActive()) == (number, 1)
    assert there.XMLDesc().replace(' protected="yes"', "") == before
    assert cell.ended(act(cell, "set", protected=False)).state is State.DONE
    assert cell.ended(act(cell, "remove")).state is State.DONE


def test_pause_and_go_on(cell: Cell, domain: libvirt.virDomain) -> None:
    cell.start()
    for kind, state in (
        # The test driver can't start one that is to stand still.
        *(("start", "running"), ("pause", "paused"), ("pause", "paused"), ("start", "running")),
        *(("pause", "paused"), ("restart", "running"), ("pause", "paused"), ("stop", "stopped")),
    ):
        request = cell.ended(act(cell, kind))
        assert request.state is State.DONE, request.failure
        assert (request.vm.state, request.vm.active) == (state, state != "stopped")
        assert domain.isActive() == (state != "stopped")
