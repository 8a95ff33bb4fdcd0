# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for requests to change, and until when."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..model.request import Request, State

# A peer's place to answer to: the frames before its message. The first is the routing id that
# libzmq made up for the connection, which no other connection ever gets.
Envelope = tuple[bytes, ...]
# How many requests the waits of one key may be for. Each fork of a play waits on a connection of
# its own, with the same key.
MAX_PER_KEY = 10000
# Each change is held against each list that is waited for: a key may have a hundred of these.
TAIL_WEIGHT = 100
# How many waits end in one turn; the others have theirs in the next.
ENDED_AT_ONCE = 256
MAX_STALE = 1024


@dataclass(frozen=True)
class Tail:
    """A list of the requests in ``states``, of vm ``name`` (None: of any), that have changed since
    revision ``after``; at most ``limit`` of them.
    """

    states: frozenset[State]
    name: str | None
    after: int
    limit: int

    def is_for(self, request: Request) -> bool:
        return request.state in self.states and self.name in (None, request.name)


@dataclass(frozen=True)
class Wait:
    """A long poll: answered when a request passes its version in ``versions``, or at ``deadline``.

    One that has a ``tail`` is answered when any request that it is for has changed.
    """

    envelope: Envelope
    key: str
    versions: Mapping[str, int]
    deadline: float
    features: frozenset[str] = frozenset()
    tail: Tail | None = None

    @property
    def weight(self) -> int:
        """How many requests it counts for, against the limit of its key."""
        return TAIL_WEIGHT if self.tail else len(self.versions)


class Waits:
    """The long polls that are not answered yet; a connection has one at most."""

    def __init__(self, limit: int = MAX_PER_KEY) -> None:
        self._limit = limit
        self._waits: dict[bytes, Wait] = {}
        self._by_request: dict[str, set[bytes]] = {}
        self._tails: set[bytes] = set()
        # The oldest first.
        self._by_key: dict[str, dict[bytes, None]] = {}
        self._counts: Counter[str] = Counter()
        self._deadlines: list[tuple[float, bytes]] = []
        self._crowded_out: list[Wait] = []

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, wait: Wait) -> None:
        """Keep a wait; it takes the place of an earlier one of the same connection.

        When those of its key would be for too many requests, its oldest are over at once. Whoever
        still waits there asks again; most likely it has left without a word.
        """
        peer = wait.envelope[0]
        self.drop(peer)
        while self._counts[wait.key] and self._counts[wait.key] + wait.weight > self._limit:
            self._crowded_out.append(self._waits[next(iter(self._by_key[wait.key]))])
            self.drop(self._crowded_out[-1].envelope[0])
        self._waits[peer] = wait
        for request_id in wait.versions:
            self._by_request.setdefault(request_id, set()).add(peer)
        self._by_key.setdefault(wait.key, {})[peer] = None
        self._counts[wait.key] += wait.weight
        if wait.tail:
            self._tails.add(peer)
        heapq.heappush(self._deadlines, (wait.deadline, peer))
        if len(self._deadlines) > 2 * len(self._waits) + MAX_STALE:
            # Those of waits that were replaced or answered: there may be very many until they pass.
            self._deadlines = [(each.deadline, peer) for peer, each in self._waits.items()]
            heapq.heapify(self._deadlines)

    def answered_by(self, changed: Iterable[Request]) -> list[tuple[Wait, list[Request]]]:
        """Take out the waits that new versions answer; return each with those that it is for, in
        the order in which it asked for them.
        """
        due: dict[bytes, dict[str, Request]] = {}
        for request in changed:
            for peer in self._tails:
                tail = self._waits[peer].tail
                if tail is not None and tail.is_for(request):
                    due.setdefault(peer, {})
            for peer in self._by_request.get(request.id, ()):
                seen = self._waits[peer].versions[request.id]
                if request.version > seen or request.state.ended:
                    due.setdefault(peer, {})[request.id] = request
        answered = [(self._waits[peer], _in_order(self._waits[peer], due[peer])) for peer in due]
        for peer in due:
            self.drop(peer)
        return answered

    def revoked(self, admitted: Callable[[str], bool]) -> list[Wait]:
        """Take out and return the waits of keys that are not ``admitted``."""
        peers = [p for key, its in self._by_key.items() if not admitted(key) for p in its]
        found = [self._waits[peer] for peer in peers]
        for peer in peers:
            self.drop(peer)
        return found

    def over(self, now: float) -> list[Wait]:
        """Take out and return waits whose time is over, not all if there are very many."""
        due, self._crowded_out = (
            self._crowded_out[:ENDED_AT_ONCE],
            self._crowded_out[ENDED_AT_ONCE:],
        )
        while len(due) < ENDED_AT_ONCE and self._deadlines and self._deadlines[0][0] <= now:
            deadline, peer = heapq.heappop(self._deadlines)
            wait = self._waits.get(peer)
            if wait is not None and wait.deadline == deadline:
                self.drop(peer)
                due.append(wait)
        return due

    def next_end(self) -> float | None:
        """Return when ``over`` may have something to return."""
        if self._crowded_out:
            return 0.0
        return self._deadlines[0][0] if self._deadlines else None

    def drop(self, peer: bytes) -> None:
        """Forget the wait of a connection, if it has one."""
        wait = self._waits.pop(peer, None)
        if wait is None:
            return
        for request_id in wait.versions:
            self._by_request[request_id].discard(peer)
            if not self._by_request[request_id]:
                del self._by_request[request_id]
        del self._by_key[wait.key][peer]
        self._counts[wait.key] -= wait.weight
        self._tails.discard(peer)
        if not self._by_key[wait.key]:
            del self._by_key[wait.key], self._counts[wait.key]


def _in_order(wait: Wait, news: Mapping[str, Request]) -> list[Request]:
    if len(news) < 2:
        return list(news.values())
    return [news[request_id] for request_id in wait.versions if request_id in news]
