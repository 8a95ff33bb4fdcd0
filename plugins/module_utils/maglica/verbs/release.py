# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the bases of an image that no vm builds upon, and forget what is known of its guest."""

from __future__ import annotations

from dataclasses import dataclass

from .verb import Interrupted, OnImage, Verb, image_record


@dataclass(frozen=True)
class ReleaseSpec(OnImage):
    """An image that shall have no unused base."""

    verb = "release"


RELEASE = Verb(
    spec=ReleaseSpec,
    record=image_record(ReleaseSpec),
    help="remove bases of an image that no vm builds upon, forget what is known of its guest",
    interrupted=Interrupted.AGAIN,
    about="image",
    acting_phase="volumes",
)
