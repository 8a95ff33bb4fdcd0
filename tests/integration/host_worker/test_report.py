# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's report says which bases there are, and which images still need one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from maglica.config.config import HostWorker
from maglica.disk import chain, mounts
from maglica.domain.metadata import OwnVolume
from maglica.guest.facts import Area, GuestFacts, Seen
from maglica.guest.network.families import INSPECTION
from maglica.host_worker.daemon.report import Inspector
from maglica.host_worker.journal.bases import MAKING, READY, Base, BaseDisk
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import Journal
from maglica.host_worker.journal.looks import Look
from maglica.model.request import (
    BaseSummary,
    Customize,
    DomainSummary,
    HostReport,
    ImageSummary,
    LookSummary,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import vm_uuid
from maglica.verbs.clone import CloneSpec
from maglica.verbs.prepare import PrepareSpec
from support import made_image
from support.own_libvirtd import DOMAIN, MADE, OwnLibvirtd

NAME, UUID = "own.original", "0d0c2f4e-3b1a-4c52-8f8e-6a7b8c9d0e1f"
FACTS = GuestFacts((), "debian", "12", "ifupdown", "i", "", True, areas=(Area("/etc/hostname", 1),))
BASE = Base("0a1b2c3d", NAME, UUID, "", READY, "own", (), FACTS, 5.0)

# A file system of 2 GiB, of which 1 GiB is free: that of the machine changes all the time.
FREE = SimpleNamespace(f_frsize=4096, f_blocks=1 << 19, f_bavail=1 << 18)


class Node:
    """An original image whose disk is a real file, and a host worker that shall prepare it."""

    def __init__(self, folder: Path, libvirtd: OwnLibvirtd, journal: Journal) -> None:
        self.libvirtd = libvirtd
        self.journal = journal
        self.disk = folder / "own.vda.e295817c.qcow2"  # no leftover, though it looks like one
        self.disk.write_bytes(bytes(1 << 20))
        pool = f"<pool type='dir'><name>own</name><target><path>{folder}</path></target></pool>"
        libvirtd.connection.storagePoolDefineXML(pool).create()
        xml = DOMAIN.format(name=NAME, uuid=UUID, metadata="")
        xml = xml.replace(f"/images/{NAME}.img", str(self.disk))
        self.image = libvirtd.connection.defineXML(xml)
        self._folder = folder
        prepare = (NAME, "nowhere.original")
        self.settings = HostWorker("kvm0.example.jp", folder / "key", prepare=prepare)
        self._inspector = Inspector(libvirtd.connection, journal, self.settings)

    def version(self) -> str:
        layers = chain.inspect(str(self.disk), "raw", [str(self._folder)])
        return chain.version(UUID, {"vda": layers}) or ""

    def add(self, **changes: object) -> Base:
        """Note a base; if nothing else is said, one of the present version."""
        base = replace(BASE, **{"version": self.version(), **changes})
        self.journal.add_base(base)
        return base

    def vm(self, base: str) -> None:
        """Define a vm that builds upon a base."""
        request = new_request_id()
        metadata = MADE.replace("request='r'", f"request='{request}' base='{base}'")
        self.libvirtd.define(f"vm-{request}", vm_uuid(request), metadata)

    def report(self) -> HostReport:
        return self._inspector.report()

    def look(self) -> tuple[tuple[BaseSummary, ...], tuple[str, ...]]:
        """Return the bases of a new report, and the images that are to be prepared."""
        return self._inspector.report().bases, self._inspector.unprepared

    def looks(self) -> tuple[LookSummary, ...]:
        return self._inspector.report().looks


@pytest.fixture
def node(tmp_path: Path, own_libvirtd: OwnLibvirtd) -> Iterator[Node]:
    with closing(Journal(tmp_path)) as journal:
        yield Node(tmp_path, own_libvirtd, journal)


def test_an_image_without_a_base_is_to_be_prepared(node: Node) -> None:
    # An image that is not there is not.
    assert node.look() == ((), (NAME,))


def test_what_the_pattern_excludes_is_no_image_and_was_not_made_by_maglica(node: Node) -> None:
    settings = replace(node.settings, image_pattern=re.compile("golden.*"))
    inspector = Inspector(node.libvirtd.connection, node.journal, settings)
    (excluded,) = (each for each in inspector.report().domains if each.name == NAME)
    assert (excluded.made, excluded.is_image, excluded.disk_bytes) == (False, False, 0)
    (image,) = (each for each in node.report().domains if each.name == NAME)
    assert (image.made, image.is_image, image.disk_bytes > 0) == (False, True, True)
    assert (excluded.first_disk_bytes, image.first_disk_bytes > 0) == (0, True)


def test_an_image_that_maglica_made(node: Node, tmp_path: Path) -> None:
    """It is one whatever its name is, and no vm; what is its own is no leftover."""
    kept, disk = (
        tmp_path / name
        for name in (
            f"maglica-image.9d9d9d9d9d9d.{made_image.UUID[:8]}.vda.qcow2",
            f"debian-13.vda.{made_image.UUID[:8]}.qcow2",
        )
    )
    nvram = tmp_path / f"debian-13.{made_image.UUID[:8]}_VARS.fd"
    for path in (kept, disk, nvram):
        path.touch()
    volumes = [OwnVolume("vda", "own", path.name, str(path)) for path in (kept, disk)]
    node.settings = replace(node.settings, image_pattern=re.compile("golden.*"))
    inspector = Inspector(node.libvirtd.connection, node.journal, node.settings)
    said = made_image.metadata(volumes, str(nvram))
    domain = node.libvirtd.define("debian-13", made_image.UUID, said)

    def summary(report: HostReport) -> DomainSummary:
        return next(each for each in report.domains if each.name == "debian-13")

    report = inspector.report()
    assert report.leftovers == ()
    what = made_image.VERSION
    newest = ("debian-13", made_image.UUID, True, what.checksum, what.origin, 1)
    assert report.images == (ImageSummary(*newest),)
    image = summary(report)
    assert (image.made, image.may_be_image, image.is_image) == (False, True, True)
    domain.create()
    image = summary(inspector.report())
    assert (image.made, image.may_be_image, image.is_image) == (False, True, False)
    domain.destroy()
    domain.undefine()
    inspector.forget(made_image.UUID)
    # One report later, since its folder is known by the domain only.
    assert [leftover.path for leftover in inspector.report().leftovers] == sorted(
        map(str, (kept, disk, nvram))
    )


def test_a_base_of_the_present_version(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "base"
    file.write_bytes(b"x" * 8192)
    base = node.add(disks=(BaseDisk("vda", file.name, str(file), "raw"),))
    bases, unprepared = node.look()
    assert bases == (
        BaseSummary(
            id=base.id,
            image=NAME,
            version=base.version,
            pool="own",
            allocated_bytes=file.stat().st_blocks * 512,
            created=bases[0].created,
            current=True,
            areas=True,
            vms=0,
        ),
    )
    assert bases[0].allocated_bytes >= 8192
    assert unprepared == ()


def test_a_base_that_is_being_made_does_not_count(node: Node) -> None:
    node.add(state=MAKING)
    assert node.look() == ((), (NAME,))


def test_a_base_of_another_version_is_not_current(node: Node) -> None:
    node.add()
    assert node.look()[1] == ()
    with node.disk.open("ab") as disk:
        disk.write(bytes(1 << 20))
    (base,), unprepared = node.look()
    assert base.current is False
    assert unprepared == (NAME,)


def test_an_image_that_was_refused_is_not_to_be_prepared_until_it_changes(node: Node) -> None:
    version = node.version()
    found = Look(UUID, "old.name", version, INSPECTION, 5.0, "guest_unsupported", "no ifupdown")
    node.journal.looks.keep(found, [UUID])
    assert node.look() == ((), ())
    assert node.looks() == (LookSummary(NAME, version, False, "no ifupdown", True),)
    with node.disk.open("ab") as disk:
        disk.write(bytes(1 << 20))
    assert node.look() == ((), (NAME,))
    assert node.looks() == (LookSummary(NAME, version, False, "no ifupdown", False),)


def test_what_other_rules_found_does_not_count(node: Node) -> None:
    found = Look(UUID, NAME, node.version(), INSPECTION - 1, 5.0, "guest_unsupported", "old")
    node.journal.looks.keep(found, [UUID])
    assert node.look() == ((), (NAME,))
    assert node.looks() == ()


def test_a_guest_that_can_be_customized_still_lacks_its_base(node: Node) -> None:
    seen = Seen("debian", "13", "netplan", "ext4", offline="netplan is not known")
    found = Look(UUID, NAME, node.version(), INSPECTION, 5.0, seen=seen)
    gone = replace(found, image_uuid="another")
    node.journal.looks.keep(gone, [])
    node.journal.looks.keep(found, [UUID, "another"])
    assert node.look() == ((), (NAME,))
    assert [look.way for look in node.looks()] == [Customize.CLOUD_INIT]
    node.add(way=Customize.OFFLINE)
    assert node.look()[1] == (NAME,)


def test_nothing_is_known_of_the_base_of_an_image_that_runs(node: Node) -> None:
    node.add()
    node.image.create()
    (base,), unprepared = node.look()
    assert base.current is None
    assert unprepared == ()
    node.image.destroy()
    (base,), _unprepared = node.look()
    assert base.current is True


def written(path: Path, size: int = 8 << 20) -> dict[str, str]:
    """Write a volume of the pool; return how it is announced."""
    path.write_bytes(b"x" * size)
    return {"target": "vda", "pool": "own", "name": path.name, "path": str(path)}


def added(node: Node) -> int:
    """Return the bytes that a report has as free and that are not, as the file system has them."""
    with mock.patch.object(os, "statvfs", lambda _path: FREE):
        (pool,) = [pool for pool in node.report().pools if pool.name == "own"]
    return pool.free_bytes - FREE.f_bavail * FREE.f_frsize


def test_what_a_clone_under_way_has_written_counts_once(node: Node, tmp_path: Path) -> None:
    """The client worker reserves all of it until a report shows the vm."""
    clone = Request(new_request_id(), CloneSpec("vm0", NAME))
    prepare = Request(new_request_id(), PrepareSpec(NAME, "kvm0.example.jp"))
    node.journal.accept([clone, prepare])
    volume = written(tmp_path / "volume")
    node.journal.intend(clone.id, Effect.VOLUME, volume)
    for request, base_id in ((clone, "11111111"), (prepare, "22222222")):
        disk = written(tmp_path / base_id)["path"]
        node.add(id=base_id, state=MAKING, disks=(BaseDisk("vda", base_id, disk, "raw"),))
        node.journal.intend(request.id, Effect.BASE, {"id": base_id, "image_uuid": UUID})
    assert added(node) == 16 << 20
    node.journal.update_base("11111111", state=READY, facts=FACTS)
    assert added(node) == 8 << 20
    vm = node.libvirtd.define("vm0", vm_uuid(clone.id), MADE)
    assert added(node) == 0
    vm.undefine()
    assert added(node) == 8 << 20
    node.journal.end(clone.id, State.DONE)
    assert added(node) == 0


def test_an_image_that_runs_is_not_to_be_prepared(node: Node) -> None:
    node.image.create()
    assert node.look() == ((), ())


def test_the_vms_of_each_base_are_counted(node: Node) -> None:
    node.add(id="11111111")
    node.add(id="22222222", version="another", facts=replace(FACTS, areas=()))
    for base in ("11111111", "11111111", "22222222", "33333333"):
        node.vm(base)
    bases, _unprepared = node.look()
    assert {base.id: (base.vms, base.current, base.areas) for base in bases} == {
        "11111111": (2, True, True),
        "22222222": (1, False, False),
    }


def test_what_nothing_names_is_a_leftover(node: Node, tmp_path: Path) -> None:
    request = new_request_id()
    own, other = (tmp_path / f"{name}.vda.0123abcd.qcow2" for name in ("vm0", "vm0-before-upgrade"))
    own.write_bytes(b"x" * 8192)
    other.write_bytes(b"x" * 8192)
    volume = f"<maglica:volume target='vda' pool='own' name='{own.name}' path='{own}'/>"
    made = MADE.replace("request='r'", f"request='{request}'")
    metadata = made.replace("/>", f">{volume}</maglica:vm>")
    domain = node.libvirtd.define("vm0", vm_uuid(request), metadata)
    assert [leftover.path for leftover in node.report().leftovers] == [str(other)]
    # What can't be read may name both.
    note = f"<other:note xmlns:other='other'>{'x' * (1 << 20)}</other:note>"
    node.libvirtd.define("vm0", vm_uuid(request), metadata + note)
    assert node.report().leftovers == ()
    domain.undefine()
    found = node.report().leftovers
    assert [(each.path, each.pool) for each in found] == [(str(other), "own"), (str(own), "own")]
    assert found[0].allocated_bytes >= 8192


def test_a_pool_that_other_hosts_may_see_says_so(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    shared = {pool.name: pool.shared for pool in node.report().pools}
    assert shared == {"default-pool": None, "own": "nfs4"}


def test_a_pool_whose_folder_is_not_to_be_seen_has_libvirt_s_figures(node: Node) -> None:
    (known,) = [pool for pool in node.report().pools if pool.name == "default-pool"]
    _state, capacity, _allocation, free = node.libvirtd.connection.storagePoolLookupByName(
        "default-pool"
    ).info()
    assert capacity > 0
    assert (known.capacity_bytes, known.free_bytes) == (capacity, free)


def test_a_base_that_a_vm_needs_is_no_leftover(node: Node, tmp_path: Path) -> None:
    """Also when the journal is lost: a person would be told how to remove it."""
    request = new_request_id()
    (tmp_path / "maglica-base.0123456789ab.0123abcd.vda.qcow2").touch()
    metadata = MADE.replace("request='r'", f"request='{request}' base='0123abcd'")
    domain = node.libvirtd.define("vm0", vm_uuid(request), metadata)
    assert node.report().leftovers == ()
    domain.undefine()
    assert len(node.report().leftovers) == 1


def test_uefi_variables_beside_an_image_s_are_a_leftover(node: Node, tmp_path: Path) -> None:
    """What is left of a clone that was interrupted, and whose journal is lost."""
    folder = tmp_path / "variables"
    folder.mkdir()
    left = folder / "vm0.0123abcd_VARS.fd"
    left.touch()
    loader = "<loader readonly='yes' type='pflash'>/fw.fd</loader>"
    nvram = f"{loader}<nvram>{folder}/image_VARS.fd</nvram></os>"
    node.image = node.libvirtd.connection.defineXML(node.image.XMLDesc().replace("</os>", nvram))
    node.report()
    assert [leftover.path for leftover in node.report().leftovers] == [str(left)]
