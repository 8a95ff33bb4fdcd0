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
    moment,
    optional,
    text,
)
from ..model.errors import MessageInvalid
from ..model.plain import plain
from ..verbs import table
from . import records
from .frames import MAX_FRAME

# Of everything that is listed by request, what one message holds at most.
MAX_LISTED = 1000
# What is left for the list that fills a body, beside its other fields.
PAGE_ROOM = MAX_FRAME - 1024

_id = records.identity
_host = records.name
_patience = integer(0, 60)
_revision = records.version
_requests = list_of(records.request, MAX_LISTED)

_HELD = {"id": _id, "state": records.state}
held = an_object("Held", _HELD, frozenset(_HELD))
_SUBMISSION: dict[str, Check] = {
    "id": _id,
    "kind": records.kind,
    "spec": anything,
    "again": _id,
    "parent": _id,
    "peer": _host,
}


def _submitted(value: Any, path: str) -> dict[str, Any]:
    known = fields(value, path, _SUBMISSION, frozenset({"id"}))
    if ("again" in known) == ("kind" in known) or ("kind" in known) != ("spec" in known):
        raise MessageInvalid(f"{path}: neither kind and spec alone nor again alone")
    if "kind" in known:
        known["spec"] = table.spec(known["spec"], f"{path}.spec", known["kind"])
    elif len(known) > 2:
        raise MessageInvalid(f"{path}: with again there is nothing but an id")
    return known


submission = Check(
    _submitted,
    {
        "title": "Submission",
        **fields_schema(_SUBMISSION, frozenset({"id"})),
        "oneOf": [
            {"required": ["kind", "spec"], "properties": {"again": False}},
            {
                "required": ["again"],
                "properties": dict.fromkeys(("kind", "spec", "parent", "peer"), False),
            },
        ],
        "allOf": records.by_kind(),
    },
)
_WATCHED: dict[str, Check] = {"id": _id, "version": records.version}
watched = an_object("Watched", _WATCHED, frozenset(_WATCHED))
_ENTRY_ERROR: dict[str, Check] = {"id": _id, "code": records.code, "text": text()}
entry_error = an_object("EntryError", _ENTRY_ERROR, frozenset(_ENTRY_ERROR))
_errors = list_of(entry_error, MAX_LISTED)
_ids = list_of(_id, MAX_LISTED)
_FEATURES: dict[str, Check] = {"features": records.features}
_digest = text(64)
# Where a page of domains ends.
_page_end = text(400)

# Type → (checks of its body, required fields). Requests on port 5556, by the role that sends them:
# client and observer.
ASKED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "submit": (
        {"requests": list_of(submission, MAX_LISTED), "dry_run": boolean, **_FEATURES},
        {"requests"},
    ),
    "status": ({"ids": _ids, **_FEATURES}, {"ids"}),
    "list": (
        {
            "states": list_of(records.state, 6),
            "limit": integer(1, MAX_LISTED),
            "name": records.vm_name,
            "before": _id,
            "after": _revision,
            "wait_s": _patience,
            **_FEATURES,
        },
        set(),
    ),
    "wait": (
        {"requests": list_of(watched, MAX_LISTED), "wait_s": _patience, **_FEATURES},
        {"requests", "wait_s"},
    ),
    "cancel": ({"ids": _ids, **_FEATURES}, {"ids"}),
    "hosts": ({"after": _host, **_FEATURES}, set()),
    "domains": (
        {
            "hosts": list_of(_host, MAX_LISTED),
            "names": list_of(text(records.MAX_TITLE), MAX_LISTED),
            "after": _page_end,
            **_FEATURES,
        },
        set(),
    ),
    # host
    "hello": (
        {
            "host": _host,
            "report": records.told_report,
            "shown": list_of(records.reported_domain, records.MAX_DOMAINS),
            "gone": list_of(_id, records.MAX_DOMAINS),
            "since": _digest,
            "digest": _digest,
            "more": boolean,
            "requests": list_of(held, MAX_LISTED),
            "worker": records.worker,
            "journal": _digest,
            **_FEATURES,
        },
        {"host", "report", "requests"},
    ),
    "ack": ({"host": _host, "id": _id, "request": records.request}, {"host", "id"}),
    "progress": (
        {
            "host": _host,
            "id": _id,
            "phase": records.phase_name,
            "phases": records.phases,
            "done": optional(records.count),
            "total": optional(records.count),
        },
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
            "ended": moment,
            "request": records.request,
        },
        {"host", "id", "state"},
    ),
}

# Replies on port 5556.
ANSWERED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "requests": (
        {
            "requests": _requests,
            "errors": _errors,
            "more": boolean,
            "revision": _revision,
            **_FEATURES,
        },
        {"requests"},
    ),
    "placements": (
        {"placements": list_of(records.placement, MAX_LISTED), **_FEATURES},
        {"placements"},
    ),
    "hosts": (
        {
            "hosts": list_of(records.host_status, 10000),
            "more": boolean,
            "client_worker": records.client_worker,
            **_FEATURES,
        },
        {"hosts"},
    ),
    "domains": (
        {
            "hosts": list_of(records.reported_host, 10000),
            "domains": list_of(records.reported_domain, 10000),
            "next": optional(_page_end),
            **_FEATURES,
        },
        {"hosts", "domains"},
    ),
    "welcome": (
        {
            "requests": _requests,
            "cancel": _ids,
            "everything": boolean,
            "journal": _digest,
            **_FEATURES,
        },
        {"requests", "cancel"},
    ),
    "ok": ({}, set()),
    "error": ({"code": records.code, "text": text()}, {"code", "text"}),
}
# Those that say which features the client worker knows.
NAMING_FEATURES = frozenset(
    kind for kind, (checks, _needed) in ANSWERED.items() if checks.keys() & {"features"}
)
# What is published on port 5555.
PUBLISHED: dict[str, tuple[dict[str, Check], set[str]]] = {
    "requests": ({"requests": _requests}, {"requests"}),
    "cancel": ({"ids": _ids}, {"ids"}),
}


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
    return fields(body, kind, checks, frozenset(required))


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
