# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces of a real QEMU guest come, change and go while it runs, on a host with bridges."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from maglica.config.config import HostWorker
from maglica.domain import definition
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.journal.journal import Journal
from maglica.model.card import Card, Link, Model
from maglica.model.request import Request, new_request_id
from maglica.model.vm import Interface, vm_uuid
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.verb import OnVm
from support import netns, qemu_libvirtd
from support.host_worker import HOST
from support.netns import Star
from support.own_libvirtd import MADE

NAME = "interfaces0.example.jp"
UUID = vm_uuid("r")
A, B, C = (f"52:54:00:00:00:0{digit}" for digit in "abc")
NIC = f"""
<interface type='bridge'>
  <mac address='{A}'/><source bridge='br0'/><model type='virtio'/>
</interface>"""
NETWORK = "<network><name>lan</name><forward mode='bridge'/><bridge name='br1'/></network>"
# One to which a guest is connected by a device of its own, and by no bridge.
FAR = "<network><name>far</name><forward mode='bridge'><interface dev='br1'/></forward></network>"
LIVE, CONFIG = 0, libvirt.VIR_DOMAIN_XML_INACTIVE
FIRST = Interface(A, "br0", (), "br0", "virtio", "up")
RESTART = {"allow_restart": True, "force": True, "stop_timeout": 0}


class Rig:
    """A guest without an operating system, and the jobs that change it."""

    def __init__(self, folder: Path, network: str, uri: str) -> None:
        self._network = network
        self.folder = folder
        # Of a request that is to be undone.
        self.more_jobs = 0
        self.connection = libvirt.open(uri)
        for xml in (NETWORK, FAR):
            self.connection.networkDefineXML(xml).create()
        (folder / "disk").write_bytes(bytes(1 << 20))
        xml = qemu_libvirtd.definition(
            NAME,
            {"vda": ("raw", folder / "disk")},
            memory_mib=32,
            # Without ACPI no card is plugged in.
            identity=f"<uuid>{UUID}</uuid><metadata>{MADE}</metadata><features><acpi/></features>",
            devices=NIC,
        )
        self.domain = self.connection.defineXML(xml)
        settings = HostWorker(HOST, folder / "key", state_dir=folder, uri=uri)
        self.context = JobContext(Journal(folder), settings, lambda line: None)

    def done(self, kind: type[OnVm], *values: object, **fields: object) -> Request:
        request = Request(new_request_id(), kind(NAME, UUID, HOST, *values, **fields), host=HOST)
        self.context.journal.accept([request])
        for _job in range(1 + self.more_jobs):
            main.run([request.id], self.context)
        found = self.context.journal.entry(request.id)
        assert found is not None
        assert not self.context.journal.intents(request.id)
        return found.request

    def nics(self, flags: int) -> list[Interface]:
        return list(definition.describe(self.domain.XMLDesc(flags)).interfaces)

    def ports(self) -> list[str]:
        """The bridges that guests are connected to, one for each of their interfaces."""
        told = subprocess.check_output(["ip", "-n", self._network, "-j", "link"])
        links = [each for each in json.loads(told) if each["ifname"].startswith("vnet")]
        return sorted(each.get("master", "") for each in links)

    @property
    def run(self) -> int:
        return self.connection.lookupByName(NAME).ID()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    folder = Path(tempfile.mkdtemp(prefix="maglica-i"))
    module = "maglica.host_worker.job.vm.hardware"
    monkeypatch.setattr(f"{module}.interfaces._DEVICES", folder / "devices")
    monkeypatch.setattr(f"{module}.disks.RELEASE_SECONDS", 0.5)
    star = Star(1)
    try:
        star.open()
        for bridge in ("br0", "br1"):
            (folder / "devices" / bridge / "bridge").mkdir(parents=True)
            netns.ip("-n", star.name(1), "link", "add", bridge, "type", "bridge")
            netns.ip("-n", star.name(1), "link", "set", bridge, "up")
        with qemu_libvirtd.running(folder / "d", within=star.command(1, [])) as uri:
            made = Rig(folder, star.name(1), uri)
            yield made
            made.connection.close()
    finally:
        star.close()
        shutil.rmtree(folder)


def test_they_come_and_change_while_the_guest_runs(rig: Rig) -> None:
    rig.domain.create()
    run = rig.run
    added = rig.done(AddInterfaceSpec, B, "lan", None, Card(Model.RTL8139))
    assert added.failure is None
    assert added.vm.restart_needed is False
    second = Interface(B, "lan", (), None, "rtl8139", "up")
    assert rig.nics(LIVE) == rig.nics(CONFIG) == [FIRST, second]
    assert rig.ports() == ["br0", "br1"]
    made_up = rig.done(AddInterfaceSpec, None, None, "br0")
    assert made_up.failure is None
    third = made_up.vm.interfaces[2].mac
    assert len({A, B, third}) == 3
    # To a bridge, to a network, and between bridges.
    assert rig.done(ChangeInterfaceSpec, B, None, None, "br0").failure is None
    assert rig.ports() == ["br0", "br0", "br0"]
    assert rig.done(ChangeInterfaceSpec, A, None, "lan").failure is None
    assert rig.done(ChangeInterfaceSpec, third, None, None, "br1").failure is None
    assert rig.ports() == ["br0", "br1", "br1"]
    down = rig.done(ChangeInterfaceSpec, A, None, None, None, Card(link=Link.DOWN))
    assert (down.failure, down.vm.restart_needed) == (None, False)
    assert list(down.vm.interfaces) == rig.nics(CONFIG)
    assert [nic.link for nic in rig.nics(LIVE)] == ["down", "up", "up"]
    assert rig.run == run


