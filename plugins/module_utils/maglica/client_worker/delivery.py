# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a request, or its cancel, is published to its host, and when again.

What is published may get lost, so it is published again, ever more rarely, until the host has
acknowledged it. A host gets a limited number ahead of its acknowledgements: a wake-up beyond what
its queue holds would be dropped unseen.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from ..system.backoff import Backoff

PAUSES = Backoff(2.0, 60.0)
WINDOW = 200


class Delivery:
    """What waits to be published and what waits for its acknowledgement."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._hosts: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        # In both only those count that still stand in _again (published) or _waiting (not yet).
        self._queues: dict[str, deque[str]] = {}
        self._times: list[tuple[float, str]] = []
        self._waiting: set[str] = set()
        self._again: dict[str, float] = {}
        self._ahead: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._hosts

    def add(self, request_id: str, host: str) -> None:
        """Publish this as soon as may be, and until ``drop``."""
        self._hosts[request_id] = host
        self._recall(request_id)
        self.attempts[request_id] = 0
        self._queue(request_id)

    def drop(self, request_id: str) -> None:
        """Publish this no more: acknowledged, or ended."""
        if self._hosts.get(request_id) is None:
            return
        self._recall(request_id)
        self._waiting.discard(request_id)
        del self._hosts[request_id], self.attempts[request_id]

    def published(self, request_id: str, now: float) -> None:
        """Count that this was just handed to its host."""
        if request_id not in self._hosts:
            return
        self._recall(request_id)
        self._waiting.discard(request_id)
        host = self._hosts[request_id]
        self._again[request_id] = now + PAUSES.pause(self.attempts[request_id])
        self.attempts[request_id] += 1
        self._ahead[host] = self._ahead.get(host, 0) + 1
        heapq.heappush(self._times, (self._again[request_id], request_id))

    def due(self, now: float, limit: int, listening: Callable[[str], bool]) -> list[str]:
        """Return at most ``limit`` ids to publish now, for hosts that are ``listening``.

        Each counts as published.
        """
        while self._times and self._times[0][0] <= now:
            moment, request_id = heapq.heappop(self._times)
            if self._again.get(request_id) == moment:
                self._recall(request_id)
                self._queue(request_id)
        ids: list[str] = []
        for host, queue in list(self._queues.items()):
            if not listening(host):
                continue
            while queue and len(ids) < limit and self._ahead.get(host, 0) < self._window:
                request_id = queue.popleft()
                if request_id in self._waiting and self._hosts[request_id] == host:
                    self.published(request_id, now)
                    ids.append(request_id)
            if not queue:
                del self._queues[host]
        return ids

    def next_time(self) -> float | None:
        """Return when something published earlier is due again."""
        return self._times[0][0] if self._times else None

    def _queue(self, request_id: str) -> None:
        if request_id not in self._waiting:
            self._waiting.add(request_id)
            self._queues.setdefault(self._hosts[request_id], deque()).append(request_id)

    def _recall(self, request_id: str) -> None:
        if self._again.pop(request_id, None) is not None:
            self._ahead[self._hosts[request_id]] -= 1
