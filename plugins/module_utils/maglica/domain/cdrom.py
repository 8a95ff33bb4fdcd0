# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cdrom for a clone, beside the drives that its image has.

It is one on a virtio-scsi controller: kernels made for clouds have no drivers for others (Debian's
has none for SATA), and a medium that they don't see is none.
"""

from __future__ import annotations

import itertools
import string
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping

from ..model.errors import ImageUnsupported, StorageFailed

# Drives that can be without a medium.
REMOVABLE = frozenset({"cdrom", "floppy"})
_MODELS = ("virtio-scsi", "virtio-transitional", "virtio-non-transitional")
# Of a controller's targets only the first is used: units of it that QEMU has room for.
_UNITS = 256


def free_target(root: ET.Element, prefix: str = "sd", *others: ET.Element) -> str:
    """Return the name (sda …) that a further drive of the domain can have, in each definition."""
    taken = {
        element.get("dev")
        for each in (root, *others)
        for element in each.iterfind("devices/disk/target")
    }
    letters = ("".join(each) for n in (1, 2) for each in _words(n))
    free = (name for name in (f"{prefix}{each}" for each in letters) if name not in taken)
    found = next(free, None)
    if found is None:
        raise StorageFailed(f"all names of drives are taken, from {prefix}a to {prefix}zz")
    return found


def _words(length: int) -> Iterator[tuple[str, ...]]:
    return itertools.product(string.ascii_lowercase, repeat=length)


def drive(root: ET.Element, own: Collection[str]) -> ET.Element | None:
    """Return the first drive for CDs in which nothing of these is, which are the vm's own."""
    for element in root.iterfind("devices/disk[@device='cdrom']"):
        source = element.find("source")
        if source is None or not set(own) & set(source.attrib.values()):
            return element
    return None


def put(element: ET.Element, medium: Mapping[str, str]) -> None:
    """Have a drive with a medium, the attributes of its source, or with none."""
    for tag in ("source", "backingStore"):
        for child in element.findall(tag):
            element.remove(child)
    element.set("type", "volume" if "pool" in medium else "file")
    for driver in element.findall("driver"):
        # What the last medium was: a file that says of itself to be qcow2 may name any other one.
        driver.set("type", "raw")
    if medium:
        target = element.find("target")
        place = 0 if target is None else list(element).index(target)
        element.insert(place, ET.Element("source", dict(medium)))


def add(root: ET.Element, path: str) -> str:
    """Add a cdrom with the raw file ``path`` in it; return its target."""
    target = free_target(root)
    new(root, {"file": path})
    return target


def new(root: ET.Element, medium: Mapping[str, str]) -> list[ET.Element]:
    """Add a drive with a medium, the attributes of its source, to a definition; return what was
    added.
    """
    devices = root.find("devices")
    if devices is None:
        raise ImageUnsupported("the definition has no <devices>")
    before = set(map(id, devices))
    target = free_target(root)
    controller, unit = scsi_place(root, devices)
    kind = "volume" if "pool" in medium else "file"
    disk = ET.Element("disk", {"type": kind, "device": "cdrom"})
    ET.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
    ET.SubElement(disk, "source", dict(medium))
    ET.SubElement(disk, "target", {"dev": target, "bus": "scsi"})
    ET.SubElement(disk, "readonly")
    place = {"controller": str(controller), "bus": "0", "target": "0", "unit": str(unit)}
    ET.SubElement(disk, "address", {"type": "drive", **place})
    devices.append(disk)
    return [each for each in devices if id(each) not in before]


def eject(root: ET.Element, targets: Collection[str]) -> None:
    """Take the media out of those drives that have these targets."""
    for element in root.iterfind("devices/disk"):
        target = element.find("target")
        if (
            element.get("device") in REMOVABLE
            and target is not None
            and target.get("dev") in targets
        ):
            for tag in ("source", "backingStore"):
                for child in element.findall(tag):
                    element.remove(child)


def scsi_place(root: ET.Element, devices: ET.Element) -> tuple[int, int]:
    """Return a controller's index and a free unit of it; add a controller where none has one."""
    used = set(_drives(root))
    controllers = {
        _number(each.get("index"), 0): each.get("model")
        for each in devices.iterfind("controller[@type='scsi']")
    }
    for index, model in sorted(controllers.items()):
        free = next((unit for unit in range(_UNITS) if (index, unit) not in used), None)
        if model in _MODELS and free is not None and (index, None) not in used:
            return index, free
    taken = {*controllers, *(index for index, _unit in used)}
    index = next(number for number in itertools.count() if number not in taken)
    attributes = {"type": "scsi", "index": str(index), "model": _MODELS[0]}
    last = [
        at for at, child in enumerate(devices) if child.tag in ("emulator", "disk", "controller")
    ]
    devices.insert(last[-1] + 1 if last else 0, ET.Element("controller", attributes))
    return index, 0


def _drives(root: ET.Element) -> Iterator[tuple[int, int | None]]:
    """Yield the controller and the unit of each SCSI drive; no unit where libvirt is to choose one.

    It does so among those of the first controllers, which then are left alone.
    """
    scsi = [
        element
        for element in root.iterfind("devices/disk")
        if (target := element.find("target")) is not None and target.get("bus") == "scsi"
    ]
    for element in (*scsi, *root.iterfind("devices/hostdev[@type='scsi']")):
        address = element.find("address[@type='drive']")
        if address is None:
            yield 0, None
        elif _number(address.get("target"), 0) == 0:
            yield _number(address.get("controller"), 0), _number(address.get("unit"), 0)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else default
