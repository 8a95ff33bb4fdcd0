# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and sizes of a real QEMU guest change while it runs."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostWorker
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.daemon.definitions import Definitions
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.job.vm.hardware import disks
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.disks import Bus, Cache, Discard, NewDisk
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.hardware.set_boot_order import BootDevice, SetBootOrderSpec
from maglica.verbs.hardware.set_cdrom import Medium, SetCdromSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.set import SetSpec
from maglica.verbs.start import StartSpec
from maglica.verbs.stop import StopSpec
from maglica.verbs.tag import TagSpec
from maglica.verbs.verb import OnVm
from support.client_worker import eventually
from support.host_worker import HOST
from support.own_libvirtd import MADE, NOBODY, OwnLibvirtd

NAME = "hardware0.example.jp"
UUID = vm_uuid("r")
MIB = 1 << 20
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <uuid>{UUID}</uuid>
  <metadata>{MADE}</metadata>
  <memory unit='MiB'>32</memory>
  <vcpu current='1'>3</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{{disk}}'/><target dev='hda' bus='ide'/>
    </disk>
  </devices>
</domain>
"""
LIVE, CONFIG = 0, libvirt.VIR_DOMAIN_XML_INACTIVE
AFFECT_CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


class Rig:
    """A guest without an operating system, and the jobs that change it."""

    def __init__(self, folder: Path, libvirtd: OwnLibvirtd) -> None:
        home = libvirtd.folder / "home"
        disk, self.pool = home / "hardware-disk", home / "pool"
        disk.write_bytes(bytes(MIB))
        os.chown(disk, NOBODY, NOBODY)
        self.connection = libvirt.open(libvirtd.qemu_uri)
        self.pool.mkdir()
        os.chown(self.pool, NOBODY, NOBODY)
        target = f"<target><path>{self.pool}</path></target>"
        self._made = self.connection.storagePoolDefineXML(
            f"<pool type='dir'><name>default</name>{target}</pool>"
        )
        self._made.create()
        self.domain = self.connection.defineXML(XML.format(disk=disk))
        settings = HostWorker(HOST, folder / "key", state_dir=folder, uri=libvirtd.qemu_uri)
        self.context = JobContext(Journal(folder), settings, lambda line: None)

    def close(self) -> None:
        if self.domain.isActive():
            self.domain.destroy()
        self.domain.undefine()
        self._made.destroy()
        self._made.undefine()
        self.connection.close()

    def done(self, kind: type[OnVm], *values: object, **fields: object) -> Request:
        request = Request(new_request_id(), kind(NAME, UUID, HOST, *values, **fields), host=HOST)
        self.context.journal.accept([request])
        main.run([request.id], self.context)
        found = self.context.journal.entry(request.id)
        assert found is not None
        assert not self.context.journal.intents(request.id)
        return found.request

    def disks(self, flags: int) -> dict[str, str]:
        """Targets and buses of the further disks, as it runs or as it is defined."""
        found = definition.describe(self.domain.XMLDesc(flags)).disks
        return {disk.serial: f"{disk.target} {disk.bus}" for disk in found if disk.serial}

    @property
    def run(self) -> int:
        """The number of this run of the guest; a handle keeps the one that it was made with."""
        return self.connection.lookupByName(NAME).ID()

    def volumes(self) -> list[str]:
        return sorted(path.name.split(".disk-")[1] for path in self.pool.iterdir())


@pytest.fixture
def rig(tmp_path: Path, own_libvirtd: OwnLibvirtd) -> Iterator[Rig]:
    made = Rig(tmp_path, own_libvirtd)
    yield made
    made.close()


def test_disks_come_grow_and_go_while_the_guest_runs(rig: Rig) -> None:
    rig.domain.create()
    added = rig.done(AddDiskSpec, NewDisk("data", 8, cache=Cache.NONE, discard=Discard.UNMAP))
    assert added.failure is None
    scsi = rig.done(AddDiskSpec, NewDisk("more", 4, bus=Bus.SCSI, serial="S1"))
    assert scsi.failure is None
    expected = {"data": "vda virtio", "S1": "sda scsi"}
    assert rig.disks(LIVE) == rig.disks(CONFIG) == expected
    assert [(disk.name, disk.capacity_bytes) for disk in scsi.vm.disks[1:]] == [
        ("data", 8 * MIB),
        ("more", 4 * MIB),
    ]
    grown = rig.done(GrowDiskSpec, "data", 16)
    assert grown.failure is None
    assert rig.domain.blockInfo("vda")[0] == 16 * MIB
    shrunk = rig.done(GrowDiskSpec, "data", 8)
    assert shrunk.failure.code == "disk_size_unsupported"
    kept = rig.done(DetachDiskSpec, "more", keep=True)
    assert (kept.failure, kept.vm.kept_disks) == (None, ("more",))
    assert rig.disks(LIVE) == rig.disks(CONFIG) == {"data": "vda virtio"}
    back = rig.done(AddDiskSpec, NewDisk("more", bus=Bus.SCSI))
    assert back.failure is None
    assert len(rig.volumes()) == 2
    gone = rig.done(DetachDiskSpec, "more")
    assert gone.failure is None
    assert rig.volumes() == [f"data.{UUID[:8]}.qcow2"]


def test_a_disk_of_which_the_definition_knows_nothing_comes_into_it(rig: Rig) -> None:
    rig.domain.create()
    assert rig.done(AddDiskSpec, NewDisk("data", 8)).failure is None
    every = ET.fromstring(rig.domain.XMLDesc(CONFIG)).iterfind("devices/disk")
    (disk,) = (each for each in every if each.findtext("serial") == "data")
    rig.domain.detachDeviceFlags(ET.tostring(disk, encoding="unicode"), AFFECT_CONFIG)
    assert (rig.disks(LIVE), rig.disks(CONFIG)) == ({"data": "vda virtio"}, {})
    assert rig.done(AddDiskSpec, NewDisk("data", 8, bus=Bus.SATA)).failure is None
    assert rig.disks(LIVE) == rig.disks(CONFIG) == {"data": "vda virtio"}


def test_a_disk_is_taken_back_from_a_vm_of_which_nothing_is_noted_any_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = disks.plug

    def die(*values: Any, **how: Any) -> None:
        plug(*values, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(disks, "plug", die)
    spec = AddDiskSpec(NAME, UUID, HOST, NewDisk("data", 8))
    request = Request(new_request_id(), spec, host=HOST)
    rig.context.journal.accept([request])
    with pytest.raises(KeyboardInterrupt):
        main.run([request.id], rig.context)
    assert rig.disks(CONFIG) == {"data": "vda virtio"}
    element = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    rig.domain.setMetadata(element, None, None, VM_NAMESPACE, AFFECT_CONFIG)
    for _job in range(2):
        main.run([request.id], rig.context)
    assert rig.context.journal.entry(request.id).request.failure.code == "vm_unknown"
    assert (rig.disks(CONFIG), rig.volumes()) == ({}, [])
    assert not rig.context.journal.intents(request.id)


def test_what_the_guest_does_not_let_go_stays(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maglica.host_worker.job.vm.hardware.disks.RELEASE_SECONDS", 0.5)
    rig.domain.create()
    assert rig.done(AddDiskSpec, NewDisk("data", 8)).failure is None
    # Nobody in this guest hears of it.
    ended = rig.done(DetachDiskSpec, "data")
    assert "its guest does not let go of it within 0.5 s: unmount it there" in ended.failure.text
    assert rig.disks(CONFIG) == {"data": "vda virtio"}
    assert rig.done(StopSpec, force=True, stop_timeout=0).failure is None
    assert rig.done(GrowDiskSpec, "data", 32).vm.disks[1].capacity_bytes == 32 * MIB
    assert rig.done(DetachDiskSpec, "data").failure is None
    assert rig.volumes() == []


def test_a_disk_that_can_not_be_plugged_in_takes_a_restart(rig: Rig) -> None:
    rig.domain.create()
    run = rig.run
    sata = NewDisk("data", 8, bus=Bus.SATA)
    request = Request(new_request_id(), AddDiskSpec(NAME, UUID, HOST, sata), host=HOST)
    rig.context.journal.accept([request])
    main.run([request.id], rig.context)
    # The next job undoes it.
    main.run([request.id], rig.context)
    refused = rig.context.journal.entry(request.id).request
    assert "stop the vm, or allow a restart (allow_restart)" in refused.failure.text
    assert (rig.disks(CONFIG), rig.volumes(), rig.run) == ({}, [], run)
    ended = rig.done(AddDiskSpec, sata, allow_restart=True, force=True, stop_timeout=0)
    assert ended.failure is None
    assert rig.disks(LIVE) == {"data": "sda sata"}
    assert rig.run != run


def test_sizes_change_while_the_guest_runs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maglica.host_worker.job.vm.resize.DEAF_SECONDS", 0.2)
    rig.domain.create()
    run = rig.run
    more = rig.done(ResizeSpec, vcpus=3)
    assert (more.failure, more.vm.vcpus, more.vm.restart_needed) == (None, 3, False)
    live = definition.describe(rig.domain.XMLDesc())
    assert (live.vcpus, live.max_vcpus, rig.run) == (3, 3, run)
    # It has no driver that would give memory back.
    less = rig.done(ResizeSpec, memory_mib=24)
    assert (less.failure, less.vm.memory_mib, less.vm.restart_needed) == (None, 24, True)
    how = {"allow_restart": True, "force": True, "stop_timeout": 0}
    done = rig.done(ResizeSpec, **how)
    assert (done.failure, done.vm.memory_mib, done.vm.restart_needed) == (None, 24, False)
    assert rig.run != run


def test_one_that_is_paused_is_not_said_to_lack_a_driver(rig: Rig) -> None:
    (most,) = re.findall("<memory .*</memory>", rig.domain.XMLDesc())
    rig.connection.defineXML(rig.domain.XMLDesc().replace(most, "<memory unit='MiB'>64</memory>"))
    rig.domain.create()
    rig.domain.suspend()
    ended = rig.done(ResizeSpec, memory_mib=24)
    assert ended.failure.text.endswith(
        f"cannot resize {NAME} on host {HOST}: its guest has 64 MiB and is paused, so that it"
        " neither takes memory nor gives it back: have it run first"
    )


def test_it_is_shown_with_what_was_noted_while_its_state_was_saved(rig: Rig) -> None:
    rig.domain.create()
    rig.domain.managedSave()
    noted = {"protected": True, "description": "a guest"}
    assert rig.done(SetSpec, **noted).failure is None
    assert rig.done(TagSpec, ("a",)).failure is None
    started = rig.done(StartSpec)
    # It runs with what was noted before.
    assert definition.describe(rig.domain.XMLDesc()).description is None
    for ended in (started, rig.done(ResizeSpec)):
        assert ended.failure is None
        said = (ended.vm.protected, ended.vm.description, ended.vm.tags)
        assert said == (True, "a guest", ("a",))
    known = Definitions(rig.connection, deque()).of(UUID, rig.connection.lookupByName(NAME))
    assert (known.definition.made.tags, known.definition.description) == (("a",), "a guest")


def test_media_come_and_go_while_the_guest_runs(rig: Rig) -> None:
    for name in ("one.iso", "two.iso"):
        path = rig.pool / name
        path.write_bytes(bytes(32768) + b"\x01CD001\x01" + bytes(4096 - 7))
        os.chown(path, NOBODY, NOBODY)
    rig.connection.storagePoolLookupByName("default").refresh()
    one, two = Medium(None, "default", "one.iso"), Medium(None, "default", "two.iso")
    # A guest that does not restart for a drive has none later either.
    rig.domain.create()
    refused = rig.done(SetCdromSpec, one, allow_restart=True, stop_timeout=0)
    assert "the guest did not shut down" in refused.failure.text
    rig.domain.destroy()
    assert len(definition.describe(rig.domain.XMLDesc(CONFIG)).disks) == 1
    # It gets its drive while it is off.
    assert rig.done(SetCdromSpec, one).failure is None
    assert rig.done(SetBootOrderSpec, (BootDevice.CDROM, BootDevice.DISK)).failure is None
    rig.domain.create()
    # Its firmware, which resets the drive, has gone on to the disk when that is read.
    eventually(lambda: rig.domain.blockStats("hda")[0] > 0)
    run = rig.run
    for medium in (two, None, one):
        ended = rig.done(SetCdromSpec, medium)
        assert ended.failure is None
        for flags in (LIVE, CONFIG):
            found = definition.describe(rig.domain.XMLDesc(flags))
            drives = [disk.source for disk in found.disks if disk.device == "cdrom"]
            assert drives == [medium and medium.source]
            assert found.boot_order == ("cdrom", "disk")
    assert rig.run == run
    assert sorted(path.name for path in rig.pool.iterdir()) == ["one.iso", "two.iso"]
