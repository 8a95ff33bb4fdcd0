# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says in few lines how far many requests are: one that counts them, now and then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection

from ..model.request import Request, State

# A line is said no more often than this, but for the last one.
PAUSE = 0.5


class Tally:
    """Counts requests as their changes come, and calls ``say`` with a line when that tells news."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._newest: dict[str, Request] = {}
        self._said = ""
        self._not_before = 0.0

    def expect(self, requests: Collection[Request]) -> None:
        """Count requests that were just handed in."""
        for request in requests:
            self._newest[request.id] = request
        self._tell()

    def __call__(self, request: Request) -> None:
        """Take in a change; a failure is said at once, with its cause."""
        self._newest[request.id] = request
        if request.failure is not None:
            self._say(f"{request.name}: {request.kind}: {request.failure.text}")
        self._tell()

    def _tell(self) -> None:
        now = self._clock()
        over = all(request.state.ended for request in self._newest.values())
        if now < self._not_before and not over:
            return
        text = line(self._newest.values())
        if text != self._said:
            self._said, self._not_before = text, now + PAUSE
            self._say(text)


def line(requests: Collection[Request]) -> str:
    """Return how many requests are done, have failed, and how far the others are."""
    states = Counter(request.state for request in requests)
    parts = [f"{states[State.DONE]} of {len(requests)} done"]
    parts += [
        f"{states[state]} {state.value}"
        for state in (State.FAILED, State.CANCELLED)
        if states[state]
    ]
    phases = Counter(_phase(request) for request in requests if not request.state.ended)
    parts += [f"{number} {phase}" for phase, number in phases.most_common()]
    return ", ".join(parts)


def _phase(request: Request) -> str:
    # One that its host has, but has not begun, waits as much as one that it does not have yet.
    return request.phase or "waiting"
