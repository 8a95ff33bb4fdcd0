# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A definition that a user gave for an image: what of it is taken, left out and refused.

Whoever may ask for an image may not thereby read or write files of a host, nor open devices of it:
what is taken is about the virtual machine alone, everything else is refused. new_image.py puts its
own in the place of name, UUID, MAC addresses, what lies behind the disk, and Maglica's metadata.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

from ..model.errors import ImageUnsupported
from ..model.image import Firmware
from ..model.text import one_line, short, some
from . import metadata
from .definition import describe_disk, memory_bytes, parse
from .known import words

# What of a disk says how the guest sees it; the rest is about where it lies, and left out.
DISK_KEPT = words("address alias blockio boot driver iotune product serial target vendor wwn")
_DISK_FILES = DISK_KEPT - words("product serial vendor")
_OF_DRIVE = DISK_KEPT | {"readonly"}
# Names of disks, of which names of volumes are made.
_TARGET = re.compile(r"(fd|hd|sd|ubd|vd|xvd)[a-z]{1,4}")
# A definition has a few thousand characters.
MAX_SIZE = 1 << 16

_ELEMENTS = words(
    """
    name uuid title description metadata genid hwuuid clock cpu cputune currentMemory
    defaultiothread devices features iothreadids iothreads maxMemory memory memoryBacking memtune
    numatune on_crash on_lockfailure on_poweroff on_reboot os perf pm sysinfo vcpu vcpus
    """
)
_OF_OS = words("type boot bootmenu bios smbios firmware loader nvram")
_DEVICES = words(
    """
    audio channel console controller disk emulator graphics hub input interface iommu memballoon
    panic parallel redirdev rng serial sound tpm video vsock watchdog
    """
)
_CHARACTER_DEVICES = ("channel", "console", "parallel", "redirdev", "serial")
_BACKENDS = words("null pty qemu-vdagent spicevmc unix")
_INTERFACES = words("bridge direct network user")
_OF_INTERFACE = words(
    """
    acpi address alias bandwidth boot coalesce driver filterref guest link mac model mtu port
    source target virtualport vlan
    """
)
_DISPLAYS = words("spice vnc")
_AUDIO = words("none spice")
_RANDOM = words("/dev/random /dev/urandom")
# Texts that may have a slash and name no file, and what is judged piece by piece.
_JUDGED = words("title description metadata sysinfo os devices")
_MAX_ONE = 100


def read(xml: str) -> ET.Element:
    """Return the root of a user's definition, without what only a host can know.

    Raises ImageUnsupported, with every reason, if it can't be taken.
    """
    if len(xml) > MAX_SIZE:
        raise ImageUnsupported(f"xml is longer than {MAX_SIZE} characters")
    try:
        root = parse(xml)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"xml can't be taken: {error}") from error
    # Prefixes may stand in metadata. An id is that of a domain that runs.
    root.attrib = {k: v for k, v in root.attrib.items() if k == "type" or k.startswith("xmlns:")}
    for where, said in [*metadata.of_vm(root), *metadata.of_image(root)]:
        where.remove(said)
    _leave_out(root)
    found = list(dict.fromkeys(_refused(root)))
    if found:
        told = some([one_line(reason) for reason in found], "; it ")
        raise ImageUnsupported(f"xml can't be taken: it {told}")
    memory_bytes(root, "memory")
    return root


def firmware(root: ET.Element) -> Firmware | None:
    """Return the firmware that the definition says; None if it leaves that to the disk."""
    said = {"efi": Firmware.UEFI, "bios": Firmware.BIOS}
    boot = root.find("os")
    return None if boot is None else said.get(boot.get("firmware", ""))


def _leave_out(root: ET.Element) -> None:
    """Remove what libvirt finds out or makes by itself on each host."""
    for devices in root.iterfind("devices"):
        for emulator in devices.findall("emulator"):
            devices.remove(emulator)
    for boot in root.iterfind("os[@firmware]"):
        for child in [child for child in boot if child.tag in ("loader", "nvram")]:
            boot.remove(child)
    for kind in _CHARACTER_DEVICES:
        for element in root.iterfind(f"devices/{kind}"):
            element.attrib.pop("tty", None)
            is_own = element.get("type") == "pty" or (
                kind == "channel" and element.get("type") == "unix"
            )
            for source in element.findall("source") if is_own else ():
                element.remove(source)


def _refused(root: ET.Element) -> Iterator[str]:
    """Yield each reason why a definition can't be taken, to follow "it"."""
    for tag in ("os", "devices"):
        count = len(root.findall(tag))
        if count != 1:
            yield f"has {count} <{tag}>, where one belongs"
    for element in root:
        if element.tag not in _ELEMENTS:
            yield f"has <{short(element.tag, 40)}>, which is not taken from a user"
        elif element.tag not in _JUDGED:
            yield from _files(element)
        if element.tag == "on_crash" and "dump" in (element.text or ""):
            yield "has its memory written to a file of the host when it crashes (<on_crash>)"
    for element in root.iterfind("os/*"):
        yield from list(_of_os(element)) or _files(element)
    for element in root.iterfind("sysinfo"):
        if element.get("type") != "smbios":
            yield f"has <sysinfo> of type {_shown(element.get('type', ''))}"
    yield from _devices(root)


