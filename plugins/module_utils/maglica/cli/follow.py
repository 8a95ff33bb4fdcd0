# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of requests while they are waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ..fleet import changes
from ..manage import amount
from ..manage.tally import Hosts, Quiet, Tally
from ..model.errors import PeerSilent
from ..model.request import Request
from . import text
from .console import Console
from .progress_line import Line

# A line with how many requests are how far is said no more often than this, in seconds.
_PAUSE = 5


class Follow:
    """Shows how requests get on: on a terminal in one line, which is drawn again with each change;
    elsewhere in a few lines, of ``many`` requests in one now and then.
    """

    def __init__(self, console: Console, client: Hosts, many: bool = False) -> None:
        self._console = console
        self._line = Line(console.err) if console.err.isatty() else None
        self._tally = Tally(self._say, pause=_PAUSE) if many and not self._line else None
        self._news = amount.News()
        self._newest: dict[str, Request] = {}
        self._told: dict[str, str] = {}
        self._unheard = Quiet(client, self._say)

    def submitted(self, requests: Sequence[Request]) -> None:
        """Take in requests that were handed in together."""
        if self._line is not None:
            self._newest.update((request.id, request) for request in requests)
            for request in requests:
                self._line.take(request)
            self._line.draw()
        elif self._tally is not None and requests:
            self._newest.update((request.id, request) for request in requests)
            self._tally.expect(requests)
        else:
            for request in requests:
                self(request)

    def __call__(self, request: Request) -> None:
        """Take in how a request stands now."""
        is_new = request.id not in self._newest
        self._newest[request.id] = request
        if self._line is not None:
            self._line.take(request)
            self._line.draw()
            if request.failure is not None and self._are_many:
                self._say(f"{request.name}: {request.kind}: {request.failure.text}")
        elif self._tally is not None:
            self._tally(request)
        else:
            self._tell(request, is_new)

    def quiet(self, requests: Sequence[Request]) -> None:
        """Say of requests that nothing becomes of them, as far as that is known."""
        self._unheard(requests)
        if self._line is not None or self._tally is not None:
            return
        for request in requests:
            line = text.goes_on(request, self._are_many)
            if self._told.get(request.id) != line:
                self._told[request.id] = line
                self._say(line)

    @property
    def _are_many(self) -> bool:
        return len(self._newest) > 1

    def _tell(self, request: Request, is_new: bool) -> None:
        if is_new:
            self._say(text.asked(request))
        lines = text.took(request, self._are_many) if request.state.ended else []
        if self._news.has(request) and not request.state.ended:
            lines = text.counted(request, self._are_many)
        for line in lines:
            self._say(line)

    def _say(self, line: str) -> None:
        if self._line is not None:
            self._line.erase()
        self._console.say(line)
        if self._line is not None:
            self._line.draw()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Note for the inventory's cache that what is asked for in the block may change something.

        If the user interrupts it, say how to go on.
        """
        try:
            with self._line or nullcontext():
                yield
        except KeyboardInterrupt:
            going = [request for request in self._newest.values() if not request.state.ended]
            if len(going) == 1:
                self._console.say("")
                self._console.say(
                    f"request {going[0].id} goes on; `maglica request wait {going[0].id}` waits for"
                    f" it, `maglica request cancel {going[0].id}` stops it"
                )
            elif going:
                self._console.say(
                    "the requests go on; `maglica request list` shows them, `maglica request cancel"
                    " ID` stops one"
                )
            raise
        except PeerSilent:
            # What it did not answer to it may have accepted.
            changes.begin()
            raise
        finally:
            if self._newest:
                changes.note()
            if not all(request.state.ended for request in self._newest.values()):
                changes.begin()
