# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of an image that Maglica made build upon what it came as, of which nothing is copied.

That is so until somebody writes to the image's own disk.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import libvirt
import pytest
from maglica.disk import chain, files, volumes
from maglica.disk.room import MIB
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.journal.bases import Base
from maglica.model.request import CloneMode, Customize, Request, State
from maglica.model.vm import vm_uuid
from support import guest, made_image, qemu_libvirtd
from support.guest import Disk

from .conftest import Host

# Appliances without KVM take their time.
pytestmark = pytest.mark.timeout(600)

NAME = made_image.NAME


class Made:
    """The image: the file that keeps it, and its own disk."""

    def __init__(self, host: Host) -> None:
        pool = host.folder / "pool"
        self.host = host
        self.kept = pool / f"{volumes.of_image('sha256:9d9d', made_image.UUID, 'vda')}.qcow2"
        self.disk = pool / f"{volumes.of_vm(NAME, 'vda', made_image.UUID)}.qcow2"
        tree = guest.make_tree(host.folder / "tree")
        (tree / "root" / "data").write_bytes(os.urandom(8 * MIB))
        raw = guest.make_disk(host.folder / "made.raw", tree)
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(self.kept)]
        subprocess.run(convert, check=True)
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(self.kept)]
        subprocess.run([*create, str(self.disk)], check=True)
        own = [OwnVolume("vda", "default", path.name, str(path)) for path in (self.kept, self.disk)]
        xml = qemu_libvirtd.definition(NAME, {"vda": ("qcow2", self.disk)})
        said = f"</name><uuid>{made_image.UUID}</uuid>"
        said += f"<metadata>{made_image.metadata(own)}</metadata>"
        host.connection.storagePoolLookupByName("default").refresh()
        host.connection.defineXML(xml.replace("</name>", said, 1))
        self.digest = self.digest_now()

    def digest_now(self) -> str:
        return hashlib.sha256(self.kept.read_bytes()).hexdigest()

    def clone(self, name: str, **changes: object) -> Request:
        return self.host.request(name, image=NAME, **changes)

    def disk_of(self, request: Request) -> Path:
        uuid = vm_uuid(request.id)
        return self.host.folder / "pool" / f"{volumes.of_vm(request.name, 'vda', uuid)}.qcow2"

    def base(self, way: Customize) -> Base:
        return [base for base in self.host.context.journal.bases() if base.way is way][-1]


@pytest.fixture(scope="module")
def made(folder: Path, libvirtd: str, connection: libvirt.virConnect) -> Made:
    host = Host(folder, libvirtd, connection)
    host.add_pool("default", folder / "pool")
    return Made(host)


def names(path: Path) -> list[str]:
    return [layer.path for layer in chain.inspect(str(path), "qcow2", ())]


def test_clones_build_upon_what_it_came_as(made: Made, tmp_path: Path) -> None:
    linked = made.clone("linked.example.jp", customize=Customize.OFFLINE)
    full = made.clone("full.example.jp", customize=Customize.OFFLINE, clone_mode=CloneMode.FULL)
    bare = made.clone("bare.example.jp", customize=Customize.NONE)
    ended = made.host.run(linked, full, bare)
    assert [(each.state, each.failure) for each in ended] == [(State.DONE, None)] * 3
    base = made.base(Customize.OFFLINE)
    (disk,) = base.disks
    assert base.facts is not None
    # Found in the base's own file: no clone needs an appliance.
    assert base.facts.areas
    assert names(made.disk_of(linked)) == [
        *(str(made.disk_of(linked)), disk.path, str(made.kept)),
    ]
    assert files.taken(disk.path) < 2 * MIB < 8 * MIB < files.taken(str(made.kept))
    assert names(made.disk_of(full)) == [str(made.disk_of(full))]
    assert names(made.disk_of(bare)) == [str(made.disk_of(bare)), str(made.kept)]
    for request in (linked, full):
        seen = Disk(str(made.disk_of(request)), tmp_path / request.name)
        assert seen.text("/etc/hostname").startswith(request.name)
    assert made.digest_now() == made.digest


def test_what_was_written_to_is_copied(made: Made) -> None:
    write = ["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 512", str(made.disk)]
    subprocess.run(write, check=True, capture_output=True)
    bare = made.clone("later.example.jp", customize=Customize.NONE)
    (ended,) = made.host.run(bare)
    assert (ended.state, ended.failure) == (State.DONE, None)
    base = made.base(Customize.NONE)
    assert base.owns
    assert names(made.disk_of(bare)) == [str(made.disk_of(bare)), base.disks[0].path]
    assert made.digest_now() == made.digest
