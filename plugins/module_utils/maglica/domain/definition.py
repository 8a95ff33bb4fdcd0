# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a domain's definition (libvirt's domain XML) into values; domain_clone.py rewrites it.

The format is https://libvirt.org/formatdomain.html. A definition was written by whoever may define
domains on a host, so it is bounded in size and may have no document type, hence no entities.
Element names keep the prefix with which they were written, so that foreign metadata stays as it is.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from xml.parsers import expat

from ..model.errors import ImageUnsupported
from ..model.vm import Graphics, Interface, SerialConsole
from . import image_metadata, metadata, nics
from .hardware import boot, screens
from .image_metadata import ImageRecord
from .metadata import Made

# libvirtd's own limit for a string is 4 MiB; a definition has a few KiB.
MAX_SIZE = 1 << 20
# libxml2 refuses what is nested deeper, so libvirtd never has such a definition.
MAX_DEPTH = 256

# The units of <memory>, in bytes: formatdomain.html, "Memory Allocation".
_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "k": 1 << 10,
    "KiB": 1 << 10,
    "MB": 10**6,
    "M": 1 << 20,
    "MiB": 1 << 20,
    "GB": 10**9,
    "G": 1 << 30,
    "GiB": 1 << 30,
    "TB": 10**12,
    "T": 1 << 40,
    "TiB": 1 << 40,
}
# The attribute of a disk's <source> that names it, by the disk's type.
_NAMED_BY = {"file": "file", "block": "dev", "dir": "dir"}


@dataclass(frozen=True)
class DefinedBacking:
    """A backing file as it is defined, ``source`` as of a disk; None: that is not stated."""

    source: str | None
    format: str | None


@dataclass(frozen=True)
class DefinedDisk:
    """A disk as it is defined.

    ``kind`` is the source's type (file, block, volume, network …), ``device`` is disk, cdrom,
    floppy or lun. ``source`` is a path, ``POOL/VOLUME`` or ``PROTOCOL:NAME``, or None when there
    is no medium. ``format`` is the stated format, raw when none is stated, as libvirt has it.
    ``shared`` says that a clone uses the same source: a disk that is empty, read-only or made for
    sharing. Every other disk is copied. ``backings`` are the backing files that are stated, the top
    first, and ``standalone`` says that there are no others; libvirt takes these, whatever the
    disk's header says.
    """

    target: str
    device: str
    kind: str
    source: str | None
    format: str
    read_only: bool
    shared: bool
    pool: str | None = None
    volume: str | None = None
    backings: tuple[DefinedBacking, ...] = ()
    standalone: bool = False
    bus: str | None = None
    serial: str | None = None
    cache: str | None = None
    discard: str | None = None


