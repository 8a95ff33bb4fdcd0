# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for requests to change, and until when."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import LimitExceeded
from ..model import Request

# A peer's place to answer to: the frames before its message.
Envelope = tuple[bytes, ...]
# How many requests the waits of one key may be for. Each fork of a play waits on a connection of
# its own, with the same key.
MAX_PER_KEY = 10000


@dataclass(frozen=True)
class Wait:
    """A long poll: answered when a request passes its version in ``versions``, or at ``deadline``.

    ``many``: the answer is a list of requests.
    """

    envelope: Envelope
    key: str
    versions: Mapping[str, int]
    deadline: float
    many: bool = False


class Waits:
    """The long polls that are not answered yet; a peer has one at most."""

    def __init__(self, limit: int = MAX_PER_KEY) -> None:
        self._limit = limit
        self._waits: dict[Envelope, Wait] = {}
        self._by_request: dict[str, set[Envelope]] = {}
        self._by_key: Counter[str] = Counter()
        self._deadlines: list[tuple[float, Envelope]] = []

    def __len__(self) -> int:
        return len(self._waits)

    def add(self, wait: Wait) -> None:
        """Keep a wait; it takes the place of an earlier one of the same peer.

        Raises LimitExceeded when its key would wait for too many requests.
        """
        self._drop(wait.envelope)
        if self._by_key[wait.key] + len(wait.versions) > self._limit:
            raise LimitExceeded(f"this key waits for {self._by_key[wait.key]} requests already")
        self._waits[wait.envelope] = wait
        for request_id in wait.versions:
            self._by_request.setdefault(request_id, set()).add(wait.envelope)
        self._by_key[wait.key] += len(wait.versions)
        heapq.heappush(self._deadlines, (wait.deadline, wait.envelope))

    def answered_by(self, changed: Iterable[Request]) -> list[tuple[Wait, list[Request]]]:
        """Take out the waits that new versions answer; return each with those that it is for."""
        due: dict[Envelope, list[Request]] = {}
        for request in changed:
            for envelope in self._by_request.get(request.id, ()):
                seen = self._waits[envelope].versions[request.id]
                if request.version > seen or request.state.ended:
                    due.setdefault(envelope, []).append(request)
        answered = [(self._waits[envelope], news) for envelope, news in due.items()]
        for envelope in due:
            self._drop(envelope)
        return answered

    def revoked(self, admitted: Callable[[str], bool]) -> list[Wait]:
        """Take out and return the waits of keys that are not ``admitted``."""
        keys = {key for key in self._by_key if not admitted(key)}
        found = [wait for wait in self._waits.values() if wait.key in keys] if keys else []
        for wait in found:
            self._drop(wait.envelope)
        return found

    def expired(self, now: float) -> list[Wait]:
        """Take out and return the waits whose deadline has come."""
        due = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, envelope = heapq.heappop(self._deadlines)
            wait = self._waits.get(envelope)
            if wait is not None and wait.deadline == deadline:
                self._drop(envelope)
                due.append(wait)
        return due

    def next_deadline(self) -> float | None:
        """Return when ``expired`` may have something to return."""
        return self._deadlines[0][0] if self._deadlines else None

    def _drop(self, envelope: Envelope) -> None:
        wait = self._waits.pop(envelope, None)
        if wait is None:
            return
        for request_id in wait.versions:
            self._by_request[request_id].discard(envelope)
            if not self._by_request[request_id]:
                del self._by_request[request_id]
        self._by_key[wait.key] -= len(wait.versions)
        if not self._by_key[wait.key]:
            del self._by_key[wait.key]
