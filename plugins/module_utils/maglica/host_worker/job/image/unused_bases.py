# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases that nothing builds upon: found, and removed."""

from __future__ import annotations

import logging

from ....disk import volumes
from ....libvirtd import local
from ....model.errors import MaglicaError, NotOwn, StorageFailed
from ....system import locks
from ...journal.bases import READY, Base
from ...ownership import own_files, references
from ...ownership.references import References
from ..context import JobContext
from . import base as bases
from . import new_base

log = logging.getLogger(__name__)


def collect(context: JobContext) -> None:
    """Remove the bases that nothing builds upon, but for those of the newest version of each image
    that exists: the newest for each way to customize clones.

    One whose image is being cloned is left for the next time. Raises StorageFailed.
    """
    for image_uuid in dict.fromkeys(base.image_uuid for base in context.journal.bases()):
        try:
            with locks.held(bases.lock_of(image_uuid, context), wait=False):
                _collect_image(image_uuid, context)
        except BlockingIOError:
            log.info("the bases of image %s are in use", image_uuid)


def tidy(context: JobContext) -> None:
    """Collect after work whose result does not depend on it; the next one tries again."""
    try:
        collect(context)
    except MaglicaError as error:
        log.warning("bases can't be collected: %s", error)


def release(image: str, context: JobContext, uuid: str | None = None) -> int:
    """Remove the bases of an image that nothing builds upon; return how many these are.

    With ``uuid`` also those from before the image got that name.

    Raises StorageFailed, also when one is just being made or cloned from.
    """
    removed = 0
    known = context.journal.bases()
    uuids = {base.image_uuid for base in known if base.image == image or base.image_uuid == uuid}
    for image_uuid in sorted(uuids):
        try:
            with locks.held(bases.lock_of(image_uuid, context), wait=False):
                removed += release_held(image_uuid, context)
        except BlockingIOError as error:
            raise StorageFailed("its base is in use by a request that is under way") from error
    return removed


def release_held(image_uuid: str, context: JobContext) -> int:
    """Remove them as ``release`` does, for who holds the image's lock. Raises StorageFailed."""
    return _collect_image(image_uuid, context, keep_newest=False)


def _collect_image(image_uuid: str, context: JobContext, keep_newest: bool = True) -> int:
    """Remove an image's bases that nothing builds upon; return how many."""
    known = context.journal.bases(image_uuid)
    ready = [base for base in known if base.state == READY]
    if keep_newest:
        keep_newest = local.find(context.connect(), image_uuid, context.host) is not None
    version = ready[-1].version if ready and keep_newest else None
    newest = {base.way: base for base in ready if base.version == version}.values()
    idle = [base for base in known if base not in newest]
    used = references.find(context) if idle else None
    return sum(used is not None and _remove(base, used, context) for base in idle)


def _remove(base: Base, used: References, context: JobContext) -> bool:
    """Remove a base unless something needs it; tell whether that was done."""
    own = new_base.own(base)
    if base.id in used.bases or used.to(own.all_paths) is not None:
        return False
    try:
        used.check_seen(base.image_uuid)
        # Any of it that is not where it was made is a reason to touch none of it.
        for volume in own.volumes:
            volumes.find(context.connect(), volume)
        log.info("removing base %s of image %s", base.id, base.image)
        own_files.remove(own, context)
    except NotOwn as error:
        log.warning("base %s of image %s is left where it is: %s", base.id, base.image, error)
        return False
    context.journal.remove_base(base.id)
    return True
