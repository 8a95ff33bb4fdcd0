# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ISO images of this host that a vm may read.

Who may ask for one need not be a user of this host, so that nothing else is shown to a guest: no
file that not all may read, unless it was put into a storage pool, and nothing of another vm.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....._deps import need
from .....disk import files, seed_volume, volumes
from .....libvirtd import local
from .....model.errors import ImageUnsupported, NotOwn, StorageFailed
from .....system import local_file

# ECMA-119, 8.1 and ECMA-167: what stands in the first descriptor, in sector 16.
_AT = 16 * 2048
_KINDS = (b"CD001", b"BEA01", b"NSR02", b"NSR03")


def check(connection: Any, path: str | None, pool: str, volume: str) -> None:
    """Raise NotOwn, StorageFailed or ImageUnsupported for what may be in no vm's drive."""
    if path is None:
        path = _path_of(connection, pool, volume)
        head = files.head(path, _AT + 6) if files.is_there(path) else b""
    else:
        head = local_file.head(path, _AT + 6)
    real = str(Path(path).resolve())
    is_seed = seed_volume.is_seed(real, seed_volume.CONFIG_DRIVE)
    if volumes.looks_own(Path(real).name) or is_seed:
        raise NotOwn(f"{path} is a vm's own, or tells a cloud-init who it is")
    if head[_AT + 1 : _AT + 6] not in _KINDS:
        raise ImageUnsupported(f"{path} is no ISO image")


def _path_of(connection: Any, pool: str, volume: str) -> str:
    libvirt = need("libvirt")
    try:
        found = connection.storagePoolLookupByName(pool).storageVolLookupByName(volume)
        return str(found.path())
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"volume {volume} of pool {pool} can't be found: {error}") from error
