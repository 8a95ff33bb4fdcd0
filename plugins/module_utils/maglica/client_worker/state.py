# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the handlers of messages work on, and what several of them do."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import HostDown, MaglicaError, VersionTooOld
from ..model.plain import plain
from ..model.request import Request, State
from ..model.text import told
from ..verbs import table
from ..verbs.verb import SLOW_JOBS
from ..wire import features, messages
from ..wire.frames import Message, topic
from .access import Table
from .delivery import Delivery
from .known.hosts import KnownHosts
from .open_requests import OpenRequests
from .placement import reachable
from .waits import Envelope, Waits

# The phase of an import of an image that waits for its turn, and of what is to come after it.
WAITS = "waiting for other imports"
# The most bytes of a request as it is asked for: with all that can come of it (its failure, its
# phases, which vm it has made) it has to fit in a message.
MAX_REQUEST = 3 << 18


@dataclass
class Context:
    """The client worker's state. ``table`` None: no CURVE, so that everybody may do everything."""

    requests: OpenRequests
    hosts: KnownHosts
    table: Table | None
    delivery: Delivery = field(default_factory=Delivery)
    waits: Waits = field(default_factory=Waits)
    rejects: Counter[str] = field(default_factory=Counter)
    # How many slow requests hosts have at once, all of them together.
    slow_at_once: int = 4
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    # Why the access file that is there is not in force, if it is not.
    complaint: Callable[[], str] = str
    # Requests that hosts have under way and the journal does not know: their hosts by id.
    strays: dict[str, str] = field(default_factory=dict)
    # What is to be said of those that one host has under way and another one said to be its own, by
    # the one and the id.
    contested: dict[tuple[str, str], str] = field(default_factory=dict)
    # How many bytes each host has told of such requests.
    told_bytes: Counter[str] = field(default_factory=Counter)
    # Keys whose owners have been told that they speak another version of the protocol.
    outdated: set[str] = field(default_factory=set)

    def admits(self, host: str) -> bool:
        """Tell whether a key lets this host in."""
        return self.table is None or host in self.table.hosts


@dataclass(frozen=True)
class Call:
    """A message as a handler gets it: who sent it, its checked values, and where to answer.

    ``features``: those that the sender knows. ``address``: where it is, or "".
    """

    name: str
    key: str
    body: dict[str, Any]
    envelope: Envelope
    features: frozenset[str] = frozenset()
    address: str = ""


@dataclass
class Answer:
    """The reply that shows requests to somebody who knows these ``features``.

    Each entry counts, as does each error that stands in the place of one, until there is ``room``
    for no more; the first one is always shown.
    """

    features: frozenset[str]
    room: int = messages.PAGE_ROOM
    most: int = messages.MAX_LISTED
    more: bool = False
    revision: int | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    _first: dict[str, Any] | None = None

    def add(self, request: Request) -> bool:
        """Show a request if there is room for it; tell whether there was.

        Of one of a kind that its reader does not know stands here what to do to see it.
        """
        unknown = table.of(request).feature
        if unknown is not None and unknown not in self.features:
            return self.refuse(request.id, _not_shown(request))
        return self._add(self.requests, shown(request, self.features))

    def refuse(self, request_id: str, error: MaglicaError) -> bool:
        """Tell what stands against one of the requests that were asked for."""
        return self._add(self.errors, {"id": request_id, **error_body(error)})

    def is_full(self) -> bool:
        """Tell whether there is room for no other entry, so that none need be looked up."""
        self._weigh()
        return self.room <= 0 or len(self.requests) + len(self.errors) == self.most

    def message(self) -> Message:
        body: dict[str, Any] = {"requests": self.requests, "more": self.more}
        if self.errors:
            body["errors"] = self.errors
        if self.revision is not None:
            body["revision"] = self.revision
        return Message("requests", body)

    def _add(self, entries: list[dict[str, Any]], entry: dict[str, Any]) -> bool:
        count = len(self.requests) + len(self.errors)
        if count:
            self._weigh()
            self.room -= size(entry) + 1
            if self.room < 0 or count == self.most:
                self.more = True
                return False
        else:
            self._first = entry
        entries.append(entry)
        return True

    def _weigh(self) -> None:
        """Count the first entry. It is shown however long it is, and often is the only one."""
        if self._first is not None:
            self.room -= size(self._first) + 1
            self._first = None


def fits(request: Request) -> bool:
    """Tell whether the request as it is shown fits in a message."""
    return size(shown(request, features.OWN)) <= messages.PAGE_ROOM


def is_short(asked: Request) -> bool:
    """Tell whether a request, whatever comes of it, can be told to its host, and be shown."""
    return size(plain(asked)) <= MAX_REQUEST


