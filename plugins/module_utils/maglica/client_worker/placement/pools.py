# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which storage pool of a host the disks of a vm are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...disk import room
from ...disk.room import MIB, Room
from ...model import errors
from ...model.request import PoolSummary, Spec
from ...verbs.hardware.add_disk import AddDiskSpec
from ...verbs.hardware.disks import NewDisk
from .candidates import Holdings

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


def check_further(
    disks: Iterable[NewDisk], pools: Sequence[PoolSummary], of_others: str | None = None
) -> None:
    """Raise PoolUnknown or NoRoom for a further disk that can be in no pool of its host, or not in
    the one that it names. Beside ``of_others``, a new vm's pool, it has no choice.
    """
    for disk in disks:
        choose(pools, {}, 0, disk.pool or of_others, (disk.size_mib or 0) << 20)


def check_change(spec: Spec, holdings: Holdings | None, act: str) -> None:
    """Raise PoolUnknown or NoRoom for a disk that its host can't have; ``act`` begins the text."""
    if holdings is None or not isinstance(spec, AddDiskSpec):
        return
    try:
        check_further([spec.disk], holdings.report.pools)
    except (errors.PoolUnknown, errors.NoRoom) as error:
        raise type(error)(f"{act}{error}") from None


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
