# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of requests while they are waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ..fleet import changes
from ..manage import amount
from ..manage.tally import Tally
from ..model.errors import PeerSilent
from ..model.request import Request
from . import text
from .console import Console
from .progress_bar import Bar


class Follow:
    """Says each change of a request, or, of ``many``, how many are how far.

    Bytes that are counted are a bar on a terminal, elsewhere a line now and then.
    """

    def __init__(self, console: Console, many: bool = False) -> None:
        self._console = console
        self._tally = Tally(console.say) if many else None
        self._bar = Bar(console.err) if console.err.isatty() else None
        self._news = amount.News()
        self._newest: dict[str, Request] = {}

    def submitted(self, requests: Sequence[Request]) -> None:
        """Take in requests that were handed in together."""
        if self._tally is None:
            for request in requests:
                self(request)
        elif requests:
            self._newest.update((request.id, request) for request in requests)
            self._tally.expect(requests)

    def __call__(self, request: Request) -> None:
        """Take in how a request stands now."""
        before = self._newest.get(request.id)
        self._newest[request.id] = request
        if self._tally is not None:
            self._tally(request)
            return
        lines = text.progress(before, request, many=len(self._newest) > 1)
        if self._bar is not None:
            self._bar.take(request)
            self._bar.erase()
        elif self._news.has(request) and not lines:
            lines = text.counted(request, many=len(self._newest) > 1)
        for line in lines:
            self._console.say(line)
        if self._bar is not None:
            self._bar.draw()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Note for the inventory's cache that what is asked for in the block may change something.

        If the user interrupts it, say how to go on.
        """
        try:
            with self._bar or nullcontext():
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
