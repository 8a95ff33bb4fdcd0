# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for requests by long polls, also while the client worker is gone or has lost them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Protocol

from ..model import errors
from ..model.errors import MessageInvalid
from ..model.request import Request
from .handed_in import HandedIn

# Seconds.
LONG_POLL = 30
# While many requests go on, news of them are asked for no more often than this.
GATHER = 0.1
# A client worker that does not know yet what its hosts have is asked again after this.
AGAIN = 1.0
# When nothing changes for so long, whoever waits is told; then more and more rarely.
QUIET = 5
# A waiting client outlasts a restart of the client worker, and gives up after this.
MAX_SILENCE = 120.0

OnChange = Callable[[Request], None]
OnQuiet = Callable[[Sequence[Request]], None]


class Asks(Protocol):
    """What is needed of the client."""

    reply_timeout: float

    def exchange(
        self, kind: str, body: dict[str, Any], patience: float, silence: float
    ) -> dict[str, Any]: ...

    def status_all(self, request_ids: Sequence[str]) -> tuple[Request, ...]: ...


class Waiting:
    """A wait for up to 1000 requests."""

    def __init__(self, client: Asks, handed_in: HandedIn, request_ids: Iterable[str]) -> None:
        self._client = client
        self._handed_in = handed_in
        # The newest version that was seen, of those that have not ended.
        self._waiting = dict.fromkeys(request_ids, 0)
        self._seen: dict[str, Request] = {}
        # What stands against those that are not waited for any more.
        self._refused: dict[str, Any] = {}
        # Those that the client worker has lost, and which request stands for one that was.
        self._lost: dict[str, Any] = {}
        self._instead: dict[str, str] = {}

    def until(
        self, end: float, on_change: OnChange | None, on_quiet: OnQuiet | None
    ) -> dict[str, Request]:
        """Wait until all have ended, or until ``end``; see Client.wait_all."""
        quiet = QUIET if on_quiet else LONG_POLL
        while self._waiting:
            left = max(end - time.monotonic(), 0)
            reply = self._ask(left, min(math.ceil(left), quiet))
            if self._takes_others(reply):
                continue
            for found in reply["requests"]:
                if self._is_new(found) and on_change:
                    on_change(found)
            if not reply["requests"] and not reply.get("errors"):
                _nothing_new(reply, self._left(), on_quiet)
                quiet = min(2 * quiet, LONG_POLL)
            if time.monotonic() >= end and not reply.get("more"):
                break
            if self._lost:
                time.sleep(AGAIN)
            elif self._waiting and len(self._seen) > 1:
                # What else changes meanwhile comes in one answer.
                time.sleep(GATHER)
        raise_first({"errors": [*self._refused.values(), *self._lost.values()]})
        return self._found()

    def _ask(self, left: float, poll: int) -> dict[str, Any]:
        watched = [{"id": each, "version": version} for each, version in self._waiting.items()]
        body = {"requests": watched, "wait_s": poll}
        silence = max(min(left, MAX_SILENCE), self._client.reply_timeout)
        return self._client.exchange(
            "wait", body, poll + self._client.reply_timeout, silence + poll
        )

    def _takes_others(self, reply: dict[str, Any]) -> bool:
        """Tell whether others are to be waited for than those that were asked for."""
        unknown = reply.get("errors", ())
        again, refused = self._handed_in.again(unknown)
        self._refused.update(refused)
        self._instead.update({old: new for old, new in again.items() if old != new})
        self._lost = {
            each["id"]: each for each in unknown if each["id"] not in {**again, **refused}
        }
        for request_id in (*again, *refused):
            self._waiting.pop(request_id, None)
        self._waiting.update(dict.fromkeys(again.values(), 0))
        if any(found.id not in self._waiting for found in reply["requests"]):
            # Some of the ids stand for requests that theirs have joined.
            self._waiting = {each.id: 0 for each in self._client.status_all(tuple(self._waiting))}
            return True
        return bool(again)

    def _is_new(self, found: Request) -> bool:
        """Take in how a request stands; tell whether that is news."""
        before = self._seen.get(found.id)
        self._seen[found.id] = found
        self._waiting[found.id] = found.version
        if found.state.ended:
            del self._waiting[found.id]
            self._handed_in.over(found)
        # With a new journal versions begin anew.
        return before is None or found.version > before.version or found.state.ended

    def _left(self) -> list[Request]:
        return [self._seen[each] for each in self._waiting if each in self._seen]

    def _found(self) -> dict[str, Request]:
        found = dict(self._seen)
        for request_id in self._instead:
            names = [request_id]
            while self._instead.get(names[-1], request_id) not in names:
                names.append(self._instead[names[-1]])
            for name in names:
                if name in self._seen:
                    found[request_id] = self._seen[name]
        return found


def raise_first(reply: dict[str, Any]) -> None:
    """Raise the first of the errors of an answer, if it has some."""
    for entry in reply.get("errors", ()):
        raise errors.from_code(entry["code"], entry["text"])


def _nothing_new(
    reply: dict[str, Any], waiting: Sequence[Request], on_quiet: OnQuiet | None
) -> None:
    if reply.get("more"):
        # Asking again at once would go on for ever.
        raise MessageInvalid("the client worker's answer to wait has no request")
    if on_quiet:
        on_quiet(waiting)
