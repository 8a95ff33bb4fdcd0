# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a disk to a vm, to one that runs at once: a blank one, or one that was kept.

Its volume is announced before it is made, and the disk before the metadata names it. A job that
died goes on with a disk that was announced; a volume alone may be half made, and is made anew.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from ....._deps import need
from .....disk import overlays, pools, volumes
from .....domain import definition
from .....domain import disks as domain_disks
from .....domain.disks import FurtherDisk
from .....domain.metadata import Made, OwnVolume
from .....libvirtd import local
from .....libvirtd.local import inactive_xml
from .....model.errors import DiskSizeUnsupported, HostDown, LibvirtFailed, StorageFailed
from .....model.plain import plain
from .....model.request import Request
from .....model.sizes import shown as size_shown
from .....model.vm import Domain
from .....verbs.hardware.add_disk import AddDiskSpec
from .....verbs.hardware.disks import NewDisk, attached, check_same
from ....journal.intents import Effect
from ....ownership import references
from ...context import JobContext
from .. import clone_steps, existing, metadata, restart, shown
from . import disks
from .errors import about_device

_log = logging.getLogger(__name__)


def add_disk(request: Request, context: JobContext) -> Domain:
    """Attach a disk to a vm, and make its volume if it is a new one.

    That it has that disk is no error. Raises NoRoom, StorageFailed, NotOwn, LibvirtFailed: then
    nothing stays of it.
    """
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    spec = existing.spec_of(request, AddDiskSpec)
    with about_device(request, spec.disk.name, context):
        volume = _announced(request, context)
        known = made.disks.get(spec.disk.name)
        if volume is None and (known is None or not disks.is_attached(domain, known)):
            volume = _volume(domain, made, request, spec.disk, context)
        if volume is not None:
            _attach(domain, volume, request, spec, context)
        vm = shown.vm_of(domain, context.host)
        if volume is None:
            _check_same(spec.disk, vm)
        return vm


def _check_same(disk: NewDisk, vm: Domain) -> None:
    """Raise StorageFailed where somebody else has just added another disk of that name."""
    now = attached(vm).get(disk.name)
    if now is None:
        return
    check_same(disk, now, vm)
    size = None if disk.size_mib is None else disk.size_mib << 20
    if size not in (None, now.capacity_bytes):
        raise StorageFailed(
            f"it is there already, with {size_shown(now.capacity_bytes or 0)}, not"
            f" {size_shown(size or 0)}: ask again to have it grow, or give another name"
        )


def _announced(request: Request, context: JobContext) -> OwnVolume | None:
    """Return the volume of the disk that an earlier job has announced."""
    intents = context.journal.intents(request.id)
    for intent in intents:
        if intent.kind is Effect.DISK:
            return OwnVolume(**intent.data["volume"])
    for intent in intents:
        if intent.kind is Effect.VOLUME:
            clone_steps.undo_volume(request.id, intent.data, context)
    context.journal.forget(request.id)
    return None


def _volume(
    domain: Any, made: Made, request: Request, disk: NewDisk, context: JobContext
) -> OwnVolume:
    """Return the volume of a disk that is about to be attached: one that was kept, or a new one."""
    known = made.kept.get(disk.name) or made.disks.get(disk.name)
    half = None if known is None else disks.half(domain, known)
    roots = [root for root, _live in disks.definitions(domain)]
    target = half[1].target if half else domain_disks.target_of(disk.bus.value, *roots)
    if known is not None:
        volume = disks.at(_kept(domain, known, disk, context, is_half=half is not None), target)
    else:
        volume = _new(domain, request, disk, target, context)
    data = {"uuid": domain.UUIDString(), "disk": disk.name, "kept": known is not None}
    data |= {"volume": asdict(volume), "path": volume.path}
    # What was there before stays when all else is taken back.
    data |= {"half": half and half[0], "stays": half is not None and disk.name in made.disks}
    context.journal.intend(request.id, Effect.DISK, data)
    return volume