def test_what_it_can_not_have_while_it_runs_is_there_after_its_next_start(rig: Rig) -> None:
    rig.domain.create()
    run = rig.run
    # Its bridge is not that network's.
    assert rig.done(ChangeInterfaceSpec, A, None, "far").vm.restart_needed is True
    assert rig.done(ChangeInterfaceSpec, A, None, None, "br0").vm.restart_needed is False
    changed = rig.done(ChangeInterfaceSpec, A, C, None, None, Card(Model.E1000))
    assert (changed.failure, changed.vm.restart_needed) == (None, True)
    # Nobody in this guest hears that a card is to go.
    assert rig.done(AddInterfaceSpec, B, "lan").failure is None
    gone = rig.done(RemoveInterfaceSpec, B)
    assert (gone.failure, gone.vm.restart_needed) == (None, True)
    assert [nic.mac for nic in rig.nics(LIVE)] == [A, B]
    expected = [Interface(C, "br0", (), "br0", "e1000", "up")]
    assert rig.nics(CONFIG) == list(gone.vm.later_interfaces) == expected
    assert rig.run == run
    restarted = rig.done(ChangeInterfaceSpec, C, None, None, "br1", **RESTART)
    assert (restarted.failure, restarted.vm.restart_needed) == (None, False)
    assert rig.nics(LIVE) == rig.nics(CONFIG) == [Interface(C, "br1", (), "br1", "e1000", "up")]
    assert rig.ports() == ["br1"]
    assert rig.run != run


def test_a_vm_that_does_not_start_as_it_was_changed_runs_again_as_it_was(rig: Rig) -> None:
    rig.domain.create()
    run, before = rig.run, rig.domain.XMLDesc(CONFIG)
    qemu = ET.fromstring(before).findtext("devices/emulator")
    assert qemu is not None
    # A QEMU that has no such card.
    lacking = rig.folder / "qemu"
    lacking.write_text(f'#!/bin/sh\ncase "$*" in *e1000*) exit 1 ;; esac\nexec {qemu} "$@"\n')
    lacking.chmod(0o755)
    rig.connection.defineXML(before.replace(qemu, str(lacking)))
    before = rig.domain.XMLDesc(CONFIG)
    rig.more_jobs = 1
    ended = rig.done(ChangeInterfaceSpec, A, C, None, None, Card(Model.E1000), **RESTART)
    assert ended.failure is not None
    assert f"cannot start {NAME} with what was changed, which is taken back," in ended.failure.text
    assert (rig.domain.isActive(), rig.domain.XMLDesc(CONFIG)) == (True, before)
    assert rig.run != run
    assert rig.nics(LIVE) == [FIRST]
    # One that an earlier task has left for the next start stays for that.
    rig.more_jobs = 0
    left = rig.done(ChangeInterfaceSpec, A, C, None, None, Card(Model.E1000))
    assert (left.failure, left.vm.restart_needed) == (None, True)
    run, before = rig.run, rig.domain.XMLDesc(CONFIG)
    rig.more_jobs = 1
    refused = rig.done(ResizeSpec, **RESTART)
    assert refused.failure is not None
    assert f"cannot restart {NAME} on host {HOST}: " in refused.failure.text
    assert (rig.domain.isActive(), rig.domain.XMLDesc(CONFIG)) == (True, before)
    assert rig.run != run
    assert rig.nics(LIVE) == [FIRST]


def test_one_that_is_off_has_them_at_its_start(rig: Rig) -> None:
    assert rig.done(AddInterfaceSpec, B, "lan").failure is None
    assert rig.done(ChangeInterfaceSpec, B, C, None, "br1").failure is None
    assert rig.done(RemoveInterfaceSpec, A).failure is None
    rig.domain.create()
    assert rig.nics(LIVE) == [Interface(C, "br1", (), "br1", "virtio", "up")]


def test_what_the_host_can_not_have_is_refused_with_nothing_done(rig: Rig) -> None:
    rig.domain.create()
    before = rig.domain.XMLDesc(LIVE), rig.domain.XMLDesc(CONFIG)
    version = rig.connection.getLibVersion()
    refused = [
        ((AddInterfaceSpec, B, "none"), "network_unknown"),
        ((AddInterfaceSpec, B, None, "br9"), "network_unknown"),
        ((ChangeInterfaceSpec, A, None, None, None, Card(filter="none")), "network_unsupported"),
    ]
    if version < 11000000:
        refused.append(((AddInterfaceSpec, B, None, "br0", Card(vlan=(5,))), "network_unsupported"))
    for (kind, *values), code in refused:
        ended = rig.done(kind, *values)
        assert ended.failure is not None
        assert ended.failure.code == code, ended.failure.text
    assert (rig.domain.XMLDesc(LIVE), rig.domain.XMLDesc(CONFIG)) == before
