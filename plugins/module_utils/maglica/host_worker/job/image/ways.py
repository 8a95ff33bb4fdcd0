# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the clones of an image are customized: what was asked for, and what a look at it found."""

from __future__ import annotations

from ....guest.cloud_init.way import Chosen, way
from ....model.request import Customize
from ..context import JobContext
from . import base, look
from .original import Image


def chosen(
    image: Image, asked: Customize, request_id: str, context: JobContext, pool: str | None = None
) -> Chosen:
    """Return the way; of an image that nobody has looked at, having looked, and made its base.

    ``request_id`` is whose undo removes what is half made; ``pool`` is preferred for the base.
    Raises GuestUnsupported or GuestUnreadable if it can't be done as asked, and what ``base.held``
    raises.
    """
    if asked is Customize.NONE:
        return way(asked, None, None)
    known = look.known(image, context)
    if known is None:
        known = base.look_with(image, context, request_id, asked, pool)
    return look.chosen(known, asked)
