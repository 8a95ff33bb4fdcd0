# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the bases of an image that no vm builds upon."""

from __future__ import annotations

import logging
import time

from ....model.errors import ImageUnknown, MaglicaError
from ....model.request import Request
from ..context import JobContext
from . import made, original, unused_bases

_log = logging.getLogger(__name__)


def release(request: Request, context: JobContext) -> None:
    """Remove the bases of the image that no vm builds upon, the newest too; forget the look at it.

    The image itself may be gone by now. Raises StorageFailed, LibvirtFailed, HostDown.
    """
    name = request.name
    try:
        begun = time.monotonic()
        # What is known of it may be from before it got that name.
        uuid = _uuid_of(name, context)
        removed = unused_bases.release(name, context, uuid)
        forgotten = context.journal.looks.forget(name, uuid)
        made.tidy(context)
    except MaglicaError as error:
        text = f"cannot remove the bases of image {name} on host {context.host}: {error}"
        raise type(error)(text) from error
    if removed or forgotten:
        context.measured(request.id, "volumes", round(time.monotonic() - begun, 3))
    _log.info("image %s: %d bases removed", name, removed)


def _uuid_of(name: str, context: JobContext) -> str | None:
    """Return the UUID of the domain that has this name now, None if there is none."""
    try:
        return str(original.domain_named(context.connect(), name).UUIDString())
    except ImageUnknown:
        return None
