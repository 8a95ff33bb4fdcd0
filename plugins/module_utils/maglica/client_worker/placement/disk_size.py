# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of the disk's size: the first one is not smaller than the image's.

Whether the guest would fill a larger one only its host finds out.
"""

from __future__ import annotations

from ...model.errors import DiskSizeUnsupported
from ...model.sizes import too_small
from ...verbs.clone import CloneSpec
from .candidates import Holdings


def check(spec: CloneSpec, holdings: Holdings) -> None:
    """Raise DiskSizeUnsupported if the image's first disk is larger than it shall be."""
    there = holdings.by_name[spec.image].first_disk_bytes
    if 0 < spec.disk_size < there:
        raise DiskSizeUnsupported(too_small(spec.disk_size, there))
