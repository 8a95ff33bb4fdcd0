# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a request's end, or that it does not come, becomes an error. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import errors
from ..model.errors import MaglicaError, RequestCancelled, RequestTimeout
from ..model.request import Request, State
from ..verbs import table


def ended_with(request: Request) -> MaglicaError | None:
    """Return why a request that has ended did not do its work; None if it did, or goes on."""
    if request.failure is not None:
        return errors.from_code(request.failure.code, request.failure.text)
    if request.state is State.CANCELLED:
        return RequestCancelled(
            f"{request.kind} of {request.name}{_where(request)} was cancelled"
            f" (request {request.id})"
        )
    return None


def failure_of(request: Request, timeout: float, unheard: str | None = None) -> MaglicaError | None:
    """Return why a request is not done, ``timeout`` seconds after the wait for it began.

    ``unheard`` is why its host has not picked it up, if that is so.
    """
    if request.state.ended:
        return ended_with(request)
    what = table.of(request).about
    asked = f"request {request.id} ({request.kind} of {what} {request.name})"
    if unheard is not None:
        return RequestTimeout(
            f"{asked} is not done after {timeout:g} s: {unheard}; it stays queued: run this again"
            " to go on waiting"
        )
    phase = f", in phase {request.phase}" if request.phase else ""
    return RequestTimeout(
        f"{asked} is still {request.state.value}{_where(request)}{phase} after {timeout:g} s; it"
        " goes on: run this again to go on waiting"
    )


def together(errors: Sequence[MaglicaError]) -> MaglicaError | None:
    """Return one error for several, of the first one's kind, with each text once."""
    if not errors:
        return None
    return type(errors[0])("; ".join(dict.fromkeys(map(str, errors))))


def _where(request: Request) -> str:
    return f" on host {request.host}" if request.host else ""
