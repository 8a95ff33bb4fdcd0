# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an image before any of its disks is copied: whether its guest can be customized.

The base is prepared in throw-away overlays of the image's disks, which are only read. What is found
against a guest is kept, so that the next clone of the same version is refused at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ....disk import chain, files, volumes
from ....disk.backend import Pool
from ....disk.chain import Layer
from ....domain.metadata import OwnVolume
from ....guest.appliance import accel
from ....guest.appliance.appliance import Drive
from ....guest.customize import prepare_base
from ....guest.facts import GuestFacts
from ....guest.filesystem import ApplianceDied
from ....guest.network.families import INSPECTION
from ....libvirtd import local
from ....model import errors
from ....model.errors import GuestUnreadable, GuestUnsupported
from ....model.request import Failure
from ...journal.intents import Effect
from ...journal.looks import Look
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext, failure_of
from . import original
from .original import Image


def refuse(image: Image, context: JobContext) -> None:
    """Raise GuestUnsupported or GuestUnreadable if that came of an earlier look at this version."""
    known = context.journal.looks.at(image.uuid)
    if known is None or known.code is None or known.reason is None:
        return
    if (known.version, known.inspection) != (image.version, INSPECTION):
        return
    if known.image != image.name:
        _keep(replace(known, image=image.name), context)
    seen = time.strftime("%Y-%m-%d %H:%M", time.localtime(known.made))
    advice = f"to have it looked at anew: maglica image release {image.name}"
    raise errors.from_code(known.code, f"{known.reason} (found {seen}; {advice})")


@contextmanager
def prepared(
    image: Image, pool: Pool, request_id: str, context: JobContext
) -> Iterator[tuple[dict[str, Layer], GuestFacts]]:
    """Yield overlays of the image's disks, by target, and what its guest is.

    They lie in ``pool``, are what a base is to have, and are there during the block only.
    Raises GuestUnreadable, GuestUnsupported, ImageRunning, ImageUnsupported, NoRoom, StorageFailed.
    """
    look_id = uuid.uuid4().hex[:8]
    overlays = [pool.volume(t, volumes.of_look(look_id, t)) for t in image.chains]
    paths = [volume.path for volume in overlays]
    for volume in overlays:
        pool.check_free(volume)
    # What the appliance's QEMU opens has been checked as it is now.
    original.check_unchanged(image, context)
    for layers in image.chains.values():
        chain.content_bytes(layers)
    context.journal.intend(request_id, Effect.LOOK, {"paths": paths})
    try:
        with pool.explained():
            for volume in overlays:
                pool.lay_over(volume, image.chains[volume.target][0])
            facts = _judged(image, [Drive(path, pool.FORMAT) for path in paths], context)
        yield {volume.target: _layer(volume, pool, image) for volume in overlays}, facts
    finally:
        for path in paths:
            files.remove(path)


def _layer(overlay: OwnVolume, pool: Pool, image: Image) -> Layer:
    size = image.chains[overlay.target][0].size
    return Layer(overlay.path, pool.FORMAT, size, files.taken(overlay.path), ())


def _judged(image: Image, drives: Sequence[Drive], context: JobContext) -> GuestFacts:
    """Prepare the base, and keep what that tells of the guest."""
    use_kvm = accel.kvm_works(context.settings.accel, context.settings.state_dir)
    try:
        facts = prepare_base(drives, use_kvm, context.alive)
    except ApplianceDied:
        raise
    except (GuestUnreadable, GuestUnsupported) as error:
        _found(image, failure_of(error), context)
        raise
    _found(image, None, context)
    return facts


def _found(image: Image, against: Failure | None, context: JobContext) -> None:
    """Keep what was found of an image that is as it was, and that has a version."""
    original.check_unchanged(image, context)
    if image.version is not None:
        code, reason = (against.code, against.text) if against else (None, None)
        seen = (image.version, INSPECTION, time.time(), code, reason)
        _keep(Look(image.uuid, image.name, *seen), context)


def _keep(look: Look, context: JobContext) -> None:
    with local.errors("list the images", context.host):
        domains = context.connect().listAllDomains()
    context.journal.looks.keep(look, [domain.UUIDString() for domain in domains])


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove the overlays of a look that did not come to its end."""
    own_files.discard(OwnFiles(paths=tuple(data["paths"])), context)
