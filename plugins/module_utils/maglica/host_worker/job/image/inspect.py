# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the guest of an image, and makes nothing of it."""

from __future__ import annotations

from ....model.errors import MaglicaError
from ....model.request import Request
from ..context import JobContext
from . import look, original


def inspect(request: Request, context: JobContext) -> None:
    """Find out how clones of the image's present version are customized, unless that is known.

    That they can't be is an answer too, and is kept as all others are. Raises what keeps from
    looking, with image and host named.
    """
    name = request.name
    try:
        image = original.read(name, context)
        if look.known(image, context) is None:
            with context.phase(request.id, "look"):
                look.alone(image, request.id, context)
    except MaglicaError as error:
        raise type(error)(f"cannot inspect image {name} on host {context.host}: {error}") from error
