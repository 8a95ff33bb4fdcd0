# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real libvirtd, real QEMU and real appliances; the guest of the image can't boot."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostWorker
from maglica.guest.appliance.accel import kvm_works
from maglica.host_worker import channel
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.job.vm import clone
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, new_request_id
from maglica.verbs.clone import CloneSpec
from support import guest, qemu_libvirtd

IMAGE = "debian.original"
CACHE = Path(__file__).resolve().parents[3] / "build" / "cache"
POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


@functools.cache
def acceleration() -> str:
    """Return what "auto" comes to on this machine, tried once for all hosts."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return "kvm" if kvm_works("auto", CACHE) else "tcg"


@dataclass
class Host:
    """The host: its folder, its libvirtd, and what jobs said of their progress."""

    folder: Path
    uri: str
    connection: libvirt.virConnect
    said: list[channel.Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        state_dir = self.folder / "state"
        state_dir.mkdir()
        self.settings = HostWorker(
            "kvm0.example.jp", Path("/key"), uri=self.uri, state_dir=state_dir, accel=acceleration()
        )
        self.context = JobContext(Journal(state_dir), self.settings, self.said.append)

    def add_pool(self, name: str, path: Path) -> Path:
        path.mkdir(exist_ok=True)
        self.connection.storagePoolDefineXML(POOL.format(name=name, path=path)).create()
        return path

    def use_pool(self, name: str) -> None:
        """Let jobs have this pool alone."""
        self.context.settings = replace(self.settings, pools=(name,))

    def add_image(self, disk: Path, name: str = IMAGE, disk_format: str = "raw") -> Any:
        nic = "<interface type='user'><model type='virtio'/></interface>"
        xml = qemu_libvirtd.definition(name, {"vda": (disk_format, disk)}, devices=nic)
        return self.connection.defineXML(xml)

    def request(self, name: str, **changes: Any) -> Request:
        spec = replace(CloneSpec(name, IMAGE, start=False), **changes)
        request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
        self.context.journal.accept([request])
        return request

    def run(self, *requests: Request) -> list[Request]:
        clone.run(requests, self.context)
        entries = [self.context.journal.entry(request.id) for request in requests]
        return [entry.request for entry in entries]

    def files(self, pool: str = "pool") -> list[str]:
        return sorted(path.name for path in (self.folder / pool).iterdir())


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    made = Path(tempfile.mkdtemp(prefix="maglica-clone-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Path]:
    """A file system of 4 MiB, mounted before the libvirtd that must see it starts."""
    path = folder / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def libvirtd(folder: Path, small: Path) -> Iterator[str]:
    with qemu_libvirtd.running(folder / "libvirtd") as uri:
        yield uri


@pytest.fixture(scope="module")
def connection(libvirtd: str) -> Iterator[libvirt.virConnect]:
    opened = libvirt.open(libvirtd)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def host(folder: Path, libvirtd: str, connection: libvirt.virConnect) -> Host:
    """A host with the pool "default" and an image that was not shut down cleanly."""
    made = Host(folder, libvirtd, connection)
    made.add_pool("default", folder / "pool")
    made.add_pool("small", folder / "small")
    made.use_pool("default")
    disk = guest.make_disk(folder / "image.raw", guest.make_tree(folder / "tree"))
    guest.leave_unclean(disk, folder / "mnt")
    made.add_image(disk)
    return made
