# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes an original image of a file, or a new version of one."""

from __future__ import annotations

from ....model.errors import ImageUnsupported
from ....model.request import Request
from ..context import JobContext


def add_image(request: Request, context: JobContext) -> None:
    """Not built yet."""
    raise ImageUnsupported(
        f"cannot add image {request.name} on host {context.host}: that is not built yet"
    )
