# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real QEMU guests that are on, and don't run: suspended, crashed, paused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt
import pytest
from maglica.model.request import State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.restart import RestartSpec
from maglica.verbs.start import StartSpec
from support.client_worker import eventually
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE, NOBODY

NAME = "standing0.example.jp"
UUID = vm_uuid("r")
XML = """
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{made}</metadata>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <on_crash>preserve</on_crash>
  <pm><suspend-to-mem enabled='yes'/></pm>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='hda' bus='ide'/>
    </disk>
    <panic model='isa'><address type='isa' iobase='0x505'/></panic>
  </devices>
</domain>
"""
# 8086 machine code.
_STAND = bytes.fromhex("f4ebfd")  # hlt; jmp to it
ACTS = {
    # mov dx,604h; mov ax,2400h; out dx,ax: to sleep in S3, by ACPI's PM1a control block.
    "suspended": bytes.fromhex("ba0406b80024ef"),
    # mov dx,505h; mov al,1; out dx,al: panicked, by pvpanic.
    "crashed": bytes.fromhex("ba0505b001ee"),
}
STATES = {
    "suspended": libvirt.VIR_DOMAIN_PMSUSPENDED,
    "crashed": libvirt.VIR_DOMAIN_CRASHED,
}


def _sector(act: bytes) -> bytes:
    """A boot sector that does ``act`` and stands still then."""
    return (act + _STAND).ljust(510, b"\0") + b"\x55\xaa"


@contextmanager
def standing(cell: Cell, state: str) -> Iterator[libvirt.virDomain]:
    """A guest that has come to stand in this state."""
    cell.host.options["uri"] = cell.libvirtd.qemu_uri
    disk = cell.libvirtd.folder / "home" / "disk"
    disk.write_bytes(_sector(ACTS[state]))
    os.chown(disk, NOBODY, NOBODY)
    connection = libvirt.open(cell.libvirtd.qemu_uri)
    domain = connection.defineXML(XML.format(name=NAME, uuid=UUID, made=MADE, disk=disk))
    try:
        domain.create()
        eventually(lambda: domain.state()[0] == STATES[state])
        # Else it comes to stand again at its next boot, before anybody looks.
        disk.write_bytes(_sector(b""))
        yield domain
    finally:
        if domain.isActive():
            domain.destroy()
        domain.undefine()
        connection.close()


@pytest.mark.parametrize("state", list(STATES))
def test_a_guest_that_stands_runs_again(cell: Cell, state: str) -> None:
    with standing(cell, state) as domain:
        cell.start()
        spec = StartSpec(name=NAME, uuid=UUID, host=HOST)
        asked = cell.client.request("submit", id=new_request_id(), kind="start", spec=spec)
        ended = cell.ended(asked)
        assert (ended.state, ended.vm and ended.vm.state) == (State.DONE, "running"), ended.failure
        assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING


@pytest.mark.parametrize("state", list(STATES))
def test_a_guest_that_stands_is_restarted(cell: Cell, state: str) -> None:
    with standing(cell, state) as domain:
        before = domain.ID()
        cell.start()
        # It has no operating system that would hear the power button once it goes on.
        force = state == "suspended"
        spec = RestartSpec(name=NAME, uuid=UUID, host=HOST, force=force, stop_timeout=1)
        asked = cell.client.request("submit", id=new_request_id(), kind="restart", spec=spec)
        ended = cell.ended(asked)
        assert (ended.state, ended.vm and ended.vm.state) == (State.DONE, "running"), ended.failure
        assert domain.connect().lookupByUUIDString(UUID).ID() != before


@pytest.mark.parametrize("state", list(STATES))
def test_a_guest_that_stands_is_paused_and_is_off(cell: Cell, state: str) -> None:
    with standing(cell, state) as domain:
        cell.start()
        for kind, after, fields in (
            ("pause", "paused", {}),
            ("pause", "paused", {}),
            # It has no operating system that would hear the power button.
            ("stop", "stopped", {"force": True, "stop_timeout": 1}),
            ("pause", "paused", {}),
            ("start", "running", {}),
        ):
            spec = table.named(kind).spec(name=NAME, uuid=UUID, host=HOST, **fields)
            asked = cell.client.request("submit", id=new_request_id(), kind=kind, spec=spec)
            ended = cell.ended(asked)
            assert (ended.state, ended.vm and ended.vm.state) == (State.DONE, after), ended.failure
        assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING


def test_a_guest_that_has_crashed_is_ended_at_once(cell: Cell) -> None:
    with standing(cell, "crashed") as domain:
        cell.start()
        spec = table.named("stop").spec(name=NAME, uuid=UUID, host=HOST, stop_timeout=86400)
        asked = cell.client.request("submit", id=new_request_id(), kind="stop", spec=spec)
        assert cell.ended(asked).state is State.DONE
        assert not domain.isActive()
