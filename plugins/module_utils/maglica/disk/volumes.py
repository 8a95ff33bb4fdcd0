# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that Maglica makes: their names, and where they are now.

A vm's are named NAME.TARGET.UUID8 by the vm's name, the disk's target and the first eight digits of
the domain's UUID, or NAME.disk-DISK.UUID8 where DISK was added to it. They end as the kind of their
pool has it for disks and for media. That tells people whose one may be; whose it is, the vm's
metadata tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from .._deps import need
from ..domain.definition import DefinedDisk
from ..domain.image_metadata import ImageRecord
from ..domain.metadata import OwnVolume
from ..libvirtd import local
from ..model.errors import ImageUnsupported, MaglicaError, NotOwn, StorageFailed
from ..model.names import file_stem
from ..model.text import some
from . import pools
from .chain import Chain

_TARGET = re.compile(r"[a-z0-9]{1,16}")
# What stands in its place in the names of volumes of disks that were added, before the disk's name.
_FURTHER = "disk-"
_SUFFIX = "|".join(sorted({re.escape(kind.SUFFIX) for kind in pools.KINDS.values()}))
_OF_IMAGE = re.compile(rf"maglica-image\.[^.]+\.([0-9a-f]{{8}})\.[^.]+(?:{_SUFFIX})")
_MEDIA = tuple(sorted({kind.MEDIUM_SUFFIX for kind in pools.KINDS.values()}))
_ANY_SUFFIX = "|".join((_SUFFIX, *map(re.escape, _MEDIA)))
_PLACE = rf"(?:[a-z0-9]{{1,16}}|{_FURTHER}[A-Za-z0-9_-]{{1,20}})"
_OF_VM = re.compile(rf".+\.{_PLACE}\.([0-9a-f]{{8}})(?:{_ANY_SUFFIX})")
_OF_BASE = re.compile(rf"maglica-base\.[^.]+\.([0-9a-f]{{8}})\.[^.]+(?:{_SUFFIX})")
_OTHERS = re.compile(r"maglica-[a-z]+\..+")


def of_vm(vm: str, target: str, uuid: str) -> str:
    """Return how the name of a vm's volume for the disk ``target`` (vda …) begins."""
    return f"{file_stem(vm)}.{_checked(target)}.{uuid[:8]}"


def of_disk(vm: str, name: str, uuid: str) -> str:
    """Return how the name of the volume begins of a disk ``name`` that a vm has beside others."""
    return f"{file_stem(vm)}.{_FURTHER}{name}.{uuid[:8]}"


def of_base(version: str, base_id: str, target: str) -> str:
    """Return how the name of a base's volume begins."""
    return f"maglica-base.{version[:12]}.{base_id}.{_checked(target)}"


def of_image(checksum: str, version_uuid: str, target: str) -> str:
    """Return how the name of the volume begins that keeps what an image's version came as.

    ``checksum`` is its ALGORITHM:HEX, ``version_uuid`` the ``image_uuid`` of the request that
    brought it. The volume of the image's own domain upon it is named as one of a vm with that UUID.
    """
    digest = checksum.rpartition(":")[2]
    return f"maglica-image.{digest[:12]}.{version_uuid[:8]}.{_checked(target)}"


def of_fetch(version_uuid: str) -> str:
    """Return the name of the file that a version of an image comes as."""
    return f"maglica-fetch.{version_uuid[:8]}"


def of_unpacked(version_uuid: str) -> str:
    """Return the name of the file that holds the disk of a version of an image that came packed."""
    return f"maglica-unpacked.{version_uuid[:8]}"


def of_look(look_id: str, target: str) -> str:
    """Return how the name of a throw-away overlay of an image's disk begins."""
    return f"maglica-look.{look_id}.{_checked(target)}"


def _checked(target: str) -> str:
    """Return a disk's target, which becomes part of a file's name."""
    if not _TARGET.fullmatch(target):
        raise ImageUnsupported(f"it has a disk with the target {target[:40]!r}")
    return target


def is_of_vm(name: str, uuid: str) -> bool:
    """Tell whether a volume's name is one that Maglica gives those of the vm ``uuid``."""
    match = _OF_VM.fullmatch(name)
    return match is not None and match[1] == uuid[:8]


