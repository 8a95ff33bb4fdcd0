# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A base in the making, for one way to customize clones.

Where an image is as it came, and Maglica made it, nothing is copied: its base is an overlay of what
keeps the image, or just that where nothing has to be changed. Else it is a copy, since the owner of
an image may write to its disks at any time. Who makes one holds the lock of the image (base.py).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ....disk import pools, volumes
from ....disk.backend import Pool
from ....disk.chain import Layer
from ....disk.room import OVERLAY_BYTES
from ....domain.metadata import OwnVolume
from ....guest.appliance.appliance import Drive
from ....guest.cloud_init.facts import SeedFacts
from ....guest.facts import GuestFacts
from ....guest.prepare import Prepared, placed
from ....model.errors import StorageFailed
from ....model.request import Customize
from ...journal.bases import MAKING, READY, Base, BaseDisk
from ...journal.intents import Effect
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext
from . import look, original
from .original import Image

log = logging.getLogger(__name__)


def own(base: Base) -> OwnFiles:
    """Return a base's own volumes."""
    disks = base.disks if base.owns else ()
    return OwnFiles(
        tuple(OwnVolume(disk.target, base.pool, disk.name, disk.path) for disk in disks)
    )


def discard(base: Base, context: JobContext) -> None:
    """Remove a base that is not finished. Raises StorageFailed."""
    own_files.discard(own(base), context)
    context.journal.remove_base(base.id)


def make(
    image: Image,
    asked: Customize,
    request_id: str,
    context: JobContext,
    pool: str | None = None,
) -> None:
    """Make the base for clones that are customized as ``asked``, which may be ``auto``.

    A guest that nobody has looked at is looked at with that. ``pool`` is preferred. Raises NoRoom,
    StorageFailed, ImageRunning, ImageUnsupported, GuestUnreadable or GuestUnsupported.
    """
    begun = time.monotonic()
    kept = original.kept(image)
    if kept is not None:
        original.check_kept(image, kept.values(), context)
    new = _NewBase(image, kept, request_id, context)
    known = look.known(image, context)
    way, seed, is_clean = asked, None, asked is Customize.NONE
    if known is not None and not is_clean:
        way = look.chosen(known, asked).way
        if known.seen is not None and way is Customize.CLOUD_INIT:
            seed, is_clean = known.seen.seed, known.seen.is_clean
    if not is_clean:
        new.with_a_look(way, pool)
    elif new.kept is not None:
        new.of_kept(way, seed)
    else:
        new.copied_as_it_is(way, seed, pool)
    log.info("base made: image=%s seconds=%.1f", image.name, time.monotonic() - begun)


