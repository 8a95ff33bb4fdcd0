# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks come to a vm and go, whatever happens to the job that brings them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE, Made
from maglica.host_worker.job import main
from maglica.host_worker.job.vm.hardware import disks
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs.disown import DisownSpec
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.disks import Bus, Cache, Discard, NewDisk
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.verb import OnVm
from support.fake_host import FakeHost
from support.fake_libvirt import Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata>
    <maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'>
      <maglica:volume target='vda' pool='default' name='{{name}}' path='{{path}}'/>
    </maglica:vm>
  </metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='{{path}}'/><target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>"""
FIRST = f"{NAME}.vda.{UUID[:8]}.qcow2"
DATA = f"{NAME}.disk-data.{UUID[:8]}.qcow2"
NEW = NewDisk("data", 64, cache=Cache.NONE, discard=Discard.UNMAP)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "RELEASE_SECONDS", 0.01)


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    pool = host.connection.pools[0]
    pool.createXML(f"<volume><name>{FIRST}</name><capacity>{1 << 20}</capacity></volume>")
    return host.connection.defineXML(XML.format(name=FIRST, path=host.pool / FIRST))


def asked(host: FakeHost, kind: type[OnVm], *values: object, **fields: object) -> Request:
    return host.asked(kind(NAME, UUID, HOST, *values, **fields))


def done(host: FakeHost, kind: type[OnVm], *values: object, **fields: object) -> Request:
    request = asked(host, kind, *values, **fields)
    main.run([request.id], host.context)
    return host.now(request)


def made(domain: Domain) -> Made:
    found = definition.describe(domain.xml).made
    assert found is not None
    return found


def disks_of(xml: str) -> list[str]:
    return [Path(disk.source or "").name for disk in definition.describe(xml).disks]


def is_settled(host: FakeHost, request: Request) -> bool:
    return not host.context.journal.intents(request.id)


@pytest.mark.parametrize("runs", [False, True])
def test_a_disk_is_added(host: FakeHost, domain: Domain, runs: bool) -> None:
    if runs:
        domain.create()
    ended = done(host, AddDiskSpec, NEW)
    assert ended.failure is None
    for xml in (domain.xml, *([domain.live] if runs else [])):
        assert disks_of(xml) == [FIRST, DATA]
        element = ET.fromstring(xml).findall("devices/disk")[1]
        assert element.find("driver").attrib == {
            **{"name": "qemu", "type": "qcow2", "cache": "none", "discard": "unmap"}
        }
        assert element.find("target").attrib == {"dev": "vdb", "bus": "virtio"}
        assert element.findtext("serial") == "data"
    (_first, disk) = ended.vm.disks
    assert (disk.name, disk.pool, disk.serial, disk.cache) == ("data", "default", "data", "none")
    assert disk.capacity_bytes == 64 << 20
    assert made(domain).disks["data"].path == str(host.pool / DATA)
    assert done(host, AddDiskSpec, NEW).failure is None
    assert disks_of(domain.xml) == [FIRST, DATA]
    # It is the vm's own, and goes with it.
    assert done(host, RemoveSpec).state is State.DONE
    assert host.volumes() == []


def test_a_disk_on_virtio_scsi_has_its_controller(host: FakeHost, domain: Domain) -> None:
    domain.create()
    assert done(host, AddDiskSpec, NewDisk("data", 64, bus=Bus.SCSI)).failure is None
    for xml in (domain.xml, domain.live):
        root = ET.fromstring(xml)
        assert root.find("devices/controller[@type='scsi']").get("model") == "virtio-scsi"
        assert root.findall("devices/disk/target")[1].get("dev") == "sda"


def test_what_a_guest_can_not_get_while_it_runs_is_refused(host: FakeHost, domain: Domain) -> None:
    domain.create()
    host.connection.failures["attach 1"] = [libvirtError("No more available PCI slots")]
    request = asked(host, AddDiskSpec, NEW)
    main.run([request.id], host.context)
    main.run([request.id], host.context)
    ended = host.now(request)
    assert ended.failure.text == (
        f"cannot add disk data to {NAME} on host {HOST}: it can't be attached while the vm runs (No"
        " more available PCI slots): stop the vm, or allow a restart (allow_restart)"
    )
    assert (disks_of(domain.xml), host.volumes()) == ([FIRST], [FIRST])
    assert "data" not in made(domain).disks
    assert is_settled(host, request)


def test_where_a_restart_is_allowed_it_gets_it_so(host: FakeHost, domain: Domain) -> None:
    domain.create()
    host.connection.failures["attach 1"] = [libvirtError("No more available PCI slots")]
    ended = done(host, AddDiskSpec, NEW, allow_restart=True)
    assert (ended.failure, domain.runs, domain.active) == (None, 2, True)
    assert disks_of(domain.XMLDesc()) == [FIRST, DATA]


def test_a_pool_that_is_too_small_is_an_error(host: FakeHost, domain: Domain) -> None:
    assert done(host, AddDiskSpec, NewDisk("data", 64 << 20)).failure.code == "no_room"
    assert done(host, AddDiskSpec, NewDisk("data", 64, pool="other")).failure.text.endswith(
        "it has no active storage pool other of files that may be used"
    )
    assert host.volumes() == [FIRST]


def test_a_file_of_that_name_is_left_alone(host: FakeHost, domain: Domain) -> None:
    (host.pool / DATA).write_text("somebody's")
    request = asked(host, AddDiskSpec, NEW)
    main.run([request.id], host.context)
    assert "is there already, and Maglica does not replace it" in host.now(request).failure.text
    assert (host.pool / DATA).read_text() == "somebody's"
    assert is_settled(host, request)


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("keep", [False, True])
def test_a_disk_goes(host: FakeHost, domain: Domain, runs: bool, keep: bool) -> None:
    if runs:
        domain.create()
    done(host, AddDiskSpec, NEW)
    for _turn in range(2):
        ended = done(host, DetachDiskSpec, "data", keep=keep)
        assert ended.failure is None
        assert disks_of(domain.xml) == disks_of(domain.XMLDesc()) == [FIRST]
        assert ended.vm.kept_disks == (("data",) if keep else ())
        assert host.volumes() == ([DATA, FIRST] if keep else [FIRST])


def test_one_that_was_kept_comes_back_with_what_is_on_it(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    with (host.pool / DATA).open("ab") as file:
        file.write(b"mine")
    done(host, DetachDiskSpec, "data", keep=True)
    back = done(host, AddDiskSpec, NewDisk("data", bus=Bus.SCSI))
    assert back.failure is None
    assert [disk.name for disk in back.vm.disks] == ["vda", "data"]
    assert (host.pool / DATA).read_bytes().endswith(b"mine")
    assert made(domain).kept == {}
    assert done(host, DetachDiskSpec, "data", keep=True).failure is None
    refused = done(host, AddDiskSpec, NewDisk("data", 32))
    assert "it was kept with 64 MiB, and can't be made smaller, to 32 MiB" in refused.failure.text
    # A kept one may be removed for good.
    assert done(host, DetachDiskSpec, "data").vm.kept_disks == ()
    assert host.volumes() == [FIRST]


def test_one_that_was_kept_outlives_its_vm(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    done(host, DetachDiskSpec, "data", keep=True)
    assert done(host, RemoveSpec).state is State.DONE
    assert host.volumes() == [DATA]


def test_a_guest_that_does_not_let_go_keeps_it(host: FakeHost, domain: Domain) -> None:
    domain.create()
    done(host, AddDiskSpec, NEW)
    domain.obeys = False
    ended = done(host, DetachDiskSpec, "data")
    assert "its guest does not let go of it within 0.01 s: unmount it there" in ended.failure.text
    assert disks_of(domain.xml) == [FIRST, DATA]
    assert host.volumes() == [DATA, FIRST]


def test_only_what_was_added_goes(host: FakeHost, domain: Domain) -> None:
    ended = done(host, DetachDiskSpec, "vda")
    assert ended.failure.text == (
        f"cannot detach disk vda from {NAME} on host {HOST}: it was made with the vm, and goes with"
        " it alone"
    )
    assert done(host, DetachDiskSpec, "other").state is State.DONE


def test_what_others_refer_to_stays(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    other = XML.replace(UUID, vm_uuid("other")).replace(f"<name>{NAME}", "<name>other")
    host.connection.defineXML(other.format(name=DATA, path=host.pool / DATA))
    ended = done(host, DetachDiskSpec, "data")
    assert ended.failure.text.endswith(f"{host.pool / DATA} is in use by the domain other")
    assert disks_of(domain.xml) == [FIRST, DATA]


def test_metadata_that_names_a_file_of_others_is_not_believed(
    host: FakeHost, domain: Domain
) -> None:
    (host.pool / "theirs.qcow2").write_text("theirs")
    done(host, AddDiskSpec, NEW)
    domain.xml = domain.xml.replace(DATA, "theirs.qcow2")
    for ended in (done(host, DetachDiskSpec, "data"), done(host, GrowDiskSpec, "data", 128)):
        assert ended.failure.code == "not_own"
    assert (host.pool / "theirs.qcow2").read_text() == "theirs"


@pytest.mark.parametrize("name", ["data", "vda"])
@pytest.mark.parametrize("runs", [False, True])
def test_a_disk_grows_and_never_shrinks(
    host: FakeHost, domain: Domain, name: str, runs: bool
) -> None:
    done(host, AddDiskSpec, NEW)
    if runs:
        domain.create()
        domain.sizes = {"vda": 1 << 20, "vdb": 64 << 20}
    ended = done(host, GrowDiskSpec, name, 128)
    assert ended.failure is None
    (disk,) = [each for each in ended.vm.disks if each.name == name]
    assert disk.capacity_bytes == 128 << 20
    if runs:
        assert domain.sizes[disk.target] == 128 << 20
        refused = done(host, GrowDiskSpec, name, 32)
        assert refused.failure.code == "disk_size_unsupported"
        assert refused.failure.text.endswith("it has 128 MiB, and can't be made smaller, to 32 MiB")
    else:
        assert host.grown[DATA if name == "data" else FIRST][1] == 128 << 20


def test_a_disk_below_a_snapshot_does_not_grow(host: FakeHost, domain: Domain) -> None:
    done(host, AddDiskSpec, NEW)
    domain.xml = domain.xml.replace(f'<source file="{host.pool / DATA}"', '<source file="/snap"')
    ended = done(host, GrowDiskSpec, "data", 128)
    assert "is not attached, or below a snapshot: merge snapshots" in ended.failure.text


ACTS = {
    "add": (AddDiskSpec, (NEW,), ["vda", "data"]),
    "detach": (DetachDiskSpec, ("data",), ["vda"]),
    "keep": (DetachDiskSpec, ("data", True), ["vda"]),
}


@pytest.mark.parametrize("act", list(ACTS))
@pytest.mark.parametrize("runs", [False, True])
def test_a_job_that_dies_anywhere_is_brought_to_its_end_by_the_next(
    host: FakeHost, domain: Domain, act: str, runs: bool
) -> None:
    kind, values, expected = ACTS[act]
    if runs:
        domain.create()
    for kill_at in range(1, 100):
        if act != "add":
            assert done(host, AddDiskSpec, NEW).failure is None
        request = asked(host, kind, *values)
        if not host.dies(request, kill_at):
            break
        ended = host.next_job(request)
        assert (ended.state, ended.failure) == (State.DONE, None), kill_at
        assert [disk.name for disk in ended.vm.disks] == expected
        assert disks_of(domain.xml) == disks_of(domain.XMLDesc())
        assert host.volumes() == ([FIRST] if act == "detach" else [DATA, FIRST])
        assert is_settled(host, request)
        assert done(host, DetachDiskSpec, "data").failure is None
        assert host.volumes() == [FIRST]
    assert kill_at > 3


@pytest.mark.parametrize("runs", [False, True])
def test_one_that_is_cancelled_anywhere_leaves_nothing(
    host: FakeHost, domain: Domain, runs: bool
) -> None:
    if runs:
        domain.create()
    for kill_at in range(1, 100):
        request = asked(host, AddDiskSpec, NEW)
        if not host.dies(request, kill_at):
            break
        host.context.journal.cancel(request.id)
        assert host.next_job(request).state is State.CANCELLED, kill_at
        assert disks_of(domain.xml) == disks_of(domain.XMLDesc()) == [FIRST]
        assert host.volumes() == [FIRST]
        assert list(made(domain).disks) == ["vda"]
        assert is_settled(host, request)
    assert kill_at > 3


def test_an_adopted_vm_gets_disks_and_is_given_back_without_them(
    host: FakeHost, domain: Domain
) -> None:
    given = f"adopted='{UUID}'"
    domain.xml = domain.xml.replace(" image='i' request='r'", f" {given} request='q'")
    assert made(domain).disks == {}
    added = done(host, AddDiskSpec, NEW)
    assert added.failure is None
    assert (list(made(domain).disks), added.vm.adopted) == (["data"], True)
    refused = done(host, DisownSpec)
    assert refused.failure.text == (
        f"cannot disown {NAME} on host {HOST}: Maglica has added its disks data: detach them first"
    )
    assert done(host, DetachDiskSpec, "data").failure is None
    assert host.volumes() == [FIRST]
