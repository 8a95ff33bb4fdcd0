# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are to tell what they know before a journal that is learning places a clone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Expected:
    """The hosts that have not told all of it. Times are monotonic.

    Those that were known at the start are waited for until they are heard, or ``until``. Where
    the journal takes the place of another, so that hosts have vms that it does not know, all are
    waited for however long, also those that were registered since.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._since: set[str] = set()
        self._heard: set[str] = set()
        self._until = -math.inf
        self._in_place_of_another = False

    def __bool__(self) -> bool:
        return bool(self._names or self._since)

    def __contains__(self, name: str) -> bool:
        return name in self._names or name in self._since

    def begin(self, names: Iterable[str], until: float, *, in_place_of_another: bool) -> None:
        self._names.update(names)
        self._until = until
        self._in_place_of_another = in_place_of_another

    def add(self, names: Iterable[str]) -> None:
        """Take in hosts that are registered after the start."""
        self._since.update(names)

    def heard(self, name: str) -> None:
        """Take in that a host has said how it is, be it that it has more to tell."""
        self._heard.add(name)

    def told(self, name: str) -> None:
        """Take in that a host has told all."""
        self._names.discard(name)
        self._since.discard(name)

    def retain(self, names: frozenset[str]) -> None:
        """Wait for these only: others have no key any more."""
        self._names &= names
        self._since &= names

    def clear(self) -> None:
        """Wait for nobody any more: a clone is placed."""
        self._names.clear()
        self._since.clear()

    def missing(self, now: float, in_place_of_another: bool) -> list[str]:
        """Return those that are waited for; ``in_place_of_another``: what hosts tell says so."""
        self._in_place_of_another |= in_place_of_another
        if self._in_place_of_another:
            return sorted(self._names | self._since)
        if now >= self._until:
            self._names.clear()
        return sorted(self._names - self._heard)
