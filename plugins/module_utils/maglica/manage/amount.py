# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a request's phase is over, in words, and when that is worth another line."""

from __future__ import annotations

from ..model import sizes
from ..model.request import Request


def words(request: Request) -> str:
    """Return how many bytes of how many are over, such as ``120.0 MiB of 1.2 GiB``; or nothing."""
    if request.state.ended or request.done is None:
        return ""
    done = sizes.about(request.done)
    return f"{done} of {sizes.about(request.total)}" if request.total else done


class News:
    """Tells which of a request's many versions say more than the last one that was told.

    Of a count each tenth does; where nobody knows the whole, each doubling.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[object, ...]] = {}

    def has(self, request: Request) -> bool:
        """Say whether this version is to be told, and take it for told then."""
        ended = request.state.ended
        step = None if ended else (request.phase, _step(request.done, request.total))
        stands = (request.state, request.host, request.cancelling, len(request.phases), step)
        is_new = self._told.get(request.id) != stands
        self._told[request.id] = stands
        return is_new


def _step(done: int | None, total: int | None) -> int:
    if not done:
        return 0
    return done * 10 // total if total else done.bit_length()
