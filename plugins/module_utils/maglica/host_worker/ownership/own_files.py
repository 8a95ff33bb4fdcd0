# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are Maglica's own: judged, and removed.

A volume is shown to be Maglica's by the metadata of the vm whose it is, or by the journal. It is
removed if pool and name still lead to the path that is named there, and nothing of others refers to
it. Everything else stays where it is.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..._deps import need
from ...domain.metadata import Made, OwnVolume
from ...libvirtd import local
from ...model.errors import NotOwn, StorageFailed
from . import references
from .references import Context, References

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnFiles:
    """What is removed together: volumes, and the files at ``paths``."""

    volumes: tuple[OwnVolume, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def all_paths(self) -> tuple[str, ...]:
        return (*(volume.path for volume in self.volumes), *self.paths)

    def each(self) -> Iterator[OwnFiles]:
        """Yield each of them alone."""
        yield from (OwnFiles(volumes=(volume,)) for volume in self.volumes)
        yield from (OwnFiles(paths=(path,)) for path in self.paths)

    def to_json(self) -> dict[str, Any]:
        """Return what an intent keeps of them."""
        return {"volumes": [asdict(volume) for volume in self.volumes], "paths": self.paths}

    @staticmethod
    def from_json(data: dict[str, Any]) -> OwnFiles:
        volumes = tuple(OwnVolume(**volume) for volume in data["volumes"])
        return OwnFiles(volumes, tuple(data["paths"]))


def of_vm(made: Made) -> OwnFiles:
    """Return what a vm's metadata names as its own."""
    return OwnFiles(made.volumes, () if made.nvram is None else (made.nvram,))


def check_names(own: OwnFiles, uuid: str) -> None:
    """Raise NotOwn for a file that Maglica would have given another name as one of the vm ``uuid``.

    Whoever edits a definition could let its metadata name any file.
    """
    digits = re.escape(uuid[:8])
    named = [(path, rf".+\.{digits}_VARS\.(fd|qcow2)") for path in own.paths]
    named += [(each.path, rf".+\.[a-z0-9]{{1,16}}\.{digits}\.qcow2") for each in own.volumes]
    for path, pattern in named:
        if not re.fullmatch(pattern, Path(path).name):
            raise NotOwn(f"{path} is named by its metadata, and by no name that Maglica gives")
    for volume in own.volumes:
        if Path(volume.path).name != volume.name:
            raise NotOwn(f"volume {volume.name} is named by its metadata as {volume.path}")


def check(own: OwnFiles, context: Context, uuid: str | None = None) -> None:
    """Raise NotOwn unless all of it may be removed, together with the domain ``uuid``.

    What is gone already does not matter. Raises StorageFailed for what can't be found out.
    """
    for one in own.each():
        _is_own(one, context)
    _check_unused(own, own, references.find(context), uuid)


def discard(own: OwnFiles, context: Context) -> None:
    """Remove what may be removed, each for itself; the rest stays and is named in the log.

    For what has no domain any more, or never had one. Raises StorageFailed for what can't be found
    out or removed now.
    """
    known = None
    for one in own.each():
        try:
            if _is_own(one, context):
                known = known or references.find(context)
                _check_unused(one, own, known)
                remove(one, context)
        except NotOwn as error:
            _log.warning("left where it is: %s", error)


def remove(own: OwnFiles, context: Context) -> None:
    """Remove it, as far as it is there still. Raises NotOwn, StorageFailed."""
    for volume in own.volumes:
        _delete(context.connect(), volume)
    for path in own.paths:
        if is_there(path):
            _unlink(path)


def _is_own(one: OwnFiles, context: Context) -> bool:
    """Tell whether it is there; raises NotOwn if that is not Maglica's."""
    found = [find(context.connect(), volume) is not None for volume in one.volumes]
    return any(found) or any(map(is_there, one.paths))


def _check_unused(one: OwnFiles, own: OwnFiles, known: References, uuid: str | None = None) -> None:
    used = known.to(one.all_paths, own.all_paths, uuid)
    if used is not None:
        raise NotOwn(f"{used.path} is in use by {used.by}")


def find(connection: Any, volume: OwnVolume) -> Any:
    """Return the volume (virStorageVol) if pool and name lead to its path; None if it is gone.

    Raises NotOwn when they lead elsewhere, StorageFailed when that can't be found out, as with a
    pool that is not active.
    """
    libvirt = need("libvirt")
    try:
        pool = connection.storagePoolLookupByName(volume.pool)
        found = _volume(pool, volume.name)
        path = None if found is None else str(found.path())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise NotOwn(
                f"volume {volume.name} can't be removed: there is no storage pool {volume.pool}"
                f" any more, in which it was {volume.path}"
            ) from error
        failure = local.kind_of(error, StorageFailed)
        raise failure(
            f"volume {volume.name} can't be removed from pool {volume.pool}: {error}"
        ) from error
    if path is not None and not _same(path, volume.path):
        raise NotOwn(
            f"volume {volume.name} of pool {volume.pool} is {path} now, and was made as"
            f" {volume.path}: put the pool back, or remove by hand what is yours to remove"
        )
    if is_there(volume.path) and found is None:
        raise NotOwn(f"{volume.path} is in storage pool {volume.pool} no more")
    return found


def _volume(pool: Any, name: str) -> Any:
    """Return a volume as it is now, also one that libvirt has not seen yet; None if it is gone."""
    libvirt = need("libvirt")
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
    pool.refresh()
    return pool.storageVolLookupByName(name) if name in pool.listVolumes() else None


def _same(one: str, other: str) -> bool:
    """Tell whether two paths are of one directory entry."""
    return Path(one).name == Path(other).name and os.path.realpath(
        Path(one).parent
    ) == os.path.realpath(Path(other).parent)


def is_there(path: str) -> bool:
    """Tell whether a file is there; raises NotOwn for what is no file that Maglica makes."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageFailed(f"{path} can't be looked at: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no file"
        raise NotOwn(f"{path} is {kind} now, which Maglica did not make")
    return True


def _delete(connection: Any, volume: OwnVolume) -> None:
    libvirt = need("libvirt")
    found = find(connection, volume)
    try:
        if found is not None:
            found.delete()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            failure = local.kind_of(error, StorageFailed)
            raise failure(
                f"volume {volume.name} can't be removed from pool {volume.pool}: {error}"
            ) from error


def _unlink(path: str) -> None:
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"{path} can't be removed: {error.strerror}") from error
