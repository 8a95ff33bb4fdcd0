# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes an original image of a file, or gives one that Maglica made a new version.

What came is kept in a volume that nothing writes to; the disk of the image's own domain is an
overlay of it. The image is there as soon as its domain is defined so: what comes after that is work
ahead for its first clone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import asdict
from typing import Callable

from ....disk import chain, firmware, pools, volumes
from ....disk.backend import Pool
from ....disk.partitions import HEAD
from ....disk.strangers import Stranger
from ....domain import definition, image_metadata, new_image
from ....domain.clone import DiskSource
from ....domain.image_metadata import ImageRecord, OwnVersion
from ....domain.metadata import OwnVolume
from ....domain.new_image import NewImage
from ....guest.appliance import accel
from ....image import sums
from ....image.checksum import Checksum, SumsFile
from ....model.errors import (
    GuestUnreadable,
    GuestUnsupported,
    ImageRunning,
    ImageUnknown,
    ImageUnsupported,
    MaglicaError,
    NameTaken,
    StorageFailed,
)
from ....model.image import Firmware, ImageVersion, image_uuid
from ....model.moment import Moment
from ....model.request import Customize, Request
from ....model.urls import shown
from ....system import download, local_file, locks
from ....verbs.add_image import AddImageSpec
from ...journal.intents import Effect
from ..context import JobContext
from . import arrival, defined, made, original, unused_bases, ways
from . import base as bases
from .arrival import Arrival
from .made import MadeImage

log = logging.getLogger(__name__)

# What stays of an interrupted try for the next one: before the image is there, and from then on.
_BEFORE = frozenset({Effect.FETCH})
_FROM_THEN_ON = frozenset({Effect.FETCH, Effect.FILE, Effect.VOLUME, Effect.IMAGE})


def add_image(request: Request, context: JobContext) -> None:
    """Have an image that is as the file, with the base that its first clone needs.

    One whose newest version has the file's checksum stays as it is. Raises what keeps it from being
    made, with image and host named; nothing of it is left then.
    """
    if not isinstance(request.spec, AddImageSpec):
        raise ImageUnknown(f"request {request.id} names no image")
    try:
        with locks.held(made.lock_of(request.name, context), waiting=context.alive):
            _New(request, request.spec, context).add()
    except MaglicaError as error:
        text = f"cannot add image {request.name} on host {context.host}: {error}"
        raise type(error)(text) from error


def goes_on_with(request: Request, context: JobContext) -> Collection[Effect]:
    """Return of which effects an interrupted try's next one makes use, so that they stay."""
    return _FROM_THEN_ON if _has_version_of(request, context) else _BEFORE


def _has_version_of(request: Request, context: JobContext) -> bool:
    """Tell whether the image has the version that this request brings.

    Another request may have brought a newer one since: made anew, this one would take its place.
    """
    try:
        found = made.find(request.name, context)
    except (ImageUnsupported, NameTaken):
        return False
    versions = found.record.versions if found else ()
    return any(version.what.request == request.id for version in versions)


