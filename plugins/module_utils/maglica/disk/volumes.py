# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage pools and the volumes of vms and bases, by libvirt's storage API.

Volumes of vms are named NAME.TARGET.UUID8.qcow2: the vm's name, the disk's target and the first
eight digits of the domain's UUID. That tells people whose it may be; whose it is, the vm's metadata
tells: own_files.py.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._deps import need
from ..domain.metadata import OwnVolume
from ..libvirtd import local
from ..model.errors import ImageUnsupported, MaglicaError, NoRoom, StorageFailed
from . import mounts
from .chain import QCOW2
from .room import MIB, gib

_TARGET = re.compile(r"[a-z0-9]{1,16}")
_NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class Pool:
    """An active pool whose volumes are files in the folder ``path``; ``free`` is in bytes.

    ``shared`` is the type of its file system if other hosts may see the same files.
    """

    name: str
    path: str
    free: int
    shared: str | None = None


def pools(connection: Any, names: Collection[str] = ()) -> tuple[Pool, ...]:
    """Return the pools that can hold vms' disks: those in ``names``, or all. Raises StorageFailed.

    Free bytes come from the file system: libvirt's own count is from the pool's last refresh.
    """
    libvirt = need("libvirt")
    flags = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
    for kind in ("DIR", "FS", "NETFS"):
        flags |= getattr(libvirt, f"VIR_CONNECT_LIST_STORAGE_POOLS_{kind}")
    try:
        found = [_pool(pool) for pool in connection.listAllStoragePools(flags)]
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"the storage pools can't be listed: {error}") from error
    known = (pool for pool in found if pool is not None and (not names or pool.name in names))
    return tuple(sorted(known, key=lambda pool: pool.name))


def _pool(pool: Any) -> Pool | None:
    root = ET.fromstring(pool.XMLDesc())  # noqa: S314 - written by libvirtd from its own tree
    path = root.findtext("target/path")
    return Pool(pool.name(), path, free_bytes(path), shared(root)) if path else None


def shared(root: ET.Element) -> str | None:
    """Return by what other hosts may see the files of a pool of that definition; None if not."""
    if root.get("type") == "netfs":
        source = root.find("source/format")
        return "nfs" if source is None else source.get("type", "nfs")
    return mounts.shared_kind(root.findtext("target/path") or "/")


def with_free(known: Sequence[Pool], taken: Mapping[str, int]) -> tuple[Pool, ...]:
    """Return the pools with what they have free now, less the bytes that are taken, by pool."""
    return tuple(
        replace(pool, free=max(0, free_bytes(pool.path) - taken.get(pool.name, 0)))
        for pool in known
    )


def free_bytes(path: str) -> int:
    """Return what is free on the file system of a path; 0 when it is not there."""
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def choose(known: Sequence[Pool], needed: int, named: str | None = None) -> Pool:
    """Return the named pool, or the one with most room. Raises NoRoom, StorageFailed.

    ``needed`` is in bytes.
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
    known = own
    best = max(known, key=lambda pool: pool.free)
    if best.free < needed:
        raise NoRoom(f"pool {best.name} has {gib(best.free)} GiB free, {gib(needed)} GiB needed")
    return best


@contextmanager
def explained(pool: str, paths: Collection[str]) -> Iterator[None]:
    """Turn an error of the block, which writes to ``paths``, into NoRoom when their pool is full.

    A full disk stops an appliance, which then looks like one that hangs.
    """
    try:
        yield
    except MaglicaError as error:
        free = min((free_bytes(path) for path in paths), default=MIB)
        if isinstance(error, NoRoom) or free < MIB:
            text = f"pool {pool} has {gib(free)} GiB free: {error}"
            raise NoRoom(text) from error
        raise


def volume_name(vm: str, target: str, uuid: str) -> str:
    """Return the name of a vm's volume for the disk ``target`` (vda …)."""
    return f"{vm}.{checked_target(target)}.{uuid[:8]}.qcow2"


def checked_target(target: str) -> str:
    """Return a disk's target, which becomes part of a file's name."""
    if not _TARGET.fullmatch(target):
        raise ImageUnsupported(f"it has a disk with the target {target[:40]!r}")
    return target


def volume_path(pool: Pool, name: str) -> str:
    """Return the path that a volume of that name has in the pool."""
    return str(Path(pool.path) / name)


def create(connection: Any, pool: Pool, name: str, size: int, backing: str | None = None) -> None:
    """Make a sparse qcow2 volume of ``size`` bytes, upon the qcow2 file ``backing`` if named.

    Nothing is ever replaced: a file of that name is somebody's. Raises NoRoom or StorageFailed.
    """
    libvirt = need("libvirt")
    try:
        handle = connection.storagePoolLookupByName(pool.name)
        handle.createXML(_volume_xml(name, size, backing))
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, NoRoom if _NO_SPACE in str(error) else StorageFailed)
        raise failure(f"volume {name} can't be made in pool {pool.name}: {error}") from error


def check_free(volume: OwnVolume) -> None:
    """Raise StorageFailed if something is where a volume is to be made; ask before announcing it.

    What is announced is removed by an undo.
    """
    if os.path.lexists(volume.path):
        raise StorageFailed(f"{volume.path} is there already, and Maglica does not replace it")


def _volume_xml(name: str, size: int, backing: str | None) -> str:
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", unit="bytes").text = str(size)
    ET.SubElement(volume, "allocation", unit="bytes").text = "0"
    target = ET.SubElement(volume, "target")
    ET.SubElement(target, "format", type=QCOW2)
    ET.SubElement(target, "compat").text = "1.1"
    if backing is not None:
        store = ET.SubElement(volume, "backingStore")
        ET.SubElement(store, "path").text = backing
        ET.SubElement(store, "format", type=QCOW2)
    return ET.tostring(volume, encoding="unicode")
