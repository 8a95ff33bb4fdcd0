# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts are to tell what they know before a journal that is learning places a clone. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

# One host that never tells all it knows must not keep all others from their work. A machine that
# was switched off together with the client worker's is up again by then, and one that has a week's
# requests to tell has told them.
GIVE_UP_SECONDS = 600.0


class Expected:
    """The hosts that have not told all of it. Times are monotonic.

    Those that were known at the start are waited for until they are heard, for ``timeout`` at most.
    Where the journal takes the place of another, so that hosts have vms that it does not know, all
    are waited for until they have told, also those that were registered since, but none for longer
    than GIVE_UP_SECONDS after that has come out.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        # Until when each is waited for at most.
        self._names: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._heard: set[str] = set()
        self._given_up: set[str] = set()
        self._until = -math.inf
        self._in_place_of_another = False

    def __bool__(self) -> bool:
        return bool(self._names or self._since)

    def __contains__(self, name: str) -> bool:
        return name in self._names or name in self._since or name in self._given_up

    def begin(self, names: Iterable[str], now: float, *, in_place_of_another: bool) -> None:
        self._names = dict.fromkeys(names, now + GIVE_UP_SECONDS)
        self._until = now + self._timeout
        self._in_place_of_another = in_place_of_another

    def add(self, names: Iterable[str], now: float) -> None:
        """Take in hosts that are registered after the start."""
        self._since.update(dict.fromkeys(names, now + GIVE_UP_SECONDS))

    def heard(self, name: str) -> None:
        """Take in that a host has said how it is, be it that it has more to tell."""
        self._heard.add(name)

    def told(self, name: str) -> None:
        """Take in that a host has told all."""
        self._names.pop(name, None)
        self._since.pop(name, None)
        self._given_up.discard(name)

    def retain(self, names: frozenset[str]) -> None:
        """Wait for these only: others have no key any more."""
        self._names = {name: end for name, end in self._names.items() if name in names}
        self._since = {name: end for name, end in self._since.items() if name in names}
        self._given_up &= names

    def clear(self) -> None:
        """Wait for nobody any more: a clone is placed."""
        self._names.clear()
        self._since.clear()

    def missing(self, now: float, in_place_of_another: bool) -> list[str]:
        """Return those that are waited for; ``in_place_of_another``: what hosts tell says so."""
        if in_place_of_another and not self._in_place_of_another:
            self._in_place_of_another = True
            self._names = dict.fromkeys(self._names, now + GIVE_UP_SECONDS)
            self._since = dict.fromkeys(self._since, now + GIVE_UP_SECONDS)
        if self._in_place_of_another:
            waited = {**self._since, **self._names}
            return sorted(name for name, end in waited.items() if now < end)
        return sorted(self._names.keys() - self._heard) if now < self._until else []

    def give_up(self, now: float, in_place_of_another: bool) -> list[str]:
        """Return those that are waited for no more from now on, though they have not told all."""
        waited = self.missing(now, in_place_of_another)
        if not self._in_place_of_another:
            return []
        late = sorted({**self._since, **self._names}.keys() - set(waited))
        for name in late:
            self.told(name)
        self._given_up.update(late)
        return late

    def complaints(self) -> list[str]:
        """Return what is to be said of those that were given up and have not told all since."""
        return [complaint(name) for name in sorted(self._given_up)]


def complaint(name: str) -> str:
    return (
        f"host {name} has not told in {GIVE_UP_SECONDS / 60:g} minutes what it knows and this"
        " journal, which is new or restored, does not; clones are placed without it: see that"
        " its worker runs, or take it out of the access file (maglica.cloud.remove) if it is gone"
    )
