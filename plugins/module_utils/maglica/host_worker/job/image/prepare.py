# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the base of an image before its first clone."""

from __future__ import annotations

from contextlib import nullcontext

from ....model.errors import ImageUnsupported, MaglicaError
from ....model.request import Customize, Request
from ..context import JobContext
from . import base, look, original, unused_bases, ways


def prepare(request: Request, context: JobContext) -> None:
    """Make the base of the image's present version, unless it is there; remove unused older ones.

    It is the one for clones that ask for no way to be customized. Raises what a clone of it would,
    with image and host named.
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
        known = look.known(image, context)
        is_made = known is not None and base.is_ready(
            image, context, look.chosen(known, Customize.AUTO).way
        )
        with nullcontext() if is_made else context.phase(request.id, "base"):
            way = ways.chosen(image, Customize.AUTO, request.id, context).way
            with base.held(image, context, request.id, way):
                pass
    except MaglicaError as error:
        raise type(error)(f"cannot prepare image {name} on host {context.host}: {error}") from error
    if len(context.journal.bases(image.uuid)) > 1:
        unused_bases.tidy(context)
