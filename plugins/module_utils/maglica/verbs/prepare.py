# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the base of an image ahead of the first clone."""

from __future__ import annotations

from dataclasses import dataclass

from .verb import Interrupted, OnImage, Verb, image_record


@dataclass(frozen=True)
class PrepareSpec(OnImage):
    """An image whose present version shall have a base."""

    verb = "prepare"


PREPARE = Verb(
    spec=PrepareSpec,
    record=image_record(PrepareSpec),
    help="make an image's base, which clones build upon, ahead of the first one",
    interrupted=Interrupted.UNDONE,
    about="image",
    base_of=lambda spec: spec.image,
    ahead=True,
    acting_phase="base",
)
