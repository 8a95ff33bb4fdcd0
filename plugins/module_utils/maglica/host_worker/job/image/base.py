# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases: immutable states of one version of an image's disks, which clones build upon.

There is one for each way to customize clones that was asked for. A lock for each image is held
alone while a base is looked for, made or removed, and shared while clones are built upon one. That
may take long, so that who waits says that it lives. What is not in the journal and nothing builds
upon is removed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ....model.errors import JournalFailed, StorageFailed
from ....model.request import Customize
from ....system import locks
from ...journal.bases import MAKING, READY, Base
from ...journal.looks import Look
from ..context import JobContext
from . import look, new_base
from .original import Image

_LOCKS = "bases"

log = logging.getLogger(__name__)


def is_ready(image: Image, context: JobContext, way: Customize) -> bool:
    """Tell whether the base of the image's present version is there, for that way."""
    return any(_is_for(base, image, way) for base in context.journal.bases(image.uuid))


def _is_for(base: Base, image: Image, way: Customize) -> bool:
    is_whole = base.state == READY and all(Path(disk.path).exists() for disk in base.disks)
    return is_whole and (base.version, base.way) == (image.state, way)


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
    Raises NoRoom, StorageFailed, ImageRunning, ImageUnsupported, GuestUnreadable or
    GuestUnsupported.
    """
    with locks.held(lock_of(image.uuid, context), waiting=context.alive) as lock:

        def found_or_made() -> Base:
            found = _find(image, context, way)
            if found is None:
                new_base.make(image, way, request_id, context, pool)
                found = _find(image, context, way)
            if found is None:
                raise JournalFailed(f"the base of image {image.name} is gone as soon as it is made")
            return found

        base = found_or_made()
        while True:
            # Between the two kinds of locks another job may have come and removed the base.
            lock.share()
            if base in context.journal.bases(image.uuid):
                break
            lock.own()
            base = found_or_made()
        yield base


def look_with(
    image: Image,
    context: JobContext,
    request_id: str,
    asked: Customize,
    pool: str | None = None,
) -> Look:
    """Look at an image of which nothing is known, and make the base as ``asked`` by that.

    Raises what ``held`` does.
    """
    with locks.held(lock_of(image.uuid, context), waiting=context.alive):
        # Whoever had the lock before may have looked.
        known = look.known(image, context)
        if known is None:
            if any(made.version == image.state for made in context.journal.bases(image.uuid)):
                # What is known was forgotten, and a base may be the one that is needed.
                look.alone(image, request_id, context)
            else:
                new_base.make(image, asked, request_id, context, pool)
            known = look.known(image, context)
    if known is None:
        raise JournalFailed(f"what was found of image {image.name} is not known any more")
    return known


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
                new_base.discard(base, context)
            except StorageFailed as error:
                log.warning("base %s of image %s is left: %s", base.id, image.name, error)
        elif _is_for(base, image, way):
            found = base
    return found
