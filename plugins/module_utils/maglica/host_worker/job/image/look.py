# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at an image before any of its disks is copied: how its clones can be customized.

What is found is kept, so that nobody looks at the same version again, whatever is asked for. Where
a base is wanted, it is prepared by that same look: an appliance takes longer to start than all that
it does.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ....disk import chain, files, pools, volumes
from ....disk.backend import Pool
from ....disk.chain import Layer
from ....disk.room import OVERLAY_BYTES
from ....domain.metadata import OwnVolume
from ....guest.appliance import accel
from ....guest.appliance.appliance import Drive
from ....guest.cloud_init.way import Chosen, way
from ....guest.filesystem import NoVerdict
from ....guest.network.families import INSPECTION
from ....guest.prepare import Prepared, prepare_base
from ....libvirtd import local
from ....model import errors
from ....model.errors import GuestUnreadable, GuestUnsupported
from ....model.request import Customize
from ...journal.intents import Effect
from ...journal.looks import Look
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext, failure_of
from . import original
from .original import Image

_NONE_CAN = "customize: none clones it as it is inside"


def known(image: Image, context: JobContext) -> Look | None:
    """Return what an earlier look at this version found; None if there was none."""
    found = context.journal.looks.at(image.uuid)
    if found is None or (found.version, found.inspection) != (image.state, INSPECTION):
        return None
    if found.image != image.name:
        found = replace(found, image=image.name)
        _keep(found, context)
    return found


def chosen(look: Look, asked: Customize) -> Chosen:
    """Return how clones are customized by what an earlier look found.

    Raises GuestUnsupported or GuestUnreadable if it can't be done as asked.
    """
    try:
        return _judged(look, asked)
    except (GuestUnreadable, GuestUnsupported) as error:
        seen = time.strftime("%Y-%m-%d %H:%M", time.localtime(look.made))
        advice = f"to have it looked at anew: maglica image release {look.image}"
        raise type(error)(f"{error} (found {seen}; {advice})") from error


def _judged(look: Look, asked: Customize) -> Chosen:
    if look.seen is not None:
        return way(asked, look.seen.cloud_init, look.seen.offline)
    failure = errors.from_code(look.code or GuestUnsupported.code, look.reason or "")
    raise _with_advice(failure)


def _with_advice(error: errors.MaglicaError) -> errors.MaglicaError:
    return type(error)(f"{error}; {_NONE_CAN}")


def alone(image: Image, request_id: str, context: JobContext) -> None:
    """Look at an image, and make nothing of it.

    That its clones can't be customized is no error here. Raises what else ``prepared`` does.
    """
    known_pools = pools.pools(context.connect(), context.settings.pools)
    pool = pools.choose(known_pools, OVERLAY_BYTES)
    try:
        with prepared(image, pool, None, request_id, context):
            pass
    except (GuestUnreadable, GuestUnsupported):
        if known(image, context) is None:
            raise


@contextmanager
def prepared(
    image: Image, pool: Pool, asked: Customize | None, request_id: str, context: JobContext
) -> Iterator[tuple[dict[str, Layer], Prepared]]:
    """Look at the image in throw-away overlays of its disks; yield these, by target, and what came
    of it.

    They lie in ``pool``, are what a base is to have that is for ``asked``, and are there during the
    block only. Raises GuestUnreadable, GuestUnsupported, ImageRunning, ImageUnsupported, NoRoom,
    StorageFailed.
    """
    look_id = uuid.uuid4().hex[:8]
    overlays = [pool.volume(t, volumes.of_look(look_id, t)) for t in image.chains]
    paths = [volume.path for volume in overlays]
    for volume in overlays:
        pool.check_free(volume)
    # What the appliance's QEMU opens has been checked as it is now.
    original.check_unchanged(image, context)
    for layers in image.chains.values():
        chain.content_bytes(layers, alive=context.alive)
    context.journal.intend(request_id, Effect.LOOK, {"paths": paths})
    try:
        with pool.explained():
            for volume in overlays:
                pool.lay_over(volume, image.chains[volume.target][0])
            drives = [Drive(path, pool.FORMAT) for path in paths]
            found = inside(image, drives, asked, context)
        yield {volume.target: _layer(volume, pool, image) for volume in overlays}, found
    finally:
        for path in paths:
            files.remove(path)


def _layer(overlay: OwnVolume, pool: Pool, image: Image) -> Layer:
    size = image.chains[overlay.target][0].size
    return Layer(overlay.path, pool.FORMAT, size, files.taken(overlay.path), ())


def inside(
    image: Image, drives: Sequence[Drive], asked: Customize | None, context: JobContext
) -> Prepared:
    """Look at the guest on ``drives``, prepare them for ``asked``, and keep what that tells of it.

    Raises GuestUnsupported or GuestUnreadable if it can't be done as asked, or nothing can be told.
    """
    use_kvm = accel.kvm_works(context.settings.accel, context.settings.state_dir)
    try:
        made = prepare_base(drives, asked, use_kvm, context.alive)
    except NoVerdict:
        raise
    except (GuestUnreadable, GuestUnsupported) as error:
        against = failure_of(error)
        _found(image, _look(image, code=against.code, reason=against.text), context)
        raise _with_advice(error) from error
    look = _look(image, seen=made.seen)
    _found(image, look, context)
    if asked is not None:
        _judged(look, asked)
    return made


def _look(image: Image, **found: Any) -> Look:
    return Look(image.uuid, image.name, image.state, INSPECTION, time.time(), **found)


def _found(image: Image, look: Look, context: JobContext) -> None:
    """Keep what was found of an image that is as it was."""
    original.check_unchanged(image, context)
    _keep(look, context)


def _keep(look: Look, context: JobContext) -> None:
    with local.errors("list the images", context.host):
        domains = context.connect().listAllDomains()
    context.journal.looks.keep(look, [domain.UUIDString() for domain in domains])


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove the overlays of a look that did not come to its end."""
    own_files.discard(OwnFiles(paths=tuple(data["paths"])), context)
