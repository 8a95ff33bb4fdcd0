# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports of small files of its own on a host in memory (fake_host.py), and what they leave."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.disk import qemu_img
from maglica.disk.chain import Layer
from maglica.domain import definition
from maglica.domain.image_metadata import ImageRecord
from maglica.host_worker.job import main
from maglica.model.request import Request, Spec, new_request_id
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.remove_image import RemoveImageSpec

from . import fake_libvirt
from .fake_host import FakeHost, Killed
from .fake_libvirt import Domain

HOST, NAME = "kvm0.example.jp", "debian-13"
# Behind the header there are tables, which are empty.
_QCOW2_BYTES = 4 << 16


def raw_disk(mark: bytes = b"a") -> bytes:
    """Return a disk that BIOS would start, with ``mark`` somewhere."""
    head = bytearray(512)
    head[0] = 0xEB
    head[446:462] = bytes([0x80, 0, 0, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0])
    head[510:] = b"\x55\xaa"
    return (bytes(head) + mark * 4096).ljust(1 << 20, b"\0")


class Imports:
    """The host, and what is asked of it about the image NAME."""

    def __init__(self, host: FakeHost, folder: Path) -> None:
        self.host = host
        self._folder = folder
        self._contexts = [host.context]

    def asked(self, mark: bytes = b"a") -> Request:
        """Ask for the image to be as a file is."""
        path = self._folder / f"disk-{mark.hex()}.img"
        path.write_bytes(raw_disk(mark))
        path.chmod(0o644)
        return self.request(AddImageSpec(NAME, HOST, path=str(path)))

    def removal(self, name: str = NAME) -> Request:
        return self.request(RemoveImageSpec(name, HOST, self.domain(name).UUIDString()))

    def request(self, spec: Spec) -> Request:
        request = Request(new_request_id(), spec, host=HOST, who="alice")
        self.host.context.journal.accept([request])
        return request

    def run(self, request: Request) -> Request:
        """Run the next job of a request, in a process of its own."""
        self.host.context = self.host.new_context()
        self._contexts.append(self.host.context)
        main.run([request.id], self.host.context)
        return self.host.now(request)

    def close(self) -> None:
        for context in self._contexts:
            context.journal.close()

    def killed(self, request: Request) -> None:
        """Run a job that something kills."""
        with pytest.raises(Killed):
            self.run(request)

    def cancelled(self, request: Request) -> Request:
        self.host.context.journal.cancel(request.id)
        return self.run(request)

    def domain(self, name: str = NAME) -> Domain:
        return self.host.connection.lookupByName(name)

    def rename(self, to: str) -> None:
        """Give the image another name, as its user may with virsh domrename."""
        domain = self.domain()
        domain._name = to
        domain.xml = domain.xml.replace(f"<name>{NAME}<", f"<name>{to}<")

    def record(self) -> ImageRecord:
        found = definition.describe(self.domain().xml).image
        assert found is not None
        return found

    def files(self) -> list[Path]:
        """Return the files that the image's metadata names."""
        return [Path(volume.path) for volume in self.record().volumes]


def kill(*_arguments: Any) -> None:
    """What a step is replaced with that the process does not live to see the end of."""
    raise Killed


@pytest.fixture
def imports(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Imports]:
    def head(layer: Layer, length: int) -> bytes:
        return Path(layer.path).read_bytes()[:length]

    real = fake_libvirt.Pool.createXML

    def create(pool: fake_libvirt.Pool, xml: str) -> fake_libvirt.Volume:
        volume = real(pool, xml)
        path = Path(volume.path())
        path.write_bytes(path.read_bytes().ljust(_QCOW2_BYTES, b"\0"))
        return volume

    monkeypatch.setattr(qemu_img, "head", head)
    monkeypatch.setattr(fake_libvirt.Pool, "createXML", create)
    with tempfile.TemporaryDirectory(prefix="maglica-public-") as name:
        Path(name).chmod(0o755)
        made = Imports(host, Path(name))
        yield made
        made.close()
