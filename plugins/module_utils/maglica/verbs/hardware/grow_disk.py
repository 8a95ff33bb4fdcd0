# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a disk of a vm be larger, which its guest sees at once; no disk ever shrinks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...model.vm import Disk, Domain
from ..verb import DISK_SIZE, Change, Interrupted, OnVm, Option, Verb, vm_record
from .disks import DISK_NAME, FEATURE, WantedDisk, WantsDisks, check_size, there


@dataclass(frozen=True)
class GrowDiskSpec(OnVm):
    """A vm whose own disk of that name shall have this size."""

    verb = "grow_disk"
    disk: str
    size_mib: int


def _change(wanted: WantsDisks, existing: Domain) -> tuple[Change, ...]:
    changes = []
    for disk, now in (*there(wanted, existing), *_first(wanted, existing)):
        check_size(disk, now, existing)
        if disk.size_mib is None or disk.size_mib << 20 == now.capacity_bytes:
            continue
        key, size = f"disk {disk.name}", now.capacity_bytes
        before = {key: {"size_mib": None if size is None else size >> 20}}
        pinned = (existing.name, existing.uuid, existing.host)
        spec = GrowDiskSpec(*pinned, disk.name, disk.size_mib)
        changes.append(Change(spec, {key: {"size_mib": disk.size_mib}}, before=before))
    return tuple(changes)


def _first(wanted: WantsDisks, existing: Domain) -> Iterator[tuple[WantedDisk, Disk]]:
    """Yield the disk that the size of a new vm's first disk is about, where that is known."""
    size, named = wanted.clone.disk_size_mib, {disk.name for disk in wanted.disks}
    # Of a vm that is just being made only further disks are known, and no target of any.
    disks = [disk for disk in existing.disks if disk.device == "disk" and disk.target]
    for first in disks[:1]:
        is_known = bool(first.name) and first.capacity_bytes is not None
        if size is not None and is_known and first.name not in named:
            yield WantedDisk(first.name or "", size), first


GROW_DISK = Verb(
    spec=GrowDiskSpec,
    record=vm_record(GrowDiskSpec, disk=DISK_NAME, size_mib=DISK_SIZE),
    help="let a disk of a vm be larger",
    act="grow a disk of",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("disk", "disk", "its name, or its target such as vda", "text", "DISK"),
        Option("size_mib", "--size", "in MiB or such as 20GiB", "size", "SIZE", is_needed=True),
    ),
    change=_change,
    wants=lambda said: {
        "disks": [{"name": said["disk"], "size_mib": said["size_mib"], "is_there": True}]
    },
    feature=FEATURE,
)
