# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a real QEMU guest that has no operating system and so hears no power button."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import libvirt
import pytest
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.start import StartSpec
from maglica.verbs.stop import StopSpec
from support.client_worker import eventually
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE

NAME = "deaf0.example.jp"
UUID = vm_uuid("r")
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <uuid>{UUID}</uuid>
  <metadata>{MADE}</metadata>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
</domain>
"""


@pytest.fixture
def guest(cell: Cell) -> Iterator[libvirt.virDomain]:
    cell.host.options["uri"] = cell.libvirtd.qemu_uri
    connection = libvirt.open(cell.libvirtd.qemu_uri)
    domain = connection.defineXML(XML)
    domain.create()
    yield domain
    if domain.isActive():
        domain.destroy()
    domain.undefine()
    connection.close()


def stop(cell: Cell, **fields: object) -> Request:
    spec = StopSpec(name=NAME, uuid=UUID, host=HOST, **fields)
    return cell.client.request("submit", id=new_request_id(), kind="stop", spec=spec)


def test_without_force_it_is_left_running(cell: Cell, guest: libvirt.virDomain) -> None:
    cell.start()
    request = cell.ended(stop(cell, stop_timeout=1))
    assert (request.state, request.failure.code) == (State.FAILED, "libvirt_failed")
    assert request.failure.text == (
        f"cannot stop {NAME} on host {HOST}: the guest did not shut down within 1 s"
        " (it is running); force would end it"
    )
    assert guest.isActive()


def test_with_force_it_is_ended_after_the_timeout(cell: Cell, guest: libvirt.virDomain) -> None:
    cell.start()
    request = cell.ended(stop(cell, stop_timeout=1, force=True))
    assert (request.state, request.vm.state) == (State.DONE, "stopped")
    assert not guest.isActive()
    (phase,) = request.phases
    assert phase.name == "shutdown"
    assert phase.seconds >= 1


def test_a_patient_stop_can_be_cancelled(cell: Cell, guest: libvirt.virDomain) -> None:
    cell.host.options["job_silence"] = 7
    cell.start()
    request = stop(cell, stop_timeout=600)
    cell.wait_phase(request, "shutdown")
    cell.client.request("cancel", id=request.id)
    assert cell.ended(request).state is State.CANCELLED
    assert guest.isActive()


def test_a_stop_whose_child_is_killed_goes_on(cell: Cell, guest: libvirt.virDomain) -> None:
    cell.start()
    request = stop(cell, stop_timeout=600)
    cell.wait_phase(request, "shutdown")
    children = cell.host.children()
    os.kill(children[0], signal.SIGKILL)
    eventually(lambda: children[0] not in cell.host.children())
    guest.destroy()
    assert cell.ended(request).state is State.DONE


def test_a_paused_guest_is_resumed_by_start(cell: Cell, guest: libvirt.virDomain) -> None:
    guest.suspend()
    cell.start()
    spec = StartSpec(name=NAME, uuid=UUID, host=HOST)
    asked = cell.client.request("submit", id=new_request_id(), kind="start", spec=spec)
    assert cell.ended(asked).vm.state == "running"
    assert guest.state()[0] == libvirt.VIR_DOMAIN_RUNNING
