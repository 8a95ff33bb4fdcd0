# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a domain boots."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

# Our words, by those of libvirt's <boot dev=>.
_WORDS = {"hd": "disk", "cdrom": "cdrom", "network": "network", "fd": "floppy"}
_LIBVIRTS = {word: dev for dev, word in _WORDS.items()}


def order(root: ET.Element) -> tuple[str, ...]:
    """Return what is booted from, the first first: ``disk``, ``cdrom``, ``network`` …

    A domain says that of all kinds, or of each device: one that is not the first of its kind is
    ``other disk`` …, from which a kind alone does not boot.
    """
    kinds = [each.get("dev", "") for each in root.iterfind("os/boot")]
    words = [_WORDS.get(kind, kind) for kind in kinds] or [
        word for _place, word in sorted(_of_devices(root))
    ]
    return tuple(dict.fromkeys(words))


def _of_devices(root: ET.Element) -> list[tuple[int, str]]:
    found, seen = [], set()
    for device in root.iterfind("devices/*"):
        kind = device.get("device", "disk") if device.tag == "disk" else device.tag
        word = {"interface": "network"}.get(kind, kind)
        first, boot = word not in seen, device.find("boot")
        seen.add(word)
        place = "" if boot is None else boot.get("order", "")
        if place.isascii() and place.isdigit() and len(place) < 10:
            found.append((int(place), word if first else f"other {word}"))
    return found


def set_order(root: ET.Element, words: Sequence[str]) -> None:
    """Have a domain boot from these, in this order, and from nothing else."""
    boot = root.find("os")
    for device in root.iterfind("devices/*"):
        for child in device.findall("boot"):
            device.remove(child)
    if boot is None:
        boot = ET.SubElement(root, "os")
    for child in boot.findall("boot"):
        boot.remove(child)
    for word in words:
        ET.SubElement(boot, "boot", {"dev": _LIBVIRTS[word]})
