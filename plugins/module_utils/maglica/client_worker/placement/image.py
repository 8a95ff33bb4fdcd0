# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of the image: a host must hold it, as an original image that is off."""

from __future__ import annotations

from ...model import errors
from ...verbs.clone import CloneSpec
from .candidates import Holdings


def check(spec: CloneSpec, holdings: Holdings) -> None:
    """Raise ImageUnknown or ImageRunning if the host has no such original image to clone from."""
    name = spec.image
    image = holdings.by_name.get(name)
    if image is None:
        raise errors.ImageUnknown(f"there is no original image {name}")
    if image.made or not image.may_be_image:
        kind = (
            "a vm made by Maglica"
            if image.made
            else "transient or excluded by the host's image_pattern"
        )
        raise errors.ImageUnknown(f"{name} is {kind}, no original image")
    if image.active:
        raise errors.ImageRunning(f"the original image {name} is running; shut it down first")
