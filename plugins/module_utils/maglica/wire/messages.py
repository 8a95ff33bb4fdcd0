# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of every message: checked field by field and turned into values.

docs/protocol.md says the same in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..model.checks import (
    Check,
    an_object,
    anything,
    boolean,
    fields,
    fields_schema,
    integer,
    list_of,
    number,
    optional,
    text,
)
from ..model.errors import MessageInvalid
from ..model.plain import plain
from ..verbs import table
from ..verbs.clone import CLONE
from . import records
from .frames import MAX_FRAME

# Of everything that is listed by request, what one message holds at most.
MAX_LISTED = 1000
# What is left for the list that fills a body, beside its other fields.
PAGE_ROOM = MAX_FRAME - 1024

_id = records.identity
_host = records.name
_patience = integer(0, 60)
_requests = list_of(records.request, MAX_LISTED)

_HELD = {"id": _id, "state": records.state}
held = an_object("Held", _HELD, frozenset(_HELD))
_SUBMIT: dict[str, Check] = {"id": _id, "kind": records.kind, "spec": anything}


def _submitted(value: Any, path: str) -> dict[str, Any]:
    known = fields(value, path, _SUBMIT, frozenset(_SUBMIT))
    known["spec"] = table.spec(known["spec"], f"{path}.spec", known["kind"])
    return known


submission = Check(
    _submitted,
    {
        "title": "Submission",
        **fields_schema(_SUBMIT, frozenset(_SUBMIT)),
        "allOf": records.by_kind(),
    },
)
_WATCHED: dict[str, Check] = {"id": _id, "version": records.version}
watched = an_object("Watched", _WATCHED, frozenset(_WATCHED))

# Type → (checks of its body, required fields). Requests on port 5556, by the role that sends them:
# client and observer.
ASKED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "submit": (_SUBMIT, set(_SUBMIT)),
    "submit_all": ({"requests": list_of(submission, MAX_LISTED)}, {"requests"}),
    "plan": ({"spec": CLONE.record}, {"spec"}),
    "plan_all": ({"specs": list_of(CLONE.record, MAX_LISTED)}, {"specs"}),
    "status": ({"id": _id}, {"id"}),
    "list": (
        {
            "states": list_of(records.state, 6),
            "limit": integer(1, MAX_LISTED),
            "name": _host,
            "before": _id,
        },
        set(),
    ),
    "wait": ({**_WATCHED, "timeout": _patience}, {"id", "version", "timeout"}),
    "wait_all": (
        {"requests": list_of(watched, MAX_LISTED), "timeout": _patience},
        {"requests", "timeout"},
    ),
    "cancel": ({"id": _id}, {"id"}),
    "hosts": ({"after": _host}, set()),
    # host
    "hello": (
        {"host": _host, "report": records.report, "requests": list_of(held, MAX_LISTED)},
        {"host", "report", "requests"},
    ),
    "ack": ({"host": _host, "id": _id}, {"host", "id"}),
    "progress": (
        {"host": _host, "id": _id, "phase": records.phase_name, "phases": records.phases},
        {"host", "id", "phase", "phases"},
    ),
    "result": (
        {
            "host": _host,
            "id": _id,
            "state": records.state,
            "phases": records.phases,
            "failure": optional(records.failure),
            "vm": optional(records.vm),
        },
        {"host", "id", "state"},
    ),
}

# Replies, and what is published on port 5555 ("request", "cancel").
ANSWERED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "request": ({"request": records.request}, {"request"}),
    "requests": ({"requests": _requests, "more": boolean}, {"requests"}),
    "placement": ({"host": _host, "load": number}, {"host", "load"}),
    "placements": ({"placements": list_of(records.placement, MAX_LISTED)}, {"placements"}),
    "hosts": ({"hosts": list_of(records.host_status, 10000), "more": boolean}, {"hosts"}),
    "welcome": (
        {"requests": _requests, "cancel": list_of(_id, MAX_LISTED)},
        {"requests", "cancel"},
    ),
    "ok": ({}, set()),
    "error": ({"code": records.code, "text": text()}, {"code", "text"}),
}
PUBLISHED = {"request": ANSWERED["request"], "cancel": ASKED["cancel"]}


def asked(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a message that a peer sends to port 5556; return its values."""
    return _body(ASKED, kind, body)


def answered(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a reply of port 5556; return its values."""
    return _body(ANSWERED, kind, body)


def published(kind: str, body: Any) -> dict[str, Any]:
    """Check the body of a message of port 5555; return its values."""
    return _body(PUBLISHED, kind, body)


def _body(
    types: Mapping[str, tuple[dict[str, Check], set[str]]], kind: str, body: Any
) -> dict[str, Any]:
    if kind not in types:
        raise MessageInvalid(f"unknown type {kind[:40]!r}")
    checks, required = types[kind]
    known = fields(body, kind, checks, frozenset(required))
    if kind == "submit":
        known["spec"] = table.spec(known["spec"], "submit.spec", known["kind"])
    return known


def page(entries: Iterable[Any], room: int = PAGE_ROOM) -> tuple[list[Any], bool]:
    """Return as many of ``entries``, plain, as fit in ``room`` bytes, and whether some do not."""
    fitting: list[Any] = []
    for entry in entries:
        value = plain(entry)
        room -= len(json.dumps(value, separators=(",", ":"))) + 1
        if room < 0:
            return fitting, True
        fitting.append(value)
    return fitting, False