def _new(
    domain: Any, request: Request, disk: NewDisk, target: str, context: JobContext
) -> OwnVolume:
    """Make a volume for a disk. Raises NoRoom, StorageFailed."""
    if disk.size_mib is None:
        raise StorageFailed("there is no such disk yet, so that it needs a size")
    size = disk.size_mib << 20
    known = pools.pools(context.connect(), context.settings.pools)
    pool = pools.choose(known, 0, disk.pool, size)
    stem = volumes.of_disk(domain.name(), disk.name, domain.UUIDString())
    volume = pool.volume(target, stem)
    with context.phase(request.id, "volumes"):
        pool.check_free(volume)
        context.journal.intend(request.id, Effect.VOLUME, asdict(volume))
        pool.blank(context.connect(), volume, size)
    return volume


def _kept(
    domain: Any, kept: OwnVolume, disk: NewDisk, context: JobContext, *, is_half: bool
) -> OwnVolume:
    """Return a volume that was kept, as large as it is to be, or one that the vm has by half.

    Raises NotOwn, StorageFailed, NoRoom, DiskSizeUnsupported.
    """
    if disk.pool not in (None, kept.pool):
        raise StorageFailed(f"it was kept in pool {kept.pool}, not {disk.pool}")
    disks.need_own(kept, domain)
    pool = disks.pool_of(kept, context)
    used = references.find(context).to([kept.path], uuid=domain.UUIDString() if is_half else None)
    if used is not None:
        raise StorageFailed(f"its volume {used.path} is in use by {used.by}")
    size = 0 if disk.size_mib is None else disk.size_mib << 20
    now = overlays.layers(context.connect(), kept.path)[0].size
    if 0 < size < now:
        raise DiskSizeUnsupported(
            f"it was kept with {size_shown(now)}, and can't be made smaller, to {size_shown(size)}"
        )
    if now < size and not is_half:
        pool.grow(kept, size, ())
    return kept


def _attach(
    domain: Any, volume: OwnVolume, request: Request, spec: AddDiskSpec, context: JobContext
) -> None:
    """Attach a volume to a vm, which is done already if its vm was started anew for it."""
    libvirt, disk = need("libvirt"), spec.disk
    source = disks.pool_of(volume, context).source(volume)
    modes = (plain(disk.cache), plain(disk.discard))
    told: tuple[Any, ...] = (disk.bus.value, disk.serial or disk.name, *modes)
    half = disks.half(domain, volume)
    if half is not None:
        # The same disk now and at the next start.
        there = half[1]
        told = (there.bus, there.serial or disk.name, there.cache, there.discard)
    further = FurtherDisk(source.path, source.format, *told)
    # An earlier job may have died just before.
    size = overlays.layers(context.connect(), volume.path)[0].size
    metadata.set_disk(domain, disk.name, volume, size)
    with context.phase(request.id, "attach"):
        disks.plug(domain, further, volume, live=False)
        if restart.is_begun(request, context):
            restart.run_anew(domain, request, spec, context)
            return
        try:
            disks.plug(domain, further, volume, live=True)
        except libvirt.libvirtError as error:
            if local.kind_of(error, LibvirtFailed) is HostDown:
                raise
            if not spec.allow_restart:
                raise StorageFailed(
                    f"it can't be attached while the vm runs ({error}): {restart.way_out(domain)}"
                ) from error
            restart.run_anew(domain, request, spec, context)


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Take a disk away again that was announced; one that was kept is kept again.

    What is noted of another disk of that name is left, and so is a vm of which nothing is noted any
    more, but for the disk itself. One that its guest does not let go of stays the vm's, to be
    detached later.
    """
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    volume = OwnVolume(**data["volume"])
    with local.errors(f"take back disk {data['disk']} of {domain.name()}", context.host):
        try:
            disks.unplug(domain, volume, context, but=data.get("half"))
        except (StorageFailed, need("libvirt").libvirtError) as error:
            if not _is_held(domain, volume):
                raise
            # Its request, and with it all others about this vm, would wait until the guest is off.
            _log.error("disk %s of %s stays attached: %s", data["disk"], domain.name(), error)
            return
        made = definition.describe(inactive_xml(domain)).made
        if made is None or data.get("stays"):
            return
        noted = made.disks.get(data["disk"]) or made.kept.get(data["disk"])
        if noted is None or noted.path == volume.path:
            kept = volume if data["kept"] else None
            metadata.set_disk(domain, data["disk"], kept, kept=True)


def _is_held(domain: Any, volume: OwnVolume) -> bool:
    """Tell whether a domain runs with a disk."""
    return any(
        live and domain_disks.find(root, volume) is not None
        for root, live in disks.definitions(domain)
    )