@dataclass(frozen=True)
class Definition:
    """A domain's definition. ``memory_mib`` and ``vcpus`` are what it starts with, or, of one that
    runs, has; ``max_memory_mib`` and ``max_vcpus`` what it may be given while it runs.

    ``made`` is None for a domain that others made and that was not adopted, be it a copy of a vm of
    Maglica's. ``nvram`` is
    the path of a UEFI guest's variables, when it is stated. ``image`` is what was recorded of an
    image, None if nothing was. ``private_macs`` are those of interfaces whose addresses mean
    nothing outside the guest: QEMU's own network gives 10.0.2.15 to each, passt the host's own.
    """

    name: str
    uuid: str
    kind: str
    made: Made | None
    vcpus: int
    memory_mib: int
    disks: tuple[DefinedDisk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    private_macs: frozenset[str] = frozenset()
    nvram: str | None = None
    title: str | None = None
    description: str | None = None
    image: ImageRecord | None = None
    boot_order: tuple[str, ...] = ()
    graphics: tuple[Graphics, ...] = ()
    console: SerialConsole | None = None
    max_vcpus: int = 0
    max_memory_mib: int = 0

    @property
    def is_made_image(self) -> bool:
        """Whether it is an original image because Maglica made it as one."""
        return self.image is not None and self.image.made

    @property
    def is_adopted(self) -> bool:
        """Whether others made it, and Maglica may run and change it."""
        return self.made is not None and self.made.adopted

    @property
    def foreign_disks(self) -> tuple[str, ...]:
        """The files of an adopted domain, as its definition names them: disks that are written to,
        and UEFI variables; nothing that Maglica has added, or a package brought.
        """
        if self.made is None or not self.made.adopted:
            return ()
        others = {name for each in self.made.volumes for name in each.sources}
        if self.nvram and self.nvram.startswith("/usr/"):
            others.add(self.nvram)
        disks = [each for each in self.copied_disks if each.device == "disk"]
        files = [each.source for each in disks if each.kind in ("file", "volume")]
        found = filter(None, (*files, self.nvram))
        return tuple(dict.fromkeys(each for each in found if each not in others))

    @property
    def copied_disks(self) -> tuple[DefinedDisk, ...]:
        """The disks of which a clone gets its own copies."""
        return tuple(disk for disk in self.disks if not disk.shared)


def describe(xml: str) -> Definition:
    """Return the values in the domain XML ``xml`` (live or inactive).

    Raises ImageUnsupported for what is no definition of a domain, or isn't safe to parse.
    """
    root = parse(xml)
    name, uuid = text(root, "name"), text(root, "uuid").lower()
    image, made = image_metadata.recorded(root, uuid), metadata.made(root, uuid)
    if image is not None and image.made and made is not None and made.adopted:
        # It is an image, whoever says that it was adopted.
        made = None
    return Definition(
        name=name,
        uuid=uuid,
        kind=root.get("type", ""),
        made=made,
        vcpus=_vcpus(root),
        memory_mib=_memory_mib(root),
        disks=tuple(describe_disk(element) for element in root.iterfind("devices/disk")),
        interfaces=tuple(nics.describe(element) for element in root.iterfind("devices/interface")),
        private_macs=frozenset(
            nics.mac(element)
            for element in root.iterfind("devices/interface")
            if nics.is_private(element)
        ),
        nvram=nvram_of(root),
        title=root.findtext("title"),
        description=root.findtext("description"),
        image=image,
        boot_order=boot.order(root),
        graphics=screens.graphics(root),
        console=screens.console(root),
        max_vcpus=max_vcpus(root),
        max_memory_mib=memory_bytes(root, "memory") >> 20,
    )


def parse(xml: str) -> ET.Element:
    """Return the root of the domain XML ``xml``; element names are as written, prefix included."""
    if len(xml) > MAX_SIZE:
        raise ImageUnsupported(f"the definition is longer than {MAX_SIZE} characters")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(xml, True)
        root = builder.close()
    except (expat.ExpatError, ValueError) as error:
        raise ImageUnsupported(f"the definition is not XML: {error}") from None
    if root.tag != "domain":
        raise ImageUnsupported(f"the definition is one of a {root.tag[:40]!r}, not of a domain")
    if _deeper_than(root, MAX_DEPTH):
        raise ImageUnsupported(f"the definition is nested more than {MAX_DEPTH} deep")
    return root


def _refuse_doctype(*_arguments: object) -> None:
    raise ImageUnsupported("the definition has a document type declaration")


def _deeper_than(root: ET.Element, limit: int) -> bool:
    level = [root]
    for _round in range(limit):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True


def text(root: ET.Element, path: str) -> str:
    """Return the text of the element at ``path``, which must be there."""
    found = root.findtext(path)
    if not found:
        raise ImageUnsupported(f"the definition has no <{path}>")
    return found


def memory_bytes(root: ET.Element, path: str) -> int:
    """Return the bytes that the element at ``path`` states in its unit (KiB if none)."""
    element = root.find(path)
    unit = "KiB" if element is None else element.get("unit", "KiB")
    return number(text(root, path), path) * _UNITS.get(unit, 1 << 10)


def number(value: str, what: str) -> int:
    """Return ``value`` as a whole number that is not negative."""
    stripped = value.strip()
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) <= 18):
        raise ImageUnsupported(f"the definition's <{what}> is not a number: {value[:40]!r}")
    return int(stripped)


