# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What disks need of a pool, in bytes: the client worker plans with it, hosts hold to it."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20

# What a vm's disks take above what is copied for them: the tables of fresh qcow2 files, whatever
# their size, and what makes the vm a guest of its own.
OVERLAY_BYTES = 64 * MIB


@dataclass(frozen=True)
class Room:
    """What there is for all volumes of a pool, and what of it is free, in bytes."""

    capacity: int = 0
    free: int = 0


def gib(size: int) -> str:
    """Return ``size`` bytes in GiB, as the texts of errors have them."""
    return f"{size / (1 << 30):.1f}"