def size(entry: dict[str, Any]) -> int:
    """Return how many bytes an entry takes."""
    return len(json.dumps(entry, separators=(",", ":")))


def shown(request: Request, known: Collection[str]) -> dict[str, Any]:
    """Return the request as a client that knows these features may see it."""
    told: dict[str, Any] = plain(request)
    told["spec"] = plain(request.spec.without_secrets())
    return features.known_to(known, told)


def _not_shown(request: Request) -> VersionTooOld:
    return VersionTooOld(
        f"request {request.id} is to {table.act(request)}, which only a later version of"
        " maglica.cloud shows: update it here"
    )


def may_be_told(context: Context, request: Request) -> bool:
    """Tell whether its host knows of all that a request says. It may have an older worker again
    since that was accepted: then it waits.
    """
    needed = table.features_of(request.spec)
    return needed <= (context.hosts.workers.features(request.host or "") or frozenset())


def for_host(request: Request, known: Collection[str]) -> dict[str, Any]:
    """Return the request as its host gets it, which knows these features: with secrets, and nothing
    that the host said.
    """
    return features.known_to(frozenset(known) - {features.PROGRESS_COUNTS}, plain(request))


def published(context: Context, requests: Iterable[Request]) -> Iterator[tuple[bytes, Message]]:
    """Yield what tells hosts of requests, and of those to cancel, which they may not have yet.

    Those of a host go together, so that it can make one job of them; but what it did not take with
    others is published by itself the next time: one that it can't read holds up no other.
    """
    by_host: dict[str, list[Request]] = {}
    for request in requests:
        by_host.setdefault(request.host or "", []).append(request)
    for host, mine in by_host.items():
        where = topic(host)
        known = context.hosts.workers.features(host) or ()
        untold = [each for each in mine if each.state is not State.RUNNING]
        entries = [for_host(each, known) for each in untold if may_be_told(context, each)]
        while entries:
            count = max(1, len(messages.page(entries)[0]))
            yield where, Message("requests", {"requests": entries[:count]})
            del entries[:count]
        if ids := [each.id for each in mine if each.cancelling]:
            yield where, Message("cancel", {"ids": ids})


def error_message(error: MaglicaError) -> Message:
    """Return the reply that reports ``error``, its text cut and cleaned as the schema asks."""
    return Message("error", error_body(error))


def error_body(error: MaglicaError) -> dict[str, Any]:
    return {"code": error.code, "text": told(error)}


def waits_for_turn(context: Context, request: Request) -> bool:
    """Tell whether a request about an image is not to be told to its host before ``give_turns``
    lets it go.

    Who has its turn is what the requests' own states say, so that a restart forgets none.
    """
    is_queued = table.of(request).about == "image" and request.state is State.QUEUED
    return is_queued and request.id not in context.delivery


def give_turns(context: Context) -> None:
    """Let those requests about images go whose turn it is, the oldest first; to be called in a
    transaction.

    The slow ones have few turns, and a host has no more of them than it works at. A host that is
    down, or says what keeps it from working, holds no turn, and gets none. Nor does one that its
    host would only let wait for another about the same image: a turn is for work. The others need
    none, but overtake no slow one about the same image, which they may be meant to undo.
    """
    about = context.requests.about_images()
    waiting = [each for each in about if waits_for_turn(context, each)]
    if not waiting:
        return
    slow = (each for each in about if table.of(each).slow)
    going = [each for each in slow if not waits_for_turn(context, each)]
    turns = Counter(each.host for each in going if _can_work(context, each))
    # A host may say that it is at many more, and takes no turn of others with that.
    free = context.slow_at_once - sum(min(count, SLOW_JOBS) for count in turns.values())
    taken = {(each.host, each.name) for each in going}
    held_up = set()
    for request in waiting:
        host, place = request.host, (request.host, request.name)
        if not table.of(request).slow:
            goes = place not in held_up
        else:
            has_room = free > 0 and turns[host] < SLOW_JOBS
            goes = has_room and place not in taken and _can_work(context, request)
            if goes:
                taken.add(place)
                turns[host] += 1
                free -= 1
        if goes:
            context.delivery.add(request.id, host or "")
            continue
        held_up.add(place)
        if request.phase is None:
            context.requests.change(request, phase=WAITS)


def _can_work(context: Context, request: Request) -> bool:
    candidate = context.hosts.candidates.get(request.host or "")
    try:
        return candidate is not None and bool(reachable.check(candidate))
    except HostDown:
        return False


def acknowledge(context: Context, request: Request) -> None:
    """Take in that the host has the request in its own journal."""
    if request.state in (State.QUEUED, State.SENT):
        context.requests.change(request, state=State.RUNNING)
    # A cancel is published until the request has ended.
    if not request.cancelling:
        context.delivery.drop(request.id)