def _vcpus(root: ET.Element) -> int:
    current = root.find("vcpu[@current]")
    if current is None:
        return max_vcpus(root)
    return number(current.get("current", ""), "vcpu")


def max_vcpus(root: ET.Element) -> int:
    """Return how many virtual CPUs a domain can have."""
    return number(root.findtext("vcpu") or "1", "vcpu")


def _memory_mib(root: ET.Element) -> int:
    most = memory_bytes(root, "memory")
    current = root.findtext("currentMemory")
    # libvirt takes what would be more, or nothing, for all of it.
    return (min(most, memory_bytes(root, "currentMemory") or most) if current else most) >> 20


def nvram_of(root: ET.Element) -> str | None:
    """Return the path of a UEFI guest's variables, when it is stated."""
    source = root.find("os/nvram/source")
    if source is not None:
        return source.get("file")
    return (root.findtext("os/nvram") or "").strip() or None


def hides_nvram(root: ET.Element) -> bool:
    """Say whether a domain may have UEFI variables in a place that its definition doesn't state.

    So it is up to libvirt 9.0 if libvirt chooses the firmware (``<os firmware='efi'>``): it does so
    at each start, and forgets it.
    """
    return root.find("os[@firmware='efi']") is not None and nvram_of(root) is None


def noted(now: Definition, later: Definition) -> Definition:
    """Return how a domain runs, with what is noted of it in the definition of its next start.

    One that was started from a saved state runs with what was noted before it was saved.
    """
    return replace(
        now,
        made=later.made,
        image=later.image,
        title=later.title,
        description=later.description,
        boot_order=later.boot_order,
    )


def describe_disk(element: ET.Element) -> DefinedDisk:
    """Return the values in a <disk> element."""
    kind = element.get("type", "")
    source = element.find("source")
    name = None if source is None else _source_name(kind, source)
    target = element.find("target")
    driver = element.find("driver")
    transient = element.find("transient")
    read_only = element.find("readonly") is not None
    backings, standalone = _backings(element)
    return DefinedDisk(
        target="" if target is None else target.get("dev", ""),
        device=element.get("device", "disk"),
        kind=kind,
        source=name,
        format="raw" if driver is None else driver.get("type", "raw"),
        read_only=read_only,
        shared=source is None
        or (kind in _NAMED_BY and name is None)
        or read_only
        or element.find("shareable") is not None
        or (transient is not None and transient.get("shareBacking") == "yes"),
        pool=None if source is None else source.get("pool"),
        volume=None if source is None else source.get("volume"),
        backings=backings,
        standalone=standalone,
        bus=None if target is None else target.get("bus"),
        serial=element.findtext("serial"),
        cache=None if driver is None else driver.get("cache"),
        discard=None if driver is None else driver.get("discard"),
    )


def _backings(disk: ET.Element) -> tuple[tuple[DefinedBacking, ...], bool]:
    """Return the backing files that a <disk> states, and whether it says that these are all."""
    found: list[DefinedBacking] = []
    element = disk.find("backingStore")
    while element is not None:
        source, form = element.find("source"), element.find("format")
        if source is None:
            return tuple(found), True
        name = _source_name(element.get("type", ""), source)
        found.append(DefinedBacking(name, None if form is None else form.get("type")))
        element = element.find("backingStore")
    return tuple(found), False


def _source_name(kind: str, source: ET.Element) -> str | None:
    if kind == "volume":
        return f"{source.get('pool')}/{source.get('volume')}"
    if kind == "network":
        return f"{source.get('protocol')}:{source.get('name')}"
    return source.get(_NAMED_BY.get(kind, "path"))
