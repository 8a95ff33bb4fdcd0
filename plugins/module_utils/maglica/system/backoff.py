# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to wait before something is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Pauses in seconds, each twice as long as the one before, from ``first`` to ``longest``."""

    first: float
    longest: float

    def pause(self, before: int) -> float:
        """Return the pause after ``before`` others."""
        # A power of a number that grows for ever would grow too large for a float.
        return min(self.longest, self.first * 2.0 ** min(before, 64))
