# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A further disk in a domain's definition."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from ..model.errors import ImageUnsupported
from .cdrom import free_target, scsi_place
from .definition import DefinedDisk, describe_disk
from .metadata import OwnVolume

_PREFIX = {"virtio": "vd"}


@dataclass(frozen=True)
class FurtherDisk:
    """A disk as a definition has it; ``serial`` is what the guest finds it by."""

    path: str
    format: str
    bus: str
    serial: str
    cache: str | None = None
    discard: str | None = None


def target_of(bus: str, root: ET.Element, *others: ET.Element) -> str:
    """Return the target that a further disk on that bus can have in all these definitions."""
    return free_target(root, _PREFIX.get(bus, "sd"), *others)


def add(root: ET.Element, disk: FurtherDisk, target: str) -> list[ET.Element]:
    """Add a disk to a definition, and what it is to be attached to; return what was added."""
    devices = root.find("devices")
    if devices is None:
        raise ImageUnsupported("the definition has no <devices>")
    before = set(map(id, devices))
    element = ET.Element("disk", {"type": "file", "device": "disk"})
    modes = {"cache": disk.cache, "discard": disk.discard}
    said = {name: value for name, value in modes.items() if value is not None}
    ET.SubElement(element, "driver", {"name": "qemu", "type": disk.format, **said})
    ET.SubElement(element, "source", {"file": disk.path})
    ET.SubElement(element, "target", {"dev": target, "bus": disk.bus})
    ET.SubElement(element, "serial").text = disk.serial
    if disk.bus == "scsi":
        controller, unit = scsi_place(root, devices)
        place = {"controller": str(controller), "bus": "0", "target": "0", "unit": str(unit)}
        ET.SubElement(element, "address", {"type": "drive", **place})
    devices.append(element)
    return [each for each in devices if id(each) not in before]


def find(root: ET.Element, volume: OwnVolume) -> ET.Element | None:
    """Return the disk of a definition that is a volume; None if there is none."""
    sources = (volume.path, f"{volume.pool}/{volume.name}")
    for element in root.iterfind("devices/disk"):
        if describe_disk(element).source in sources:
            return element
    return None


def described(root: ET.Element, volume: OwnVolume) -> DefinedDisk | None:
    """Return what a definition says of the disk that is a volume."""
    element = find(root, volume)
    return None if element is None else describe_disk(element)