class _New:
    """A version of an image in the making."""

    def __init__(self, request: Request, spec: AddImageSpec, context: JobContext) -> None:
        self._request = request
        self._spec = spec
        self._context = context
        # What the origin says is checked with the message.
        self._origin = spec.origin

    def add(self) -> None:
        if _has_version_of(self._request, self._context):
            # An earlier run has made it, whose phases are forgotten.
            self._context.measured(self._request.id, "define", 0.0)
        elif not self._make():
            return
        self._prepare()
        # Before what it has replaced goes, without which it can't be undone. In one step with its
        # end: a request that had only forgotten what it made would make it once more.
        self._context.done(self._request)
        made.tidy(self._context)

    def _make(self) -> bool:
        """Make it unless it is there; return whether it was made."""
        old = made.find(self._spec.image, self._context)
        expected = self._expected(old)
        if old and old.is_whole and str(expected) == old.record.newest.checksum:
            # Another request has brought it since an earlier try of this one.
            arrival.discard(self._request.id, self._context)
            return False
        # All that can be known before something is made.
        target = self._check(old)
        arrived = Arrival(self._request, self._spec, self._context)
        checksum = arrived.bring(expected)
        disk = arrived.check(arrived.unpack())
        starts_by = self._firmware(arrived.pool.head(disk.chain, HEAD))
        kept = self._keep(arrived, disk, checksum, target)
        own = self._lay_over(arrived.pool, kept)
        arrived.clear()
        what = ImageVersion(
            checksum=str(checksum),
            origin=self._origin.shown,
            format=arrived.pool.FORMAT,
            size_bytes=disk.size,
            request=self._request.id,
            created=Moment(int(time.time())),
        )
        version = OwnVersion(what, (kept, own))

        def plan(now: MadeImage | None) -> NewImage:
            return self._plan(now, version, arrived.pool.source(own), starts_by)

        self._define(plan, old)
        return True

    def _expected(self, old: MadeImage | None) -> Checksum | None:
        """Return the checksum that the file must have; of one on this host that which it has, if
        there is something to compare it with.
        """
        said = self._origin.checksum
        if isinstance(said, SumsFile):
            with self._context.phase(self._request.id, "sums"):
                alive = self._context.alive
                data = download.read(said.url, sums.MAX_BYTES, progress=lambda done, total: alive())
                where = shown(said.url)
                return sums.find(data, self._origin.file_name, where, said.algorithm)
        if said is None and old is not None and self._origin.path is not None:
            algorithm = (old.record.newest.checksum or arrival.ALGORITHM).partition(":")[0]
            with self._context.phase(self._request.id, "sums"):

                def moved(done: int, total: int) -> None:
                    self._context.counted(self._request.id, "sums", done, total)

                most = max(
                    (pool.capacity for pool in pools.pools(self._context.connect())), default=0
                )
                found = local_file.digest(self._origin.path, algorithm, most, moved)
                return Checksum(algorithm, found)
        return said

    def _check(self, old: MadeImage | None) -> str:
        """Find out what can't work; return the target of the image's disk.

        Raises ImageUnsupported, ImageRunning.
        """
        if old is not None:
            made.check_replaceable(old, self._context)
        nothing = DiskSource("/")
        trial = self._plan(old, OwnVersion(ImageVersion()), nothing, self._asked_firmware())
        disks = definition.describe(new_image.definition(trial)).copied_disks
        return disks[0].target

    def _asked_firmware(self) -> Firmware | None:
        spec = self._spec
        return new_image.asked_firmware(spec.firmware, spec.secure_boot, spec.xml)

    def _firmware(self, head: bytes) -> Firmware:
        asked = self._asked_firmware()
        if asked is None:
            return firmware.wanted(head)
        firmware.check(head, asked)
        return asked

    def _plan(
        self,
        old: MadeImage | None,
        version: OwnVersion,
        disk: DiskSource,
        starts_by: Firmware | None,
    ) -> NewImage:
        record = old.record if old else ImageRecord(self._request.id, self._request.who)
        spec, settings = self._spec, self._context.settings
        return NewImage(
            name=spec.image,
            record=image_metadata.with_version(record, version),
            disk=disk,
            firmware=starts_by or Firmware.BIOS,
            kvm=accel.kvm_works(settings.accel, settings.state_dir),
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            interfaces=spec.interfaces,
            secure_boot=spec.secure_boot,
            xml=spec.xml,
        )

    def _keep(self, arrived: Arrival, disk: Stranger, checksum: Checksum, target: str) -> OwnVolume:
        """Make the volume that keeps the disk: the file itself, moved, or a copy of what is in it.

        Raises NoRoom, StorageFailed, ImageUnsupported.
        """
        uuid, context = image_uuid(self._request.id), self._context
        pool = arrived.pool
        volume = pool.volume(target, volumes.of_image(str(checksum), uuid, target))
        with context.phase(self._request.id, "write"):
            self._announce(pool, volume)
            if disk.is_plain:
                pool.take(volume, disk.chain[0].path)
            else:
                pool.copy_image(context.connect(), volume, disk.chain, None, arrived.alive)
            pool.protect(volume)
        return volume

    def _lay_over(self, pool: Pool, kept: OwnVolume) -> OwnVolume:
        """Make the disk of the image's own domain. Raises NoRoom, StorageFailed."""
        uuid = image_uuid(self._request.id)
        own = pool.volume(kept.target, volumes.of_vm(self._spec.image, kept.target, uuid))
        self._announce(pool, own)
        layers = chain.inspect(kept.path, pool.FORMAT, ())
        pool.overlay(self._context.connect(), own, layers)
        return own

    def _announce(self, pool: Pool, volume: OwnVolume) -> None:
        pool.check_free(volume)
        self._context.journal.intend(self._request.id, Effect.VOLUME, asdict(volume))

    def _define(
        self, planned: Callable[[MadeImage | None], NewImage], old: MadeImage | None
    ) -> None:
        """Define the image's domain, the step from which on the image is there.

        Raises ImageUnsupported, ImageRunning, StorageFailed, LibvirtFailed, HostDown.
        """
        context = self._context
        uuid = old.uuid if old else image_uuid(self._request.id)
        lock = locks.held(bases.lock_of(uuid, context), waiting=context.alive)
        with context.phase(self._request.id, "define"), lock:
            if old is not None:
                # The file may have come for hours, in which its owner has changed the image.
                old = made.again(old, context)
                made.check_replaceable(old, context)
            defined.define(self._request.id, planned(old), old, context)

    def _prepare(self) -> None:
        """Make the base that the image's clones will need.

        The image is there: what stands against its clones is found by this look, and kept.
        """
        context, name = self._context, self._spec.image
        try:
            with context.phase(self._request.id, "base"):
                image = original.read(name, context)
                chosen = ways.chosen(image, Customize.AUTO, self._request.id, context)
                with bases.held(image, context, self._request.id, chosen.way):
                    pass
        except (GuestUnreadable, GuestUnsupported, ImageRunning) as error:
            log.warning("image %s has no base yet: %s", name, error)
            self._release_old()
        unused_bases.tidy(context)

    def _release_old(self) -> None:
        """Remove bases of older versions: there is no newer one that would show them to be old."""
        try:
            unused_bases.release(self._spec.image, self._context)
        except StorageFailed as error:
            log.warning("bases of image %s are left: %s", self._spec.image, error)
