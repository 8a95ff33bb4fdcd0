# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove an original image that Maglica made, with all that is its own."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.checks import record, uuid
from .verb import NAME, Interrupted, OnImage, Verb


@dataclass(frozen=True)
class RemoveImageSpec(OnImage):
    """An image that shall be no more; ``uuid`` pins it: a new one of the same name is not meant."""

    verb = "remove_image"
    uuid: str


REMOVE_IMAGE = Verb(
    spec=RemoveImageSpec,
    record=record(RemoveImageSpec, image=NAME, host=NAME, uuid=uuid()),
    help="remove an original image that Maglica made, with its files",
    interrupted=Interrupted.FINISHED,
    about="image",
    acting_phase="undefine",
)