def _devices(root: ET.Element) -> Iterator[str]:
    for element in root.iterfind("devices/*"):
        if element.tag not in _DEVICES:
            yield f"has a device <{short(element.tag, 40)}>, which is not taken from a user"
        else:
            judge = _JUDGES.get(element.tag, _files)
            yield from list(judge(element)) or _files(element)
    yield from _disks(root)


def _of_os(element: ET.Element) -> Iterator[str]:
    if element.tag not in _OF_OS:
        yield f"has <{short(element.tag, 40)}> in <os>: an image starts from its disk"
    elif element.tag in ("loader", "nvram"):
        yield "names its firmware by a file: let <os> have firmware='efi'"


def _character_device(element: ET.Element) -> Iterator[str]:
    kind = element.get("type", "")
    if kind not in _BACKENDS:
        yield f"has a {element.tag} of type {_shown(kind)}: known are {_names(_BACKENDS)}"
    for child in element:
        if child.tag in ("log", "source"):
            yield f"has <{child.tag}> in a {element.tag}, which is about the host"


def _interface(element: ET.Element) -> Iterator[str]:
    kind = element.get("type", "")
    if kind not in _INTERFACES:
        yield f"has an interface of type {_shown(kind)}: known are {_names(_INTERFACES)}"
    for child in element:
        if child.tag not in _OF_INTERFACE:
            yield f"has <{short(child.tag, 40)}> in an interface, which is about the host"


def _audio(element: ET.Element) -> Iterator[str]:
    kind = element.get("type", "")
    if kind not in _AUDIO:
        yield f"has audio of type {_shown(kind)}: known are {_names(_AUDIO)}"


def _tpm(element: ET.Element) -> Iterator[str]:
    backend = element.find("backend")
    if backend is None or backend.get("type") != "emulator" or list(element.iter("source")):
        yield "has a TPM that is not an emulator with a state of libvirt's own"
    if list(element.iter("encryption")):
        yield "has a TPM whose state is encrypted, with a secret of one host"


def _display(element: ET.Element) -> Iterator[str]:
    kind = element.get("type", "")
    if kind not in _DISPLAYS:
        yield f"has a display of type {_shown(kind)}: known are {_names(_DISPLAYS)}"
    if any(each.get("socket") for each in element.iter()):
        yield "has a display on a socket of the host"
    if element.get("passwd") is not None:
        yield "has a display with a password, which would be kept in journals"


def _watchdog(element: ET.Element) -> Iterator[str]:
    if element.get("action") == "dump":
        yield "has a watchdog that writes its memory to a file of the host"


def _random(element: ET.Element) -> Iterator[str]:
    for backend in element.iterfind("backend"):
        model, source = backend.get("model"), "".join(backend.itertext()).strip()
        if model != "builtin" and not (model == "random" and source in ("", *_RANDOM)):
            yield f"has random numbers from {_shown(source or model or '')} of the host"


def _disks(root: ET.Element) -> Iterator[str]:
    elements = root.findall("devices/disk")
    disks = list(map(describe_disk, elements))
    hard = [disk.target for disk in disks if disk.device == "disk"]
    if len(hard) > 1:
        yield f"has the disks {some(hard)}: an image has one, whose content is the image's file"
    for element, disk in zip(elements, disks):
        if not disk.target:
            yield "has a disk without target"
        elif not _TARGET.fullmatch(disk.target):
            yield f"has a disk with the target {_shown(disk.target)}, which is not a name of a disk"
        if disk.device not in ("disk", "cdrom", "floppy"):
            yield f"has a disk that is a {_shown(disk.device)}"
        elif disk.device != "disk" and disk.source is not None:
            yield f"has {_shown(disk.source)} in its {disk.device} {disk.target}: leave it empty"
        elif disk.device != "disk":
            # Whatever else a drive may have leads to a medium.
            for child in element:
                if child.tag not in _OF_DRIVE and (child.attrib or len(child)):
                    where = f"its {disk.device} {disk.target}"
                    yield f"has <{short(child.tag, 40)}> in {where}: leave it empty"


def _files(element: ET.Element) -> Iterator[str]:
    """Yield what names a file or a device, in an element and below it."""
    if element.tag == "rng":
        return
    named = {name: value for name, value in element.attrib.items() if name != "timezone"}
    for value in (*named.values(), element.text or "", element.tail or ""):
        if "/" in value:
            yield f"names {_shown(value.strip())} in <{short(element.tag, 40)}>"
    for child in element:
        # Its source will be another.
        if element.tag != "disk" or child.tag in _DISK_FILES:
            yield from _files(child)


_JUDGES: dict[str, Callable[[ET.Element], Iterator[str]]] = {
    **dict.fromkeys(_CHARACTER_DEVICES, _character_device),
    "interface": _interface,
    "graphics": _display,
    "audio": _audio,
    "tpm": _tpm,
    "watchdog": _watchdog,
    "rng": _random,
}


def _shown(text: str) -> str:
    return repr(short(text, _MAX_ONE))


def _names(known: frozenset[str]) -> str:
    return ", ".join(sorted(known))
