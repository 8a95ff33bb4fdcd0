# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that a vm has now and not at its next start, or the reverse, and how it is taken back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.host_worker.job.vm.hardware import disks
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.disks import Bus, NewDisk
from support.fake_host import FakeHost
from support.fake_libvirt import VIR_DOMAIN_METADATA_ELEMENT, Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata><maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'/></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os><devices/>
</domain>"""
DATA = f"{NAME}.disk-data.{UUID[:8]}.qcow2"
LIVE, CONFIG = 1, 2


@pytest.fixture
def domain(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Domain:
    monkeypatch.setattr(disks, "RELEASE_SECONDS", 0.01)
    made = host.connection.defineXML(XML)
    made.create()
    return made


def asked(host: FakeHost, disk: NewDisk, **fields: object) -> Request:
    return host.asked(AddDiskSpec(NAME, UUID, HOST, disk, **fields))


def ended(host: FakeHost, request: Request) -> Request:
    host.kill_at, host.context = 0, host.new_context()
    for _job in range(2):
        main.run([request.id], host.context)
    assert not host.context.journal.intents(request.id)
    return host.now(request)


def added(host: FakeHost, bus: Bus = Bus.VIRTIO) -> None:
    assert ended(host, asked(host, NewDisk("data", 64, bus=bus))).failure is None


def has(domain: Domain) -> dict[int, list[tuple[str, str | None]]]:
    return {
        flag: [(disk.target, disk.bus) for disk in definition.describe(xml).disks]
        for flag, xml in ((LIVE, domain.XMLDesc()), (CONFIG, domain.xml))
    }


def take(domain: Domain, flag: int) -> None:
    """Detach the disk by hand in one of the definitions."""
    disk = ET.fromstring(domain.xml).find("devices/disk")
    domain.detachDeviceFlags(ET.tostring(disk, encoding="unicode"), flag)


@pytest.mark.parametrize("gone", [LIVE, CONFIG])
def test_it_is_completed(host: FakeHost, domain: Domain, gone: int) -> None:
    added(host)
    (host.pool / DATA).open("ab").write(b"mine")
    take(domain, gone)
    assert has(domain)[gone] == []
    # As a task says it, with the bus on which it is not.
    again = ended(host, asked(host, NewDisk("data", 64, bus=Bus.SCSI)))
    assert (again.state, again.failure) == (State.DONE, None)
    assert has(domain) == {LIVE: [("vda", "virtio")], CONFIG: [("vda", "virtio")]}
    assert [disk.name for disk in again.vm.disks] == ["data"]
    assert (host.pool / DATA).read_bytes().endswith(b"mine")


@pytest.mark.parametrize("gone", [LIVE, CONFIG])
def test_what_was_there_stays_when_it_can_not_be_completed(
    host: FakeHost, domain: Domain, gone: int
) -> None:
    added(host)
    take(domain, gone)
    before = has(domain), domain.xml, host.volumes()
    host.connection.failures[f"attach {gone}"] = [libvirtError("no slot")]
    failed = ended(host, asked(host, NewDisk("data", 64)))
    assert failed.failure is not None and "no slot" in failed.failure.text
    assert (has(domain), host.volumes()) == (before[0], before[2])
    assert definition.describe(domain.xml).made.disks.keys() == {"data"}


@pytest.mark.parametrize("gone", [LIVE, CONFIG])
def test_a_job_that_dies_anywhere_is_brought_to_its_end(
    host: FakeHost, domain: Domain, gone: int
) -> None:
    added(host)
    for number in range(1, 100):
        take(domain, gone)
        request = asked(host, NewDisk("data", 64))
        if not host.dies(request, number):
            break
        assert ended(host, request).failure is None
        assert has(domain) == {LIVE: [("vda", "virtio")], CONFIG: [("vda", "virtio")]}
    assert number > 3


@pytest.mark.parametrize("number", range(1, 11))
def test_of_a_vm_of_which_nothing_is_noted_any_more_only_the_disk_is_taken_back(
    host: FakeHost, domain: Domain, number: int
) -> None:
    request = asked(host, NewDisk("data", 64))
    assert host.dies(request, number)
    host.kill_at = 0
    domain.setMetadata(VIR_DOMAIN_METADATA_ELEMENT, None, None, VM_NAMESPACE, LIVE | CONFIG)
    theirs = Path(host.pool, "theirs")
    theirs.touch()
    failed = ended(host, request)
    assert failed.failure is not None
    assert failed.failure.code == "vm_unknown"
    assert has(domain) == {LIVE: [], CONFIG: []}
    assert host.volumes() == ["theirs"]
