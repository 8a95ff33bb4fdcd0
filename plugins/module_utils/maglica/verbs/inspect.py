# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the guest of an image, so that it is known how clones of it are customized."""

from __future__ import annotations

from dataclasses import dataclass

from .verb import Interrupted, OnImage, Verb, image_record


@dataclass(frozen=True)
class InspectSpec(OnImage):
    """An image whose present version shall have been looked at."""

    verb = "inspect"


INSPECT = Verb(
    spec=InspectSpec,
    record=image_record(InspectSpec),
    help="look at an image's guest, to know how clones of it are customized",
    interrupted=Interrupted.UNDONE,
    about="image",
    base_of=lambda spec: spec.image,
    ahead=True,
    acting_phase="look",
)
