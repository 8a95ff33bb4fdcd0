# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes an original image that Maglica made."""

from __future__ import annotations

from ....model.errors import ImageUnsupported
from ....model.request import Request
from ..context import JobContext


def remove_image(request: Request, context: JobContext) -> None:
    """Not built yet."""
    # What is taken away is announced as Effect.REMOVAL.
    raise ImageUnsupported(
        f"cannot remove image {request.name} on host {context.host}: that is not built yet"
    )
