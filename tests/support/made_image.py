# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition says of an image that Maglica made."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from maglica.disk import volumes
from maglica.domain import image_metadata
from maglica.domain.image_metadata import ImageRecord, OwnVersion
from maglica.domain.metadata import OwnVolume
from maglica.host_worker.job.image import original
from maglica.host_worker.job.image.original import Image
from maglica.model.image import ImageVersion, image_uuid
from maglica.model.moment import Moment

from .fake_host import FakeHost
from .qcow2 import BACKING_FORMAT, MIB, header

NAME = "debian-13"
REQUEST = "7d3f2c1e-0f4b-4f0e-8f5d-6b3f7f8f4c4f"
UUID = image_uuid(REQUEST)
ORIGIN = "https://images.example.jp/debian-13.qcow2"
VERSION = ImageVersion(f"sha256:{'9d' * 32}", ORIGIN, "qcow2", 2 << 30, REQUEST, Moment(1795500000))
_CLUSTER = 1 << 16


class OnHost:
    """That image on a host in memory: its own disk, an overlay of what keeps it, and both in its
    definition.
    """

    def __init__(self, host: FakeHost, form: str = "qcow2") -> None:
        self.host = host
        self.kept = host.pool / f"{volumes.of_image(VERSION.checksum or '', UUID, 'vda')}.qcow2"
        self.disk = host.pool / f"{volumes.of_vm(NAME, 'vda', UUID)}.qcow2"
        self.kept.write_bytes(_whole(header()) if form == "qcow2" else bytes(64 * MIB))
        self.disk.write_bytes(self._overlay(form))
        own = [OwnVolume("vda", "default", path.name, str(path)) for path in self._paths]
        domain = host.add_image(name=NAME, uuid=UUID, metadata=metadata(own))
        domain.xml = domain.xml.replace(str(host.folder / f"{NAME}.vda.img"), str(self.disk))
        domain.xml = domain.xml.replace("type='raw'", "type='qcow2'")

    @property
    def _paths(self) -> tuple[Path, Path]:
        return self.kept, self.disk

    def _overlay(self, form: str) -> bytes:
        formats = [(BACKING_FORMAT, form.encode())]
        return _whole(header(backing=str(self.kept).encode(), extensions=formats))

    def write(self) -> None:
        """Let somebody write to the image's own disk: a cluster is there."""
        data = bytearray(self.disk.read_bytes())
        data += bytes(2 * _CLUSTER)
        table, cluster = 4 * _CLUSTER, 5 * _CLUSTER
        struct.pack_into(">Q", data, 3 * _CLUSTER, table | 1 << 63)
        struct.pack_into(">Q", data, table, cluster | 1 << 63)
        self.disk.write_bytes(data)

    def read(self) -> Image:
        return original.read(NAME, self.host.context)


def _whole(start: bytes) -> bytes:
    """Return a file that begins so, with room for its tables, which are empty."""
    return start.ljust(4 * _CLUSTER, b"\0")


def metadata(volumes: Sequence[OwnVolume] = (), nvram: str | None = None) -> str:
    """Return the element for a definition's <metadata>; ``volumes`` are of its only version."""
    record = ImageRecord(REQUEST, "alice", (OwnVersion(VERSION, tuple(volumes)),), nvram)
    root = ET.Element("domain")
    ET.SubElement(root, "uuid")
    image_metadata.write(root, record)
    return "".join(ET.tostring(said, encoding="unicode") for said in root.iterfind("metadata/*"))
