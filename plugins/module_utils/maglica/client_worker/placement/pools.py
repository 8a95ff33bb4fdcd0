# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which storage pool of a host the disks of a clone are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...disk import room
from ...disk.room import MIB, Room
from ...model import errors
from ...model.request import PoolSummary

GIB = 1 << 30


def choose(
    pools: Sequence[PoolSummary],
    taken: Mapping[str, int],
    needed: int,
    named: str | None,
    disk_size: int = 0,
) -> str:
    """Return the name of the pool to use: ``named``, or the one with most room.

    ``taken`` are the bytes by pool that clones under way will take, ``needed`` those that this one
    needs. A disk of ``disk_size`` bytes that could never be filled is refused, although it takes
    nothing yet. Raises PoolUnknown, NoRoom.
    """
    found = roomiest(pools, taken, named, disk_size)
    if found is None:
        for pool in pools:
            if pool.shared and named in (None, pool.name):
                raise errors.PoolUnknown(
                    f"storage pool {pool.name} is on {pool.shared}, which other hosts may see too:"
                    " vms need one that is the host's own"
                )
        which = "" if named is None else f" {named}"
        raise errors.PoolUnknown(f"there is no storage pool{which} that can hold disks")
    pool, free = found
    if pool.capacity_bytes < disk_size:
        raise errors.NoRoom(
            f"pool {pool.name} has {_gib(pool.capacity_bytes)} in all, less than a disk of"
            f" {_gib(disk_size)}"
        )
    if needed > free:
        raise errors.NoRoom(
            f"pool {pool.name} has {_gib(max(free, 0))} free, {_gib(needed)} needed"
        )
    return pool.name


def roomiest(
    pools: Sequence[PoolSummary], taken: Mapping[str, int], named: str | None, disk_size: int = 0
) -> tuple[PoolSummary, int] | None:
    """Return the pool ``named``, else the one with most room, and its free bytes less those taken.

    ``disk_size`` as in ``disk.room.roomiest``. None when there is none. One that other hosts may
    see holds no disks.
    """
    known = {
        pool.name: pool for pool in pools if named in (None, pool.name) and pool.shared is None
    }
    rooms = {
        name: Room(pool.capacity_bytes, pool.free_bytes - taken.get(name, 0))
        for name, pool in known.items()
    }
    if not rooms:
        return None
    best = room.roomiest(rooms, disk_size)
    return known[best], rooms[best].free


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / MIB:.0f} MiB"