@dataclass(frozen=True)
class _NewBase:
    """What a base is made of. ``kept``: what keeps the image, if it is as it came."""

    image: Image
    kept: Mapping[str, OwnVolume] | None
    request_id: str
    context: JobContext

    def of_kept(self, way: Customize, seed: SeedFacts | None) -> None:
        """Let what keeps the image be the base itself."""
        kept = self.kept or {}
        base = replace(self._planned(next(iter(kept.values())).pool, way), owns=False)
        formats = {target: chain[-1].format for target, chain in self.image.chains.items()}
        disks = tuple(BaseDisk(t, v.name, v.path, formats[t]) for t, v in kept.items())
        original.check_unchanged(self.image, self.context)
        self._announce(replace(base, disks=disks))
        self.context.journal.update_base(base.id, state=READY, seed=seed)

    def copied_as_it_is(
        self, way: Customize, seed: SeedFacts | None, preferred: str | None
    ) -> None:
        pool = self._pool(preferred)
        base = self._with_volumes(pool, way)
        self._copy(base, pool, {})
        self._finish(base, pool, seed=seed)

    def with_a_look(self, asked: Customize, preferred: str | None) -> None:
        """Have the base prepared in an appliance."""
        if self.kept is not None:
            self._upon_kept(asked, self.kept)
            return
        pool = self._pool(preferred)
        base = self._with_volumes(pool, asked)
        prepared = look.prepared(self.image, pool, asked, self.request_id, self.context)
        with prepared as (overlays, found):
            if found.way is None:
                return
            self._copy(base, pool, overlays)
        # From here on nothing touches the original's disks: it may be started again.
        self._finish_prepared(base, pool, found)

    def _upon_kept(self, asked: Customize, kept: Mapping[str, OwnVolume]) -> None:
        context = self.context
        pool = _named(next(iter(kept.values())).pool, context)
        base = self._with_volumes(pool, asked)
        self._announce(base)
        connection = context.connect()
        for volume in own(base).volumes:
            pool.overlay(connection, volume, self.image.chains[volume.target][1:])
        with pool.explained():
            found = look.inside(self.image, _drives(base), asked, context)
        if found.way is Customize.OFFLINE or (found.way is not None and not found.seen.is_clean):
            self._finish_prepared(base, pool, found)
            return
        discard(base, context)
        if found.way is not None:
            self.of_kept(found.way, found.seen.seed)

    def _finish_prepared(self, base: Base, pool: Pool, found: Prepared) -> None:
        facts = found.facts
        if facts is not None:
            facts = placed(facts, _drives(base), pool.map_of, self.context.alive)
        seed = found.seen.seed if found.way is Customize.CLOUD_INIT else None
        self._finish(base, pool, facts, seed, found.way)

    def _finish(
        self,
        base: Base,
        pool: Pool,
        facts: GuestFacts | None = None,
        seed: SeedFacts | None = None,
        way: Customize | None = None,
    ) -> None:
        for volume in own(base).volumes:
            pool.protect(volume)
        journal = self.context.journal
        journal.update_base(base.id, state=READY, facts=facts, seed=seed, way=way)

    def _copy(self, base: Base, pool: Pool, changes: Mapping[str, Layer]) -> None:
        self._announce(base)
        context, connection = self.context, self.context.connect()
        for volume in own(base).volumes:
            chain = self.image.chains[volume.target]
            pool.copy_image(connection, volume, chain, changes.get(volume.target), context.alive)
        original.check_unchanged(self.image, context)

    def _announce(self, base: Base) -> None:
        data = {"id": base.id, "image_uuid": self.image.uuid}
        self.context.journal.intend(self.request_id, Effect.BASE, data)
        self.context.journal.add_base(base)

    def _pool(self, preferred: str | None) -> Pool:
        """Return where a copy is made. Raises NoRoom."""
        known = pools.pools(self.context.connect(), self.context.settings.pools)
        needed = self.image.allocated + OVERLAY_BYTES
        named = [pool for pool in known if pool.name == preferred and pool.free >= needed]
        return pools.choose(named or known, needed)

    def _with_volumes(self, pool: Pool, way: Customize) -> Base:
        base, image = self._planned(pool.name, way), self.image
        made = [
            pool.volume(each, volumes.of_base(base.version, base.id, each)) for each in image.chains
        ]
        for volume in made:
            pool.check_free(volume)
        disks = tuple(BaseDisk(each.target, each.name, each.path, pool.FORMAT) for each in made)
        return replace(base, disks=disks)

    def _planned(self, pool: str, way: Customize) -> Base:
        return Base(
            id=uuid.uuid4().hex[:8],
            image=self.image.name,
            image_uuid=self.image.uuid,
            version=self.image.state,
            state=MAKING,
            pool=pool,
            created=time.time(),
            way=way,
        )


def _drives(base: Base) -> list[Drive]:
    return [Drive(disk.path, disk.format) for disk in base.disks]


def _named(name: str, context: JobContext) -> Pool:
    """Return the pool of what keeps an image, which may be one that nothing else is made in."""
    found = next((each for each in pools.pools(context.connect()) if each.name == name), None)
    if found is None:
        raise StorageFailed(f"storage pool {name}, which has what the image came as, is not active")
    return found


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove a base that was not finished; one that is ready serves others.

    A base that is being made belongs to the request that undoes it, so that nobody else has it.
    """
    for base in context.journal.bases(data["image_uuid"]):
        if base.id == data["id"] and base.state != READY:
            discard(base, context)
