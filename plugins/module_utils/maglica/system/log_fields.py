# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lines of the log are about, so that who looks for a request finds them all.

Whoever handles a request or hears a host says so around what it does, in ``about``; what is logged
there bears it, however deep below. In systemd's journal these are fields, such as MAGLICA_REQUEST.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Callable

from ..model.request import Request

# Of one name there may be several fields: a line can be about many requests.
Fields = tuple[tuple[str, str], ...]

_fields: ContextVar[Fields] = ContextVar("fields", default=())


def current() -> Fields:
    """Return the fields of what is logged now by this thread."""
    return _fields.get()


@contextmanager
def about(*requests: Request | str, host: str | None = None) -> Iterator[None]:
    """Have what is logged in the block be about these requests, or those of these ids, or a host.

    It is about nothing else then: the inner one of two such blocks holds. No id is "".
    """
    fields = [field for request in requests if request for field in _of(request)]
    if host is not None:
        fields.append(("MAGLICA_HOST", host))
    token = _fields.set(tuple(dict.fromkeys(fields)))
    try:
        yield
    finally:
        _fields.reset(token)


def kept(act: Callable[[], None]) -> Callable[[], None]:
    """Return ``act`` as another thread is to do it for this one: about the same."""
    return partial(copy_context().run, act)


def _of(request: Request | str) -> Iterator[tuple[str, str]]:
    if isinstance(request, str):
        yield "MAGLICA_REQUEST", request
        return
    yield "MAGLICA_REQUEST", request.id
    yield "MAGLICA_VERB", request.kind
    yield "MAGLICA_NAME", request.name
    if request.host is not None:
        yield "MAGLICA_HOST", request.host
