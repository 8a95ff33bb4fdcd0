# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a definition tells QEMU by hand, past libvirt: what of it a clone can have too."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from .known import QEMU_NAMESPACE, credential
from .metadata import namespace

# Options that configure the virtual machine itself and open nothing that can be written to.
_OPTIONS = frozenset(
    {
        "-acpitable",
        "-boot",
        "-cpu",
        "-fw_cfg",
        "-global",
        "-machine",
        "-msg",
        "-overcommit",
        "-rtc",
        "-smbios",
    }
)
_LONE_OPTIONS = frozenset({"-no-hpet", "-no-reboot"})
# Properties that tell one vm from another, wherever they stand, and one that writes a file.
_IDENTITY = frozenset({"uuid", "guid", "mac", "guest-cid", "wwn", "port_wwn", "dumpdtb"})
_PROPERTY = re.compile(r"(?:^|[,.])([A-Za-z0-9_-]+)=")
# Environment that names a display, a sound server, or a language.
_ENVIRONMENT = frozenset(
    {
        "DISPLAY",
        "LANG",
        "PULSE_SERVER",
        "QEMU_AUDIO_DRV",
        "QEMU_AUDIO_TIMER_PERIOD",
        "QEMU_PA_SAMPLES",
        "QEMU_PA_SERVER",
        "SDL_VIDEODRIVER",
        "TMPDIR",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "XDG_RUNTIME_DIR",
    }
)


def by_hand(root: ET.Element) -> Iterator[str]:
    """Yield what is told QEMU by hand and can't be cloned, to follow "the image"."""
    for element in root:
        prefix, _colon, local = element.tag.rpartition(":")
        if namespace(prefix, element, root) != QEMU_NAMESPACE:
            continue
        if local == "commandline":
            yield from _arguments([arg.get("value", "") for arg in _named(element, "arg")])
            yield from _environment(element)
        elif local == "override":
            yield from _properties(element)


def _named(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (child for child in element.iter() if child.tag.rpartition(":")[2] == name)


def _arguments(values: list[str]) -> Iterator[str]:
    """Judge the arguments as QEMU reads them: options with a value each, or alone."""
    rest = iter(values)
    for value in rest:
        option = "-" + value.lstrip("-")
        if value.startswith("-") and option in _LONE_OPTIONS:
            continue
        if not value.startswith("-") or option not in _OPTIONS:
            # What is no option is a disk for QEMU.
            kind = "option" if value.startswith("-") else "disk"
            yield f"gives QEMU the {kind} {value[:40]} by hand"
            if value.startswith("-"):
                next(rest, None)
            continue
        given = next(rest, "")
        own = sorted(_IDENTITY.intersection(_PROPERTY.findall(given)))
        told = own[0] if own else credential(given)
        if told:
            yield f"gives QEMU {told} by {option} by hand, which only one vm can have"


def _environment(element: ET.Element) -> Iterator[str]:
    for variable in _named(element, "env"):
        name = variable.get("name", "")
        if name not in _ENVIRONMENT:
            yield f"gives QEMU the environment variable {name[:40]} by hand"


def _properties(element: ET.Element) -> Iterator[str]:
    for found in _named(element, "property"):
        if found.get("name") in _IDENTITY:
            yield f"overrides the property {found.get('name')} of a device by hand"
