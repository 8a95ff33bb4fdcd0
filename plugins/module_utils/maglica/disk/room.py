# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What disks need of a pool, in bytes: the client worker plans with it, hosts hold to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1 << 20

# What a vm's disks take above what is copied for them: the tables of fresh qcow2 files, whatever
# their size, and what makes the vm a guest of its own.
OVERLAY_BYTES = 64 * MIB
# The pool that libvirt's own tools take where none is named.
_DEFAULT = "default"
# Rooms that differ by no more than this part are taken for one file system's, read twice.
_SAME = 0.01


@dataclass(frozen=True)
class Room:
    """What there is for all volumes of a pool, and what of it is free, in bytes."""

    capacity: int = 0
    free: int = 0


def roomiest(pools: Mapping[str, Room], disk_size: int = 0) -> str:
    """Return the name of the pool with most room; there must be one.

    One that is as large as a disk of ``disk_size`` bytes comes before all that are not. Of several
    with as much room, as when they lie on one file system, it is the default one: other tools make
    pools of their own there, as virt-install does with ``boot``.
    """

    def key(room: Room) -> tuple[int, int]:
        return min(room.capacity, disk_size), room.free

    fitting, most = max(map(key, pools.values()))
    equals = (
        name
        for name, room in pools.items()
        if key(room)[0] == fitting and most - room.free <= _SAME * abs(most)
    )
    return min(equals, key=lambda name: (name != _DEFAULT, name))


def gib(size: int) -> str:
    """Return ``size`` bytes in GiB, as the texts of errors have them."""
    return f"{size / (1 << 30):.1f}"
