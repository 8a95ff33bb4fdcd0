# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are to tell what they know before a journal that is learning places a clone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Expected:
    """The hosts that have not told all of it. Times are monotonic.

    After ``until`` those that never came are waited for no longer, unless the journal is one that
    takes the place of another: hosts have vms then that it does not know.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._until = -math.inf
        self._in_place_of_another = False

    def __bool__(self) -> bool:
        return bool(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, names: Iterable[str], until: float, *, in_place_of_another: bool) -> None:
        self._names.update(names)
        self._until = until
        self._in_place_of_another |= in_place_of_another

    def told(self, name: str) -> None:
        """Take in that a host has told all."""
        self._names.discard(name)

    def retain(self, names: frozenset[str]) -> None:
        """Wait for these only: others have no key any more."""
        self._names &= names

    def missing(self, now: float, in_place_of_another: bool) -> list[str]:
        """Return those that are waited for; ``in_place_of_another``: what hosts tell says so."""
        self._in_place_of_another |= in_place_of_another
        if now >= self._until and not self._in_place_of_another:
            self._names.clear()
        return sorted(self._names)
