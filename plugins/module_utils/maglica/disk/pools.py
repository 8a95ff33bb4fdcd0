# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage pools of this host: which can hold disks of vms, and which of these is chosen."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._deps import need
from ..libvirtd import local
from ..model.errors import NoRoom, StorageFailed
from .backend import Pool
from .files import FilePool
from .room import Room, gib, roomiest

# The kinds of storage, by the type that libvirt's definition of a pool states.
KINDS: Mapping[str, type[Pool]] = {"dir": FilePool, "fs": FilePool, "netfs": FilePool}
# Pools whose folder shows their volumes; those of a volume group are links to its devices there.
_FOLDERS = frozenset({"dir", "fs", "netfs", "logical"})


def pools(connection: Any, names: Collection[str] = ()) -> tuple[Pool, ...]:
    """Return the active pools that can hold vms' disks: those in ``names``, or all.

    Raises StorageFailed.
    """
    libvirt = need("libvirt")
    active = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
    try:
        found = list(_definitions(connection, active))
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"the storage pools can't be listed: {error}") from error
    known = [
        KINDS[root.get("type", "")].read(name, root)
        for name, root in found
        if root.get("type") in KINDS and (not names or name in names)
    ]
    return tuple(sorted(filter(None, known), key=lambda pool: pool.name))


def _definitions(connection: Any, flags: int) -> Iterator[tuple[str, ET.Element]]:
    """Yield names and definitions of pools but of those that vanish meanwhile, as they may."""
    libvirt = need("libvirt")
    for pool in connection.listAllStoragePools(flags):
        try:
            found = pool.name(), definition(pool)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
        else:
            yield found


def definition(pool: Any) -> ET.Element:
    """Return the definition of a pool (virStoragePool). Raises libvirt's own error."""
    return ET.fromstring(pool.XMLDesc(0))  # noqa: S314 - written by libvirtd from its own tree


def kind_of(pool: Any) -> type[Pool]:
    """Return of which kind of storage a pool (virStoragePool) is. Raises libvirt's own error.

    In one of a kind that Maglica does not know, what it made can only have been files.
    """
    return KINDS.get(definition(pool).get("type", ""), FilePool)


def folders(connection: Any, inactive: bool = False) -> dict[str, str]:
    """Return the folders of all pools whose volumes can be seen in one, by their names; or only of
    those that are ``inactive``, so that what lies there may not be seen now.

    Raises libvirt's own error.
    """
    flags = need("libvirt").VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE if inactive else 0
    found = {}
    for name, root in _definitions(connection, flags):
        folder = root.findtext("target/path")
        if folder and root.get("type") in _FOLDERS:
            found[name] = folder
    return found


def with_free(known: Sequence[Pool], taken: Mapping[str, int]) -> tuple[Pool, ...]:
    """Return the pools with what they have free now, less the bytes that are taken, by pool."""
    return tuple(
        replace(pool, free=max(0, pool.room().free - taken.get(pool.name, 0))) for pool in known
    )


def choose(
    known: Sequence[Pool], needed: int, named: str | None = None, disk_size: int = 0
) -> Pool:
    """Return the named pool, or the one with most room. Raises NoRoom, StorageFailed.

    ``needed`` is in bytes, and so is ``disk_size``: a disk that could never be filled is refused.
    """
    if named is not None:
        known = [pool for pool in known if pool.name == named]
        if not known:
            raise StorageFailed(f"it has no active storage pool {named} of files that may be used")
    if not known:
        raise StorageFailed("it has no active storage pool of files that may be used")
    own = [pool for pool in known if pool.shared is None]
    if not own:
        raise StorageFailed(
            f"storage pool {known[0].name} is on {known[0].shared}, which other hosts may see too:"
            " bases and vms need a pool that is this host's own"
        )
    best_name = roomiest({pool.name: Room(pool.capacity, pool.free) for pool in own}, disk_size)
    (best,) = (pool for pool in own if pool.name == best_name)
    if best.capacity < disk_size:
        raise NoRoom(
            f"pool {best.name} has {gib(best.capacity)} GiB in all, less than a disk of"
            f" {gib(disk_size)} GiB"
        )
    if best.free < needed:
        raise NoRoom(f"pool {best.name} has {gib(best.free)} GiB free, {gib(needed)} GiB needed")
    return best
