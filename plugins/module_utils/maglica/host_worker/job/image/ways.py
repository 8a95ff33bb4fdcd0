# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the clones of an image are customized: what was asked for, and what a look at it found."""

from __future__ import annotations

from ....guest.cloud_init.way import Chosen, way
from ....model.request import Customize
from ..context import JobContext
from .original import Image


def chosen(
    image: Image,  # noqa: ARG001 - nothing is looked for yet
    asked: Customize,
    request_id: str,  # noqa: ARG001
    context: JobContext,  # noqa: ARG001
    pool: str | None = None,  # noqa: ARG001
) -> Chosen:
    """Return the way, having looked at the image's guest if nobody has at this version.

    ``request_id`` is whose undo removes what is half made; ``pool`` is preferred for a base.
    Raises GuestUnsupported or GuestUnreadable if it can't be done as asked, and what ``base.held``
    raises.
    """
    return way(asked, "is not used yet", None)
