# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an image before any of its disks is copied: whether its guest can be customized.

The base is prepared in throw-away overlays of the image's disks, which are only read. What is found
against a guest is kept, so that the next clone of the same version is refused at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ....disk import chain as images
from ....disk import qemu_img, volumes
from ....disk.chain import QCOW2, Layer
from ....domain.metadata import OwnVolume
from ....guest.appliance import accel
from ....guest.appliance.appliance import Drive
from ....guest.customize import prepare_base
from ....guest.facts import GuestFacts
from ....guest.filesystem import ApplianceDied
from ....guest.network.families import INSPECTION
from ....libvirtd import local
from ....model import errors
from ....model.errors import GuestUnreadable, GuestUnsupported, StorageFailed
from ....model.request import Failure
from ...journal.intents import Effect
from ...journal.looks import Look
from ..context import JobContext, failure_of
from . import original
from .original import Image

# Announces overlays, the files "paths".


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
    image: Image, pool: volumes.Pool, request_id: str, context: JobContext
) -> Iterator[tuple[dict[str, Layer], GuestFacts]]:
    """Yield overlays of the image's disks, by target, and what its guest is.

    They lie in ``pool``, are what a base is to have, and are there during the block only.
    Raises GuestUnreadable, GuestUnsupported, ImageRunning, ImageUnsupported, NoRoom, StorageFailed.
    """
    look_id = uuid.uuid4().hex[:8]
    names = {
        target: f"maglica-look.{look_id}.{volumes.checked_target(target)}.qcow2"
        for target in image.chains
    }
    paths = {target: volumes.volume_path(pool, name) for target, name in names.items()}
    for target, name in names.items():
        volumes.check_free(OwnVolume(target, pool.name, name, paths[target]))
    # What the appliance's QEMU opens has been checked as it is now.
    original.check_unchanged(image, context)
    for chain in image.chains.values():
        images.content_bytes(chain)
    context.journal.intend(request_id, Effect.LOOK, {"paths": list(paths.values())})
    try:
        with volumes.explained(pool.name, paths.values()):
            for target, chain in image.chains.items():
                qemu_img.lay_over(chain[0], paths[target])
            facts = _judged(image, [Drive(path, QCOW2) for path in paths.values()], context)
        yield {t: _overlay(path, image.chains[t][0]) for t, path in paths.items()}, facts
    finally:
        remove(paths.values())


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


def _overlay(path: str, below: Layer) -> Layer:
    try:
        return Layer(path, QCOW2, below.size, Path(path).stat().st_blocks * 512, ())
    except OSError as error:
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from error


def remove(paths: Iterable[str]) -> None:
    """Remove overlays; that one is not there is no error. Raises StorageFailed."""
    for path in paths:
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"{path} can't be removed: {error.strerror}") from error
