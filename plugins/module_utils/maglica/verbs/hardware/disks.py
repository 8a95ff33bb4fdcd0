# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The further disks of a vm, as they are asked for; each has a name that stays whatever its place
among the others is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...model import names
from ...model.checks import Check, boolean, choice, named, optional, record
from ...model.errors import DiskSizeUnsupported, MessageInvalid, NameInvalid, StorageFailed
from ...model.plain import plain
from ...model.sizes import shown
from ...model.vm import Disk, Domain
from ..verb import DISK_SIZE, NAME, WantedVm
from .set_cdrom import Medium

FEATURE = "disks"
MAX_DISKS = 16


class Bus(str, enum.Enum):
    """How a guest sees a disk: by virtio-blk, by virtio-scsi, or as one of SATA."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"


class Cache(str, enum.Enum):
    """How the host caches a disk, in QEMU's words."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"


class Discard(str, enum.Enum):
    """Whether what the guest discards is given back to the storage."""

    UNMAP = "unmap"
    IGNORE = "ignore"


@dataclass(frozen=True)
class NewDisk:
    """A disk to be added. ``size_mib`` is None of one that was kept. ``serial`` is what the guest
    finds it by, None: its name. ``cache`` and ``discard`` are QEMU's own when None.
    """

    name: str
    size_mib: int | None = None
    pool: str | None = None
    bus: Bus = Bus.VIRTIO
    cache: Cache | None = None
    discard: Discard | None = None
    serial: str | None = None


@dataclass(frozen=True)
class WantedDisk:
    """How a disk of a vm shall be: there, or not (``present``); what is None is as it is. ``keep``:
    one that goes is only detached. ``is_there``: none is added where there is no such disk.
    """

    name: str
    size_mib: int | None = None
    pool: str | None = None
    bus: Bus | None = None
    cache: Cache | None = None
    discard: Discard | None = None
    serial: str | None = None
    present: bool = True
    keep: bool = False
    is_there: bool = False

    @property
    def new(self) -> NewDisk:
        disk = NewDisk(self.name, self.size_mib, self.pool, self.bus or Bus.VIRTIO)
        return replace(disk, cache=self.cache, discard=self.discard, serial=self.serial)


class WantsDisks(WantedVm, Protocol):
    """What verbs about disks must know of how a vm shall be."""

    @property
    def disks(self) -> tuple[WantedDisk, ...]: ...


DISK_NAME = named(names.disk_name)
FIELDS: dict[str, Check] = {
    "size_mib": optional(DISK_SIZE),
    "pool": optional(NAME),
    "bus": choice(Bus),
    "cache": optional(choice(Cache)),
    "discard": optional(choice(Discard)),
    "serial": optional(DISK_NAME),
}
new_disk = record(NewDisk, name=DISK_NAME, **FIELDS)
_wanted = record(
    WantedDisk,
    **{**FIELDS, "name": DISK_NAME, "bus": optional(choice(Bus))},
    present=boolean,
    keep=boolean,
    is_there=boolean,
)


def wanted(disks: Sequence[Any]) -> tuple[WantedDisk, ...]:
    """Return the disks that are asked for, also as plain data. Raises MessageInvalid."""
    found: dict[str, WantedDisk] = {}
    for index, each in enumerate(plain(disks)):
        path = f"disks[{index}]"
        disk: WantedDisk = _wanted(each, path)
        if disk.name in found:
            raise MessageInvalid(f"{path}: a disk {disk.name} stands twice in the list")
        if disk.keep and disk.present:
            raise MessageInvalid(
                f"{path}.keep: only a disk with state=absent is kept: {disk.name} is to be there"
            )
        found[disk.name] = disk
    if len(found) > MAX_DISKS:
        raise MessageInvalid(f"disks: more than {MAX_DISKS}")
    return tuple(found.values())


def check_new(disk: NewDisk, path: str) -> None:
    """Raise MessageInvalid for a disk that can't be made as a new one."""
    if names.is_disk_target(disk.name):
        raise MessageInvalid(
            f"{path}.name: {disk.name} is how a disk is named that a vm was made with; give another"
            " name"
        )
    if disk.size_mib is None:
        raise MessageInvalid(f"{path}.size_mib: missing, and there is no disk {disk.name} yet")


def new_ones(asked: Sequence[WantedDisk]) -> tuple[NewDisk, ...]:
    """Return those that a vm which is to be made can have."""
    return tuple(
        disk.new
        for disk in asked
        if disk.present and disk.size_mib is not None and not names.is_disk_target(disk.name)
    )


def check_all_new(asked: Sequence[WantedDisk]) -> None:
    """Raise NameInvalid where a vm that is to be made can't have one of these disks."""
    for disk in asked:
        if disk.present:
            try:
                check_new(disk.new, "disks")
            except MessageInvalid as error:
                raise NameInvalid(str(error).replace("size_mib", "size")) from None


def promised(disk: NewDisk) -> Disk:
    """Return a new vm's disk as it will be, as far as that is known."""
    size = (disk.size_mib or 0) << 20
    told = (disk.name, disk.pool, disk.bus.value, disk.serial or disk.name)
    modes = (plain(disk.cache), plain(disk.discard))
    return Disk("", "disk", None, None, size, None, *told, *modes)


def all_promised(new: Sequence[NewDisk], medium: Medium | None) -> tuple[Disk, ...]:
    """Return the disks that a new vm will have besides, and its drive if that has a medium."""
    drives = () if medium is None else (Disk("", "cdrom", None, medium.source),)
    return (*map(promised, new), *drives)


def attached(existing: Domain) -> dict[str, Disk]:
    """Return the vm's own disks by their names, as far as they are attached."""
    return {disk.name: disk for disk in existing.disks if disk.name and disk.device == "disk"}


def there(asked: WantsDisks, existing: Domain) -> Iterator[tuple[WantedDisk, Disk]]:
    """Yield the disks that shall be there, and are, each as it is asked for and as it is.

    Raises StorageFailed where it has what can't be changed otherwise than asked for.
    """
    found = attached(existing)
    for disk in asked.disks:
        if disk.present and disk.name in found:
            check_same(disk, found[disk.name], existing)
            yield disk, found[disk.name]


def check_same(disk: WantedDisk | NewDisk, now: Disk, existing: Domain) -> None:
    """Raise StorageFailed for a disk that has what can't be changed otherwise than asked for."""
    for what in ("pool", "bus", "serial", "cache", "discard"):
        asked, known = getattr(disk, what), getattr(now, what)
        if asked is not None and plain(asked) != known:
            raise StorageFailed(
                f"disk {disk.name} of vm {existing.name} on host {existing.host} has {what}"
                f" {known or 'not said'}, not {plain(asked)}: only its size can be changed; detach"
                " it (state=absent, keep=true) and add it again"
            )


def check_size(disk: WantedDisk, now: Disk, existing: Domain) -> None:
    """Raise DiskSizeUnsupported for a disk that would have to shrink."""
    size, there_now = (disk.size_mib or 0) << 20, now.capacity_bytes or 0
    if 0 < size < there_now:
        raise DiskSizeUnsupported(
            f"disk {disk.name} of vm {existing.name} on host {existing.host} has"
            f" {shown(there_now)}, and can't be made smaller, to {shown(size)}"
        )
