# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the handlers of messages work on, and what several of them do."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import MaglicaError
from ..model.plain import plain
from ..model.request import Request, State
from ..wire import messages
from ..wire.frames import Message
from .access import Table
from .delivery import Delivery
from .hosts import Hosts
from .open_requests import Requests
from .waits import Envelope, Waits


@dataclass
class Context:
    """The client worker's state. ``table`` None: no CURVE, so that everybody may do everything."""

    requests: Requests
    hosts: Hosts
    table: Table | None
    delivery: Delivery = field(default_factory=Delivery)
    waits: Waits = field(default_factory=Waits)
    rejects: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    # Requests that hosts have under way and the journal does not know: their hosts by id.
    strays: dict[str, str] = field(default_factory=dict)

    def admits(self, host: str) -> bool:
        """Tell whether a key lets this host in."""
        return self.table is None or host in self.table.hosts


@dataclass(frozen=True)
class Call:
    """A message as a handler gets it: who sent it, its checked values, and where to answer."""

    name: str
    key: str
    body: dict[str, Any]
    envelope: Envelope


def reply(request: Request) -> Message:
    """Return the reply that shows a request to a client: without secrets."""
    return Message("request", {"request": shown(request)})


def replies(
    requests: Iterable[Request], more: bool = False, room: int = messages.PAGE_ROOM
) -> Message:
    """Return the reply that shows requests to a client: as many as fit in ``room``, or one.

    ``more``: there are others besides.
    """
    requests = list(requests)
    fitting, cut = messages.page(map(shown, requests), room)
    if requests and not fitting:
        fitting, cut = messages.page(map(shown, requests[:1]))[0], len(requests) > 1
    return Message("requests", {"requests": fitting, "more": more or cut})


def fits(request: Request) -> bool:
    """Tell whether the request as it is shown fits in a message."""
    _page, more = messages.page([shown(request)])
    return not more


def size(request: Request) -> int:
    """Return how many bytes the request takes as it is shown."""
    return len(json.dumps(shown(request), separators=(",", ":")))


def shown(request: Request) -> dict[str, Any]:
    """Return the request as clients may see it."""
    told: dict[str, Any] = plain(request)
    told["spec"] = plain(request.spec.without_secrets())
    return told


def error_message(error: MaglicaError) -> Message:
    """Return the reply that reports ``error``, its text cut and cleaned as the schema asks."""
    text = "".join(char if char.isprintable() or char == "\n" else "?" for char in str(error))
    return Message("error", {"code": error.code, "text": text[:2000]})


def acknowledge(context: Context, request: Request) -> None:
    """Take in that the host has the request in its own journal."""
    if request.state in (State.QUEUED, State.SENT):
        context.requests.change(request, state=State.RUNNING)
    # A cancel is published until the request has ended.
    if not request.cancelling:
        context.delivery.drop(request.id)
