# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a disk away from a vm that was added to it; its volume is kept or removed."""

from __future__ import annotations

from .....domain.metadata import OwnVolume
from .....libvirtd import local
from .....model.errors import NotOwn, StorageFailed, VmProtected
from .....model.request import Request
from .....model.vm import Domain
from .....verbs.hardware.detach_disk import DetachDiskSpec
from ....journal.intents import Effect
from ....ownership import own_files, references
from ....ownership.own_files import OwnFiles
from ...context import JobContext
from .. import existing, metadata, shown
from . import disks
from .errors import about_device


def detach_disk(request: Request, context: JobContext) -> Domain:
    """Have a vm without one of the disks that were added to it; that it has none is no error.

    As soon as its volume is announced to go, it goes, whatever the job dies of. Raises NotOwn with
    nothing done when it can't be shown to be the vm's own, or something of others refers to it;
    StorageFailed when the guest does not let go of it.
    """
    spec = existing.spec_of(request, DetachDiskSpec)
    if context.journal.intents(request.id) and _is_gone(spec, context):
        # Somebody has removed the vm since the disk was announced to go.
        with about_device(request, spec.disk, context):
            _discard(request, context)
        return Domain(spec.name, spec.uuid, context.host, shown.GONE, active=False)
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    with about_device(request, spec.disk, context):
        if spec.disk in made.disks and spec.disk not in made.disk_names.values():
            raise NotOwn("it was made with the vm, and goes with it alone")
        volume = made.disks.get(spec.disk) or made.kept.get(spec.disk)
        if volume is not None:
            is_going = any(context.journal.intents(request.id))
            if made.protected and not spec.keep and not is_going:
                raise VmProtected.of(f"remove disk {spec.disk} of", spec.name, context.host)
            own = OwnFiles((volume,))
            disks.need_own(volume, domain)
            _need_let_go(volume, context, spec.keep)
            if not spec.keep:
                own_files.check(own, context, domain.UUIDString())
            with context.phase(request.id, "detach"):
                disks.unplug(domain, volume, context)
            if spec.keep:
                metadata.set_disk(domain, spec.disk, volume, kept=True)
            else:
                # Not before nothing of the vm refers to it any more.
                own_files.check(own, context)
                context.journal.intend(request.id, Effect.REMOVAL, own.to_json())
                metadata.set_disk(domain, spec.disk, None)
        _discard(request, context)
        return shown.vm_of(domain, context.host)


def _is_gone(spec: DetachDiskSpec, context: JobContext) -> bool:
    return local.find(context.connect(), spec.uuid, context.host) is None


def _discard(request: Request, context: JobContext) -> None:
    """Remove what is announced to go."""
    with context.phase(request.id, "volumes"):
        for intent in context.journal.intents(request.id):
            own_files.discard(OwnFiles.from_json(intent.data), context)


def _need_let_go(volume: OwnVolume, context: JobContext, keep: bool) -> None:
    """Raise StorageFailed for a disk of which its vm has more than its definition: a snapshot or a
    saved state, with which it would come back, or, of one that is kept, a file upon it.
    """
    known = references.find(context)
    saved = known.saved(volume.path)
    if saved is not None:
        raise StorageFailed(
            f"its volume {volume.path} is in a snapshot or the saved state of {saved.by}: delete"
            " the snapshot (virsh snapshot-delete), or let the vm go on (virsh start), first"
        )
    upon = known.upon([volume.path]) if keep else None
    if upon is not None:
        text = f"its volume {volume.path} is what {upon.by} builds upon: merge it first"
        raise StorageFailed(text)
