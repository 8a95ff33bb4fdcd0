# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for a request to change, and until when."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass

from ..errors import LimitExceeded
from ..model import Request

# A peer's place to answer to: the frames before its message.
Envelope = tuple[bytes, ...]
# Each fork of a play waits on a connection of its own, with the same key.
MAX_PER_KEY = 1000


@dataclass(frozen=True)
class Wait:
    """A long poll: answered when the request's version is above ``version``, or at ``deadline``."""

    envelope: Envelope
    key: str
    request_id: str
    version: int
    deadline: float


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

        Raises LimitExceeded when its key has too many.
        """
        self._drop(wait.envelope)
        if self._by_key[wait.key] >= self._limit:
            raise LimitExceeded(f"this key has {self._limit} waits under way already")
        self._waits[wait.envelope] = wait
        self._by_request.setdefault(wait.request_id, set()).add(wait.envelope)
        self._by_key[wait.key] += 1
        heapq.heappush(self._deadlines, (wait.deadline, wait.envelope))

    def answered_by(self, request: Request) -> list[Envelope]:
        """Take out the waits that the request's new version answers; return where to answer."""
        due = [
            envelope
            for envelope in self._by_request.get(request.id, ())
            if request.version > self._waits[envelope].version
        ]
        for envelope in due:
            self._drop(envelope)
        return due

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
        self._by_request[wait.request_id].discard(envelope)
        if not self._by_request[wait.request_id]:
            del self._by_request[wait.request_id]
        self._by_key[wait.key] -= 1
        if not self._by_key[wait.key]:
            del self._by_key[wait.key]
