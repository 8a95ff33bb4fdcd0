# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases: immutable, prepared copies of one version of an image's disks, which clones build upon.

A lock for each image is held alone while a base is looked for, made or removed, and shared
while clones are built upon one. What is not in the journal and nothing builds upon is removed.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ....disk import pools, volumes
from ....disk.backend import Pool
from ....disk.chain import Layer
from ....disk.room import OVERLAY_BYTES
from ....domain.metadata import OwnVolume
from ....guest.appliance.appliance import Drive
from ....guest.cloud_init.facts import SeedFacts
from ....guest.customize import placed
from ....guest.facts import GuestFacts
from ....model.errors import JournalFailed, StorageFailed
from ....model.request import Customize
from ....system import locks
from ...journal.bases import MAKING, READY, Base, BaseDisk
from ...journal.intents import Effect
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext
from . import look, original
from .original import Image

_LOCKS = "bases"

log = logging.getLogger(__name__)


def facts_of(base: Base) -> GuestFacts:
    """Return what is known of the guest on a base that is ready."""
    if base.facts is None:
        raise JournalFailed(f"nothing is known of the guest on base {base.id} of {base.image}")
    return base.facts


def is_ready(image: Image, context: JobContext, way: Customize) -> bool:
    """Tell whether the base of the image's present version is there, for that way."""
    return any(_is_for(base, image, way) for base in context.journal.bases(image.uuid))


def _is_for(base: Base, image: Image, way: Customize) -> bool:
    is_whole = base.state == READY and all(Path(disk.path).exists() for disk in base.disks)
    return is_whole and (base.version, base.way) == (image.version, way)


@contextmanager
def held(
    image: Image,
    context: JobContext,
    request_id: str,
    way: Customize,
    pool: str | None = None,
) -> Iterator[Base]:
    """Find the base of the image's version, or make it, and keep it from being removed.

    It is for clones that are customized in that ``way``, one that was chosen (ways.py). ``pool`` is
    preferred for a new one. ``request_id`` is whose undo removes a half-made base.
    Raises NoRoom, StorageFailed, ImageRunning, GuestUnreadable or GuestUnsupported.
    """
    with locks.held(lock_of(image.uuid, context)) as lock:
        base = _find(image, context, way) or _make(image, context, request_id, way, pool)
        while True:
            # Between the two kinds of locks another job may have come and removed the base.
            lock.share()
            if base in context.journal.bases(image.uuid):
                break
            lock.own()
            base = _find(image, context, way) or _make(image, context, request_id, way, pool)
        yield base


def lock_of(image_uuid: str, context: JobContext) -> Path:
    """Return an image's lock (system/locks.py)."""
    return context.settings.state_dir / _LOCKS / image_uuid


def _find(image: Image, context: JobContext, way: Customize) -> Base | None:
    """Return the base of this version; remove what is left of those that were never finished.

    One that was finished and lacks a file is not used: it may be away for a moment only.
    """
    found = None
    for base in context.journal.bases(image.uuid):
        if base.state == MAKING:
            try:
                _discard(base, context)
            except StorageFailed as error:
                log.warning("base %s of image %s is left: %s", base.id, image.name, error)
        elif _is_for(base, image, way):
            found = base
    return found


def _make(
    image: Image, context: JobContext, request_id: str, way: Customize, preferred: str | None
) -> Base:
    begun = time.monotonic()
    pool = _pool(image, context, preferred)
    base = _planned(image, pool, way)
    own_volumes = own(base).volumes
    for volume in own_volumes:
        pool.check_free(volume)
    facts, seed = None, None
    if way is Customize.OFFLINE:
        look.refuse(image, context)
        with look.prepared(image, pool, request_id, context) as (overlays, facts):
            _copy(image, base, overlays, pool, request_id=request_id, context=context)
        drives = [Drive(volume.path, pool.FORMAT) for volume in own_volumes]
        facts = placed(facts, drives, pool.map_of, context.alive)
    else:
        _copy(image, base, {}, pool, request_id=request_id, context=context)
        seed = SeedFacts() if way is Customize.CLOUD_INIT else None
    for volume in own_volumes:
        pool.protect(volume)
    context.journal.update_base(base.id, state=READY, facts=facts, seed=seed)
    log.info("base made: image=%s seconds=%.1f", image.name, time.monotonic() - begun)
    return next(made for made in context.journal.bases(image.uuid) if made.id == base.id)


def _copy(
    image: Image,
    base: Base,
    overlays: Mapping[str, Layer],
    pool: Pool,
    *,
    request_id: str,
    context: JobContext,
) -> None:
    """Make the base's volumes. After this nothing touches the original's disks."""
    context.journal.intend(request_id, Effect.BASE, {"id": base.id, "image_uuid": image.uuid})
    context.journal.add_base(base)
    connection = context.connect()
    for volume in own(base).volumes:
        chain, changes = image.chains[volume.target], overlays.get(volume.target)
        pool.copy_image(connection, volume, chain, changes, context.alive)
    original.check_unchanged(image, context)


def _pool(image: Image, context: JobContext, preferred: str | None) -> Pool:
    known = pools.pools(context.connect(), context.settings.pools)
    needed = image.allocated + OVERLAY_BYTES
    named = [pool for pool in known if pool.name == preferred and pool.free >= needed]
    return pools.choose(named or known, needed)


def _planned(image: Image, pool: Pool, way: Customize) -> Base:
    base_id = uuid.uuid4().hex[:8]
    # A version that can't be told from others is never found again: each clone has its own base.
    version = image.version or f"{uuid.uuid4().hex}"
    made = [pool.volume(each, volumes.of_base(version, base_id, each)) for each in image.chains]
    return Base(
        id=base_id,
        image=image.name,
        image_uuid=image.uuid,
        version=version,
        state=MAKING,
        pool=pool.name,
        disks=tuple(BaseDisk(each.target, each.name, each.path, pool.FORMAT) for each in made),
        created=time.time(),
        way=way,
    )


def own(base: Base) -> OwnFiles:
    """Return a base's volumes."""
    return OwnFiles(
        tuple(OwnVolume(disk.target, base.pool, disk.name, disk.path) for disk in base.disks)
    )


def _discard(base: Base, context: JobContext) -> None:
    """Remove a base that was never finished. Raises StorageFailed."""
    own_files.discard(own(base), context)
    context.journal.remove_base(base.id)


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove a base that was not finished; one that is ready serves others.

    A base that is being made belongs to the request that undoes it, so that nobody else has it.
    """
    for base in context.journal.bases(data["image_uuid"]):
        if base.id == data["id"] and base.state != READY:
            _discard(base, context)
