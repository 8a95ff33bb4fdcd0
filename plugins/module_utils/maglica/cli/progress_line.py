# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line that shows on a terminal how far requests are: one, drawn again and again."""

from __future__ import annotations

import os
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from typing import TextIO

from ..manage import tally
from ..model import sizes
from ..model.request import Request
from ..model.text import one_line

# The rate is that of so many of the newest counts, which come once a second.
_COUNTS = 10
_CELLS = 20
_USUAL_WIDTH = 80
# Beyond this nobody can tell.
_LONGEST = 100 * 3600
_ERASE = "\r\x1b[K"


class Line:
    """Draws how far requests are, all together, on the terminal ``out``."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        # Of those that count bytes.
        self._counts: dict[str, deque[tuple[float, int]]] = {}
        self._newest: dict[str, Request] = {}
        self._is_drawn = False

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        self.erase()

    def take(self, request: Request) -> None:
        """Take in how a request stands now."""
        known = self._newest.get(request.id)
        self._newest[request.id] = request
        if request.state.ended or request.done is None:
            self._counts.pop(request.id, None)
            return
        begins = request.id not in self._counts
        if begins or known is None or known.phase != request.phase:
            self._counts[request.id] = deque(maxlen=_COUNTS)
        elif (known.done or 0) > request.done:
            self._counts[request.id].clear()
        self._counts[request.id].append((self._clock(), request.done))

    def draw(self) -> None:
        """Show it in the terminal's last line, in the place of what it had."""
        self.erase()
        text = self.text()
        if not text:
            return
        # A line that is full would break, and could not be drawn over.
        self._out.write(_cut(one_line(text), _width(self._out) - 1))
        self._out.flush()
        self._is_drawn = True

    def erase(self) -> None:
        """Leave the line to others."""
        if self._is_drawn:
            self._out.write(_ERASE)
            self._out.flush()
            self._is_drawn = False

    def text(self) -> str:
        """Return the line, or nothing when nothing goes on.

        It has what is done, or how many of how many are; of bytes a bar, how much of how much, how
        fast, and how long it will take. What nobody knows is left out.
        """
        if all(request.state.ended for request in self._newest.values()):
            return ""
        counted = [self._newest[request_id] for request_id in self._counts]
        if len(self._newest) > 1:
            parts = [tally.line(self._newest.values())]
        else:
            request = next(iter(self._newest.values()))
            # Where there is a bar, it needs the room.
            where = f" on {request.host}" if request.host and not counted else ""
            parts = [f"{request.name}: {_stands(request)}{where}"]
        return "  ".join(parts + (self._bar(counted) if counted else []))

    def _bar(self, requests: list[Request]) -> list[str]:
        """Return how far these are that count bytes."""
        parts = []
        done = sum(request.done or 0 for request in requests)
        total = sum(request.total or 0 for request in requests)
        rates = {request.id: self._rate(request.id) for request in requests}
        if all(request.total for request in requests):
            share = min(done / total, 1)
            full = int(share * _CELLS)
            parts.append(f"[{'#' * full}{'.' * (_CELLS - full)}] {int(share * 100):3d} %")
            parts.append(f"{sizes.about(done)} of {sizes.about(total)}")
        else:
            parts.append(sizes.about(done))
        if rate := sum(rates.values()):
            parts.append(f"{sizes.about(int(rate))}/s")
        if left := _left(requests, rates):
            parts.append(left)
        return parts

    def _rate(self, request_id: str) -> float:
        """Return the bytes of a second, or 0 if that is not known yet."""
        counts = self._counts[request_id]
        (begun, before), (now, done) = counts[0], counts[-1]
        return (done - before) / (now - begun) if now > begun else 0.0


def _stands(request: Request) -> str:
    return "cancelling" if request.cancelling else request.phase or request.state.value


def _left(requests: list[Request], rates: dict[str, float]) -> str:
    """Return how long it will take until the last one is done, if that can be told."""
    longest = 0.0
    for request in requests:
        if not request.total or not rates[request.id]:
            return ""
        missing = max(request.total - (request.done or 0), 0)
        longest = max(longest, missing / rates[request.id])
    if longest > _LONGEST:
        return ""
    minutes, seconds = divmod(round(longest), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d} left" if hours else f"{minutes}:{seconds:02d} left"


def _cut(text: str, cells: int) -> str:
    """Return as much of ``text`` as has room in so many cells of a terminal."""
    for index, char in enumerate(text):
        cells -= _cells(char)
        if cells < 0:
            return text[:index]
    return text


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        # It is drawn upon the one before.
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _width(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH
