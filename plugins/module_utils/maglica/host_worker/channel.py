# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host worker and a job's process say to each other: one value a line, as JSON. Pure.

The worker says Run on the process' stdin. The process says all else on its stdout, Alive first.
Specs come from the journal and results go there: a line only names the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from ..model.checks import Check, choice, integer, list_of, number, record, text, uuid
from ..model.errors import MessageInvalid
from ..model.plain import plain
from ..model.request import State
from ..model.text import MAX_PHASE

# In bytes: as much a pipe takes at once, so that telling an idle process something can't block.
MAX_LINE = 1 << 16


@dataclass(frozen=True)
class Run:
    """Bring these requests to their ends."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Begun:
    """A phase of a request has begun."""

    id: str
    phase: str


@dataclass(frozen=True)
class Counted:
    """Of the phase that a request is in, ``done`` of ``total`` bytes or steps are over."""

    id: str
    phase: str
    done: int
    total: int


@dataclass(frozen=True)
class Over:
    """A phase of a request is over."""

    id: str
    phase: str
    seconds: float


@dataclass(frozen=True)
class Ended:
    """The journal has the result of a request."""

    id: str
    state: State


@dataclass(frozen=True)
class Alive:
    """A long step goes on, or the process is ready for its first job."""


@dataclass(frozen=True)
class Idle:
    """A job is over; it was the process' ``jobs``-th."""

    jobs: int


@dataclass(frozen=True)
class Crashed:
    """Last words: a bug has ended the process."""

    text: str


@dataclass(frozen=True)
class Blocked:
    """Last words: something that no job is to blame for keeps the process from working."""

    text: str


Said = Union[Begun, Counted, Over, Ended, Alive, Idle, Crashed, Blocked]

_id = uuid()
_phase = text(MAX_PHASE)
_count = integer(0, 1 << 60)


def _by_name(*checks: Check) -> dict[str, Check]:
    return {check.schema["title"]: check for check in checks}


_SAID = _by_name(
    record(Begun, id=_id, phase=_phase),
    record(Counted, id=_id, phase=_phase, done=_count, total=_count),
    record(Over, id=_id, phase=_phase, seconds=number),
    record(Ended, id=_id, state=choice(State)),
    record(Alive),
    record(Idle, jobs=integer(1, 1 << 53)),
    record(Crashed, text=text()),
    record(Blocked, text=text()),
)
_TOLD = _by_name(record(Run, ids=list_of(_id, 1000)))


def line(value: Said | Run) -> bytes:
    """Return the line that says a value."""
    return json.dumps({type(value).__name__: plain(value)}).encode("ascii") + b"\n"


def said(words: str | bytes) -> Said:
    """Read a line of a job's process. Raises MessageInvalid."""
    value: Said = _read(words, _SAID)
    return value


def told(words: str | bytes) -> Run:
    """Read a line that a job's process is told. Raises MessageInvalid."""
    value: Run = _read(words, _TOLD)
    return value


def _read(words: str | bytes, checks: Mapping[str, Check]) -> Any:
    try:
        found = json.loads(words)
    except (ValueError, RecursionError):
        raise MessageInvalid(f"not JSON: {words[:100]!r}") from None
    if not isinstance(found, dict) or len(found) != 1 or not checks.keys() >= found.keys():
        raise MessageInvalid(f"none of {', '.join(checks)}: {words[:100]!r}")
    ((name, fields),) = found.items()
    return checks[name].read(fields, name)
