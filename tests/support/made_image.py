# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition says of an image that Maglica made."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from maglica.domain import image_metadata
from maglica.domain.image_metadata import ImageRecord, OwnVersion
from maglica.domain.metadata import OwnVolume
from maglica.model.image import ImageVersion, image_uuid
from maglica.model.moment import Moment

REQUEST = "7d3f2c1e-0f4b-4f0e-8f5d-6b3f7f8f4c4f"
UUID = image_uuid(REQUEST)
ORIGIN = "https://images.example.jp/debian-13.qcow2"
VERSION = ImageVersion(f"sha256:{'9d' * 32}", ORIGIN, "qcow2", 2 << 30, REQUEST, Moment(1795500000))


def metadata(volumes: Sequence[OwnVolume] = (), nvram: str | None = None) -> str:
    """Return the element for a definition's <metadata>; ``volumes`` are of its only version."""
    record = ImageRecord(REQUEST, "alice", (OwnVersion(VERSION, tuple(volumes)),), nvram)
    root = ET.Element("domain")
    ET.SubElement(root, "uuid")
    image_metadata.write(root, record)
    return "".join(ET.tostring(said, encoding="unicode") for said in root.iterfind("metadata/*"))
