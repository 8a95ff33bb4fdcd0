# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real libvirtd that makes images of small files, and what it has by then."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libvirt
from maglica.config.config import HostWorker
from maglica.domain import definition
from maglica.domain.definition import Definition
from maglica.host_worker import channel
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.journal.journal import Journal
from maglica.libvirtd.local import inactive_xml
from maglica.model.request import Request, new_request_id
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.remove_image import RemoveImageSpec

HOST, NAME = "kvm0.example.jp", "debian-13"
POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
SIZE = 1 << 20


def raw_disk(mark: bytes = b"a", size: int = SIZE, uefi: bool = False) -> bytes:
    """Return a disk that BIOS, or UEFI alone, would start, with ``mark`` somewhere."""
    head = bytearray(512)
    # Boot code, or an EFI system partition.
    head[0], kind = (0, 0xEF) if uefi else (0xEB, 0x83)
    head[446:462] = bytes([0x80, 0, 0, 0, kind, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0])
    head[510:] = b"\x55\xaa"
    data = bytes(head) + mark * 4096
    return data + bytes(size - len(data))


def qcow2_disk(folder: Path, *options: str, raw: bytes | None = None) -> bytes:
    """Return a disk as ``raw_disk`` in a qcow2 file, converted with these options."""
    source, target = folder / "source.raw", folder / "made.qcow2"
    source.write_bytes(raw_disk() if raw is None else raw)
    words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, str(source), str(target)]
    subprocess.run(words, check=True)
    return target.read_bytes()


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class ImportHost:
    """The host: its folder, its libvirtd, and what jobs said of their progress."""

    folder: Path
    uri: str
    connection: libvirt.virConnect
    said: list[channel.Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = self.folder / "pool"
        self.pool.mkdir()
        self.add_pool("default", self.pool)
        self.settings = HostWorker(
            HOST, Path("/key"), uri=self.uri, state_dir=self.folder / "state", accel="tcg"
        )
        self.settings.state_dir.mkdir()
        self.journal = Journal(self.settings.state_dir)
        self.context = JobContext(self.journal, self.settings, self.said.append)

    def add_pool(self, name: str, path: Path) -> None:
        self.connection.storagePoolDefineXML(POOL.format(name=name, path=path)).create()

    def close(self) -> None:
        """End all that is there, and forget it."""
        for domain in self.connection.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        for pool in self.connection.listAllStoragePools():
            pool.destroy()
            pool.undefine()
        self.journal.close()

    # --- requests

    def request(self, spec: Any) -> Request:
        request = Request(new_request_id(), spec, host=HOST, who="alice")
        self.journal.accept([request])
        return request

    def add(self, **fields: Any) -> Request:
        """Ask for an image, and do what the worker would until the request has ended."""
        return self.end(self.request(AddImageSpec(**{"image": NAME, "host": HOST, **fields})))

    def remove(self, uuid: str | None = None, name: str = NAME) -> Request:
        spec = RemoveImageSpec(name, HOST, uuid or self.image(name).uuid)
        return self.end(self.request(spec))

    def end(self, request: Request) -> Request:
        for _turn in range(3):
            self.run(request)
            if self.now(request).state.ended:
                break
        return self.now(request)

    def run(self, request: Request) -> None:
        """Run one job."""
        main.run([request.id], self.context)

    def now(self, request: Request) -> Request:
        entry = self.journal.entry(request.id)
        assert entry is not None
        return entry.request

    # --- what is there

    def image(self, name: str = NAME) -> Definition:
        return definition.describe(inactive_xml(self.connection.lookupByName(name)))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.pool.iterdir())

    def domains(self) -> list[str]:
        return sorted(domain.name() for domain in self.connection.listAllDomains())

    def kept(self, name: str = NAME) -> Path:
        """Return the file that keeps the image's newest version."""
        record = self.image(name).image
        assert record is not None
        return Path(record.versions[-1].volumes[0].path)

    def content(self, path: Path, kind: str = "qcow2") -> bytes:
        """Return what a guest sees of a disk."""
        words = ["qemu-img", "dd", "-U", "-f", kind, "-O", "raw", f"if={path}", "of=/dev/stdout"]
        target = self.folder / "seen.raw"
        words[-1] = f"of={target}"
        target.unlink(missing_ok=True)
        subprocess.run(words, check=True)
        return target.read_bytes()

    def is_empty(self) -> bool:
        """Tell whether nothing is there: no file, domain, base, nor anything announced."""
        nothing: tuple[Any, ...] = ([], [], (), ())
        return nothing == (
            self.files(),
            self.domains(),
            self.journal.bases(),
            self.journal.announced(),
        )

    def phases(self, request: Request) -> list[str]:
        return [phase.name for phase in self.now(request).phases]

    def use(self, **changes: Any) -> None:
        """Let jobs have other settings."""
        self.context.settings = replace(self.settings, **changes)
