# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said while requests are waited for: how far many are, in one line now and then, and which
host picks nothing up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Protocol

from ..model.errors import MaglicaError
from ..model.request import HostStatus, Request, State
from ..model.text import one_line

# A line is said no more often than this, in seconds, but for the last one.
PAUSE = 0.5
# A host that lives says hello more often than this, in seconds.
_FRESH = 15


class Tally:
    """Counts requests as their changes come, and calls ``say`` with a line when that tells news."""

    def __init__(
        self,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        pause: float = PAUSE,
    ) -> None:
        self._say = say
        self._pause = pause
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
            self._said, self._not_before = text, now + self._pause
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


class Hosts(Protocol):
    """What is needed of ``wire.client.Client``."""

    def host(self, name: str) -> HostStatus | None: ...


class Quiet:
    """Says once of each host that it has not picked up what was sent to it.

    To be called with the requests that are waited for when nothing changes.
    """

    def __init__(self, client: Hosts, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._told: set[str] = set()

    def __call__(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.host is None or request.host in self._told:
                continue
            why = why_unheard(self._client, request)
            if why is not None:
                self._told.add(request.host)
                self._say(f"request {request.id} waits: {why}")


def why_unheard(client: Hosts, request: Request) -> str | None:
    """Return why the host of a request has not picked it up; None if it has, or is busy."""
    waits = request.state in (State.QUEUED, State.SENT) and request.phase is None
    if request.host is None or not waits:
        return None
    with suppress(MaglicaError):
        # Whether the client worker answers is for the wait itself to find out.
        return unheard(request, client.host(request.host), time.time())
    return None


def unheard(request: Request, status: HostStatus | None, now: float) -> str | None:
    """Return why its host has not picked up a request, and what to do; None if it is only busy.

    ``now`` is in seconds since 1970.
    """
    if status is None or status.seen is None:
        return (
            f"host {request.host} has not said anything yet: is maglica-host-worker.service set up"
            " there, and does it reach the client worker?"
        )
    if status.alive and status.report.problem:
        return f"host {request.host} can't take it: {one_line(status.report.problem)}"
    silent = max(now - status.seen, 0)
    if request.state is State.QUEUED and status.alive and silent < _FRESH:
        return None
    return (
        f"host {request.host} has not picked it up, and its last sign was {silent:.0f} s ago: look"
        " there at `systemctl status maglica-host-worker`"
    )
