# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has arrived and waits for its turn: a queue for each key, and one message of each in turn.

So a key that sends much holds up itself alone: whoever else asks waits for no more than what is
being handled, and for one message of each other key. Knows no sockets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from ..model.errors import LimitExceeded, MaglicaError, MessageInvalid
from .dispatch import Incoming

# What of one key may wait for its turn. A key may have many owners at once, the forks of a play,
# each with one message under way.
MESSAGES_PER_KEY = 4096
BYTES_PER_KEY = 16 << 20
# What is handled in one turn, and committed together. A message that has begun is not broken off.
MESSAGES_A_TURN = 256
SECONDS_A_TURN = 0.02


class Inbox:
    """Messages by the key that sent them; all that have none, without CURVE, have one queue."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The key whose turn it is first; none without a message.
        self._queues: dict[str, deque[Incoming]] = {}
        self._sizes: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def put(self, incoming: Incoming) -> MaglicaError | None:
        """Keep a message until its turn comes, or return why it is refused."""
        if not _is_made_up(incoming.envelope[0]):
            return MessageInvalid("a peer must not choose its routing id")
        key = incoming.key or ""
        queue, size = self._queues.get(key, ()), self._sizes.get(key, 0) + _size(incoming)
        if len(queue) >= MESSAGES_PER_KEY or (queue and size > BYTES_PER_KEY):
            return LimitExceeded(
                f"{len(queue)} messages of this key, {self._sizes[key]} bytes, wait already"
            )
        self._queues.setdefault(key, deque()).append(incoming)
        self._sizes[key] = size
        return None

    def turn(self) -> Iterator[Incoming]:
        """Yield the messages to handle now, taking them out, while the time of a turn lasts."""
        end = self._clock() + SECONDS_A_TURN
        for number in range(MESSAGES_A_TURN):
            if not self._queues or (number and self._clock() >= end):
                return
            key = next(iter(self._queues), "")
            queue = self._queues.pop(key)
            incoming = queue.popleft()
            self._sizes[key] -= _size(incoming)
            if queue:
                # Behind all others.
                self._queues[key] = queue
            else:
                del self._sizes[key]
            yield incoming


def _size(incoming: Incoming) -> int:
    return sum(map(len, incoming.frames))


def _is_made_up(routing_id: bytes) -> bool:
    """Tell whether libzmq made this routing id up, for one connection and never again.

    One that a peer has chosen another can choose as well, once the first has left, and would get
    the answers that are still to come.
    """
    return len(routing_id) == 5 and routing_id[0] == 0
