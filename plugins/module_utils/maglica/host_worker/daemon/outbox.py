# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host has to tell the client worker, and in which order; pure.

One note is under way at a time. It stays here until it is answered, so that whatever happens to
the connection, it is sent again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...model.errors import AccessDenied, MessageInvalid, RequestUnknown
from ...model.request import Phase
from ...system.backoff import Backoff

RETRY_SECONDS = 5.0
# What says that the same would be refused again: it is told ever more rarely.
REFUSALS = frozenset({AccessDenied.code, MessageInvalid.code})
RETRIES = Backoff(RETRY_SECONDS, 60.0)
# A change in the host's report is told at once, but not more often than this.
HELLO_PAUSE = 1.0


@dataclass(frozen=True)
class Note:
    """Something to tell: a message's type, the request that it is about, and its progress, with
    ``counts`` of what is done and of how much there is to do in this phase.

    ``bare``: of a result only that the request has ended; with all that it says it was refused.
    ``whole``: with the request itself, which the client worker does not know.
    """

    type: str
    id: str = ""
    phase: str = ""
    phases: tuple[Phase, ...] = ()
    bare: bool = False
    whole: bool = False
    counts: tuple[int, int] | None = None


class Outbox:
    """The notes of one host; times are monotonic seconds, given by the caller."""

    def __init__(self, hello_interval: float) -> None:
        self._interval = hello_interval
        self._hello_at = -math.inf
        self._said_hello = -math.inf
        self._is_greeted = True
        self._acks: dict[str, float] = {}
        self._results: dict[str, float] = {}
        self._progress: dict[str, Note] = {}
        self._bare: set[str] = set()
        self._whole: set[str] = set()
        # Whether the client worker takes in requests that only this host knows.
        self.tells_lost = False
        self._refusals: dict[str, int] = {}

    def hello(self, now: float) -> None:
        """Say hello soon, because something has changed."""
        self._hello_at = min(self._hello_at, max(now, self._said_hello + HELLO_PAUSE))

    def go_on(self, now: float) -> None:
        """Say hello at once: the last one has not told all."""
        self._hello_at = now

    def greet(self, now: float) -> None:
        """Say hello soon, and no progress before it is answered.

        Only then it is known what the client worker takes of it, and the newest is told once.
        """
        self._is_greeted = False
        self.hello(now)

    def ack(self, request_id: str) -> None:
        """Acknowledge a request, whose journal entry is committed."""
        self._acks.setdefault(request_id, -math.inf)

    def result(self, request_id: str) -> None:
        """Tell a request's result, until the client worker has it."""
        self._results.setdefault(request_id, -math.inf)
        self._acks.pop(request_id, None)
        self._progress.pop(request_id, None)

    def postpone(self, request_id: str, until: float) -> None:
        """Tell a request's result no sooner."""
        if request_id in self._results:
            self._results[request_id] = until

    def progress(
        self,
        request_id: str,
        phase: str,
        phases: Sequence[Phase],
        counts: tuple[int, int] | None = None,
    ) -> None:
        """Tell a request's progress; only the newest is told."""
        if request_id not in self._results:
            self._progress[request_id] = Note(
                "progress", request_id, phase, tuple(phases), counts=counts
            )

    def next(self, now: float) -> Note | None:
        """Return the note to send now, if any."""
        if self._hello_at <= now:
            return Note("hello")
        for notes, kind in ((self._acks, "ack"), (self._results, "result")):
            for request_id, not_before in notes.items():
                if not_before <= now:
                    bare, whole = request_id in self._bare, request_id in self._whole
                    return Note(kind, request_id, bare=bare, whole=whole)
        return next(iter(self._progress.values()), None) if self._is_greeted else None

    @property
    def is_all_told(self) -> bool:
        """Tell whether no acknowledgement and no result is to be told."""
        return not self._acks and not self._results

    def wake_at(self) -> float:
        """Return when ``next`` has something at the latest; the past if it has now."""
        if self._progress and self._is_greeted:
            return -math.inf
        return min(self._hello_at, *self._acks.values(), *self._results.values(), math.inf)

    def settle(self, note: Note, code: str | None, now: float) -> bool:
        """Take in the answer to a note: an error's code, or None for success.

        Returns whether the note is done with. One that the client worker could not take now, for
        example because its disk is full, is told again later.
        """
        if note.type == "hello":
            self._is_greeted = True
            self._said_hello = now
            self._hello_at = now + self._interval
            return True
        done = code in (None, RequestUnknown.code)
        if note.type == "progress":
            if self._progress.get(note.id) == note:
                del self._progress[note.id]
            return True
        notes = self._acks if note.type == "ack" else self._results
        if code == RequestUnknown.code and self.tells_lost and not note.whole:
            # Its journal was lost: it is told again, with all that it knew.
            self._whole.add(note.id)
            return False
        if done:
            notes.pop(note.id, None)
            self._whole.discard(note.id)
            self._bare.discard(note.id)
            self._refusals.pop(note.id, None)
        elif note.id in notes:
            # Behind the others, which may fare better.
            del notes[note.id]
            notes[note.id] = now + self._pause(note, code)
        return done

    def _pause(self, note: Note, code: str | None) -> float:
        """Return in how many seconds to tell again what was answered with an error."""
        if code not in REFUSALS:
            return RETRY_SECONDS
        if code == MessageInvalid.code and note.type == "result":
            self._bare.add(note.id)
        times = self._refusals.get(note.id, 0)
        self._refusals[note.id] = times + 1
        return RETRIES.pause(times)
