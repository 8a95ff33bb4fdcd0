# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a definition is known to be harmless in two domains on one host.

libvirt's format grows, so what is not known here is refused: an element, a kind of device, and a
path of the host in any place but these. The format is https://libvirt.org/formatdomain.html.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from .metadata import namespace

QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_TEST_NAMESPACE = "http://libvirt.org/schemas/domain/test/1.0"


def words(text: str) -> frozenset[str]:
    """Return the words of a table."""
    return frozenset(text.split())


# What only one guest can have of what systemd takes from SMBIOS, fw_cfg and a kernel's command
# line: systemd.system-credentials(7).
_CREDENTIAL = re.compile(
    r"(?:credential(?:[._]binary)?[:=]|credentials/)"
    r"((?:firstboot|system)\.hostname|system\.machine_id"
    r"|network\.(?:link|netdev|network)\.[^=:,]+)"
    r"(?=[=:,]|$)"
)

CHARACTER_DEVICES = ("serial", "parallel", "console", "channel", "redirdev", "rng", "smartcard")

# The identity, which a clone gets anew, and what is about the virtual machine alone.
_ELEMENTS = words(
    """
    name uuid hwuuid genid title description metadata blkiotune clock cpu cputune currentMemory
    defaultiothread devices features iothreadids iothreads keywrap launchSecurity maxMemory
    memory memoryBacking memtune numatune on_crash on_lockfailure on_poweroff on_reboot os perf
    pm resource seclabel sysinfo throttlegroups vcpu vcpus
    """
)
# Of these domain_limits.py judges some further.
_DEVICES = words(
    """
    audio controller crypto disk emulator filesystem graphics hostdev hub input interface iommu
    lease memballoon memory nvram panic pstore redirfilter shmem sound tpm video vsock watchdog
    """
).union(CHARACTER_DEVICES)
# Texts, what is made anew for a clone, and what domain_limits.py judges by itself.
_OTHERWISE = words(
    """
    title description metadata seclabel sysinfo os/nvram os/varstore os/cmdline devices/disk
    devices/hostdev devices/lease devices/shmem
    """
)
# Where a path may stand: what is only read or run, what the kernel shares out by itself, and what
# domain_clone.py gives a clone of its own or domain_limits.py judges.
_PLACES = words(
    """
    blkiotune/device/path os/acpi/table os/dtb os/initrd os/kernel os/loader os/shim
    resource/partition launchSecurity/quoteGenerationService@path devices/emulator
    devices/audio@path devices/audio@runtimeDir devices/audio@serverName devices/audio/input@dev
    devices/audio/output@dev devices/filesystem/binary@path devices/filesystem/source@dev
    devices/filesystem/source@dir devices/filesystem/source@file
    devices/filesystem/source@socket devices/filesystem/target@dir devices/graphics@passwd
    devices/graphics@socket devices/graphics@xauth devices/graphics/gl@rendernode
    devices/graphics/listen@socket devices/input/source@dev devices/input/source@evdev
    devices/interface/backend@logFile devices/interface/backend@tap
    devices/interface/backend@vhost devices/interface/downscript@path devices/interface/rom@file
    devices/interface/script@path devices/interface/source@dev devices/interface/source@path
    devices/memory/source/path devices/pstore/path devices/rng/backend
    devices/rng/backend/log@file devices/rng/backend/source@path devices/smartcard/database
    devices/tpm/backend/device@path devices/tpm/backend/source@path
    devices/video/model/acceleration@rendernode
    """
).union(
    f"devices/{kind}{place}"
    for kind in CHARACTER_DEVICES
    for place in ("@tty", "/log@file", "/source@channel", "/source@path", "/target@name")
)


def credential(told: str) -> str | None:
    """Return the name of the first credential in ``told`` that only one guest can have."""
    match = _CREDENTIAL.search(told)
    return match and match[1]


def unknown(root: ET.Element, own_networks: bool) -> Iterator[str]:
    """Yield what of the domain ``root`` is not known to be harmless, to follow "the image".

    ``own_networks``: the clone gets other interfaces, so that those of the image don't matter.
    """
    for element in root:
        prefix, _colon, _local = element.tag.rpartition(":")
        uri = namespace(prefix, element, root)
        if element.tag not in _ELEMENTS and uri not in (QEMU_NAMESPACE, _TEST_NAMESPACE):
            yield f"has <{element.tag[:40]}>, which two vms might not both have"
    for element in root.iterfind("devices/*"):
        if element.tag not in _DEVICES:
            yield f"has a device <{element.tag[:40]}>, which two vms might not both have"
    skipped = _OTHERWISE | {"devices/interface"} if own_networks else _OTHERWISE
    for child in root:
        for place, path in _paths(child, child.tag, skipped):
            if place not in _PLACES:
                where = place.removeprefix("devices/")
                yield f"names {path[:200]} of the host in {where}, which two vms might share"


def _paths(element: ET.Element, place: str, skipped: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield (place, path) for each path of the host in an element and below it."""
    if place in skipped or element.tag == "seclabel" or ":" in element.tag:
        return
    for name, value in element.attrib.items():
        if value.startswith("/"):
            yield f"{place}@{name}", value
    text = (element.text or "").strip()
    if text.startswith("/"):
        yield place, text
    for child in element:
        yield from _paths(child, f"{place}/{child.tag}", skipped)
