# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests about an original image: have its base ready before the first clone, or remove it."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext

from ....model.errors import ImageUnsupported, MaglicaError
from ....model.request import Request
from ..context import JobContext
from . import base, original, unused_bases

_log = logging.getLogger(__name__)


def prepare(request: Request, context: JobContext) -> None:
    """Make the base of the image's present version, unless it is there; remove unused older ones.

    Raises what a clone of it would, with image and host named.
    """
    name = request.name
    try:
        image = original.read(name, context)
        if image.version is None:
            raise ImageUnsupported(
                "it has a block device, which does not tell when it was written to: each clone of"
                " it makes a base of its own"
            )
        # The phase tells that something was to do.
        is_made = base.is_ready(image, context)
        phase = nullcontext() if is_made else context.phase(request.id, "base")
        with phase, base.held(image, context, request.id):
            pass
    except MaglicaError as error:
        raise type(error)(f"cannot prepare image {name} on host {context.host}: {error}") from error
    if len(context.journal.bases(image.uuid)) > 1:
        unused_bases.tidy(context)


def release(request: Request, context: JobContext) -> None:
    """Remove the bases of the image that no vm builds upon, the newest too; forget the look at it.

    The image itself may be gone by now. Raises StorageFailed.
    """
    name = request.name
    try:
        begun = time.monotonic()
        removed = unused_bases.release(name, context)
        forgotten = context.journal.looks.forget(name)
    except MaglicaError as error:
        text = f"cannot remove the bases of image {name} on host {context.host}: {error}"
        raise type(error)(text) from error
    if removed or forgotten:
        context.measured(request.id, "volumes", round(time.monotonic() - begun, 3))
    _log.info("image %s: %d bases removed", name, removed)
