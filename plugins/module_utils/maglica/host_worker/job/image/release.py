# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes the bases of an image that no vm builds upon."""

from __future__ import annotations

import logging
import time

from ....model.errors import MaglicaError
from ....model.request import Request
from ..context import JobContext
from . import made, unused_bases

_log = logging.getLogger(__name__)


def release(request: Request, context: JobContext) -> None:
    """Remove the bases of the image that no vm builds upon, the newest too; forget the look at it.

    The image itself may be gone by now. Raises StorageFailed.
    """
    name = request.name
    try:
        begun = time.monotonic()
        removed = unused_bases.release(name, context)
        forgotten = context.journal.looks.forget(name)
        made.tidy(context)
    except MaglicaError as error:
        text = f"cannot remove the bases of image {name} on host {context.host}: {error}"
        raise type(error)(text) from error
    if removed or forgotten:
        context.measured(request.id, "volumes", round(time.monotonic() - begun, 3))
    _log.info("image %s: %d bases removed", name, removed)
