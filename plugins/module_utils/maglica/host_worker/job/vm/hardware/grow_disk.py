# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a disk of a vm be larger: the guest of one that runs sees it at once."""

from __future__ import annotations

from typing import Any

from ....._deps import need
from .....disk import overlays, pools
from .....domain import disks as domain_disks
from .....domain.metadata import OwnVolume
from .....libvirtd import local
from .....model.errors import DiskSizeUnsupported, StorageFailed
from .....model.request import Request
from .....model.sizes import shown as size_shown
from .....model.vm import Domain
from .....verbs.hardware.grow_disk import GrowDiskSpec
from ...context import JobContext
from .. import existing, metadata, shown
from . import disks
from .errors import about_device


def grow_disk(request: Request, context: JobContext) -> Domain:
    """Give one of the vm's own disks more bytes; that it has as many is no error.

    Raises DiskSizeUnsupported for one that is larger, NoRoom, StorageFailed, NotOwn.
    """
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    spec = existing.spec_of(request, GrowDiskSpec)
    with about_device(request, spec.disk, context):
        volume = disks.need_attached(domain, made, spec.disk)
        size, now = spec.size_mib << 20, _size(domain, volume, context)
        if size < now:
            raise DiskSizeUnsupported(
                f"it has {size_shown(now)}, and can't be made smaller, to {size_shown(size)}"
            )
        with context.phase(request.id, "volumes"):
            if size > now:
                _grow(domain, volume, size, context)
            metadata.set_size(domain, volume, size)
        return shown.vm_of(domain, context.host)


def _size(domain: Any, volume: OwnVolume, context: JobContext) -> int:
    if local.is_active(domain):
        return int(domain.blockInfo(_target(domain, volume))[0])
    return overlays.layers(context.connect(), volume.path)[0].size


def _target(domain: Any, volume: OwnVolume) -> str:
    """Return where a disk is in the guest that runs, wherever it was when it was made."""
    for root, is_live in disks.definitions(domain):
        found = domain_disks.described(root, volume)
        if is_live and found is not None:
            return found.target
    raise StorageFailed("its vm has just gone off")


def _grow(domain: Any, volume: OwnVolume, size: int, context: JobContext) -> None:
    pool = disks.pool_of(volume, context)
    pools.choose([pool], 0, pool.name, size)
    if local.is_active(domain):
        flags = need("libvirt").VIR_DOMAIN_BLOCK_RESIZE_BYTES
        domain.blockResize(_target(domain, volume), size, flags)
    else:
        pool.grow(volume, size, ())