def is_of_image(name: str, version_uuid: str) -> bool:
    """Tell whether a volume's name is one that Maglica gives those of that version of an image."""
    match = _OF_IMAGE.fullmatch(name)
    is_kept = match is not None and match[1] == version_uuid[:8]
    return is_kept or is_of_vm(name, version_uuid)


def kept_paths(image: ImageRecord | None) -> tuple[str, ...]:
    """Return the paths of the volumes that keep what an image came as, in all its versions."""
    own = () if image is None else image.volumes
    return tuple(volume.path for volume in own if _OF_IMAGE.fullmatch(volume.name))


def is_medium(name: str) -> bool:
    """Tell whether a vm's own volume of that name is the medium of a cdrom, and no disk."""
    return name.endswith(_MEDIA)


def base_of(name: str) -> str | None:
    """Return the id of the base whose volume one is by its name."""
    match = _OF_BASE.fullmatch(name)
    return match[1] if match else None


def looks_own(name: str) -> bool:
    """Tell whether a name is such as Maglica gives volumes: of vms, images, bases, and looks."""
    return bool(_OF_VM.fullmatch(name) or _OTHERS.fullmatch(name))


def path_of(connection: Any, disk: DefinedDisk) -> str:
    """Return where a disk of a definition is, the path of a file or a block device.

    Raises StorageFailed, or ImageUnsupported for one that has none.
    """
    if disk.kind in ("file", "block"):
        return disk.source or ""
    if disk.kind != "volume":
        raise ImageUnsupported(f"disk {disk.target} has a {disk.kind} source")
    libvirt = need("libvirt")
    try:
        pool = connection.storagePoolLookupByName(disk.pool or "")
        return str(pool.storageVolLookupByName(disk.volume or "").path())
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"disk {disk.target} can't be found: {error}") from error


def need_as_stated(disk: DefinedDisk, layers: Chain) -> None:
    """Refuse a disk whose backing files are others by the definition than by its header.

    libvirt takes those of the definition: the image would have another content than its clones.
    Raises ImageUnsupported.
    """
    stated = [
        (each.source and os.path.realpath(each.source), each.format) for each in disk.backings
    ]
    actual = [(os.path.realpath(layer.path), layer.format) for layer in layers[1:]]
    if stated != (actual if disk.standalone else actual[: len(stated)]):
        raise ImageUnsupported(
            f"disk {layers[0].path} has other backing files by the definition"
            f" ({_told(stated)}) than by its header ({_told(actual)}): make both the same (qemu-img"
            " rebase), or remove <backingStore> from the definition"
        )


def _told(backings: Sequence[tuple[str | None, str | None]]) -> str:
    return some([f"{path!r:.200}, {form!r:.20}" for path, form in backings]) or "none"


def find(connection: Any, volume: OwnVolume) -> Any:
    """Return the volume (virStorageVol) if pool and name lead to its path; None if it is gone.

    Raises NotOwn when they lead elsewhere, StorageFailed when that can't be found out, as with a
    pool that is not active.
    """
    libvirt = need("libvirt")
    try:
        pool = connection.storagePoolLookupByName(volume.pool)
        found = _listed(pool, volume.name)
        path = None if found is None else str(found.path())
        kind = pools.kind_of(pool)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise NotOwn(
                f"volume {volume.name} can't be removed: there is no storage pool {volume.pool}"
                f" any more, in which it was {volume.path}"
            ) from error
        raise _failure(volume, error) from error
    return found if kind.is_own(volume, path) else None


def _listed(pool: Any, name: str) -> Any:
    """Return a volume as it is now, also one that libvirt has not seen yet; None if it is gone."""
    found = _seen(pool, name)
    if found is None:
        pool.refresh()
        found = _seen(pool, name)
    return found


def _seen(pool: Any, name: str) -> Any:
    # Not by the list of all names: libvirt's binding can't return one that is no UTF-8.
    libvirt = need("libvirt")
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
    return None


def remove(connection: Any, volume: OwnVolume) -> None:
    """Remove a volume if it is there still, and where it was made. Raises NotOwn, StorageFailed."""
    libvirt = need("libvirt")
    found = find(connection, volume)
    try:
        if found is not None:
            found.delete()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise _failure(volume, error) from error


def _failure(volume: OwnVolume, error: Any) -> MaglicaError:
    failure = local.kind_of(error, StorageFailed)
    return failure(f"volume {volume.name} can't be removed from pool {volume.pool}: {error}")
