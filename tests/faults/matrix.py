# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which role may send what: the decisions as they must be, written down apart from the code.

A type of message in wire/messages.py that is not here fails tests/unit/faults/test_matrix.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from maglica.model.request import Request
from support.reports import clone, report

OWN, OTHER = "kvm0.example.jp", "kvm1.example.jp"
# A report that nobody has made but the one who must not.
FORGED_CPUS = 77

# Which role may send each type. What a host may send, it may send only about itself.
EXPECTED: dict[str, frozenset[str]] = {
    "submit": frozenset({"client"}),
    "cancel": frozenset({"client"}),
    "status": frozenset({"client", "observer"}),
    "list": frozenset({"client", "observer"}),
    "wait": frozenset({"client", "observer"}),
    "hosts": frozenset({"client", "observer"}),
    "domains": frozenset({"client", "observer"}),
    "hello": frozenset({"host"}),
    "ack": frozenset({"host"}),
    "progress": frozenset({"host"}),
    "result": frozenset({"host"}),
}
FROM_HOSTS = frozenset(kind for kind, roles in EXPECTED.items() if "host" in roles)
# Types that are about one request.
ABOUT_ONE = frozenset({"status", "wait", "cancel", "ack", "progress", "result"})

_numbers = itertools.count()


def _clone(host: str) -> dict[str, Any]:
    return clone(f"forged{next(_numbers)}", host=host, memory_mib=16)


# What each says when it is right: on behalf of a host, about a request.
BODIES: dict[str, Callable[[str, Request], dict[str, Any]]] = {
    "submit": lambda host, request: {"requests": [_clone(host)]},
    "cancel": lambda host, request: {"ids": [request.id]},
    "status": lambda host, request: {"ids": [request.id]},
    "list": lambda host, request: {},
    "wait": lambda host, request: {"requests": [{"id": request.id, "version": 0}], "wait_s": 0},
    "hosts": lambda host, request: {},
    "domains": lambda host, request: {},
    "hello": lambda host, request: {
        "host": host,
        "report": report(cpus=FORGED_CPUS),
        "requests": [],
    },
    "ack": lambda host, request: {"host": host, "id": request.id},
    "progress": lambda host, request: {
        "host": host,
        "id": request.id,
        "phase": "copy",
        "phases": [],
    },
    "result": lambda host, request: {"host": host, "id": request.id, "state": "cancelled"},
}


def cases() -> Iterator[tuple[str, str, str]]:
    """Yield each type with the host that it speaks for, and the host of the request meant."""
    for kind in EXPECTED:
        for speaks_for in (OWN, OTHER):
            for of in (OWN, OTHER) if kind in ABOUT_ONE else (speaks_for,):
                if kind in FROM_HOSTS or speaks_for == of:
                    yield kind, speaks_for, of


def allowed(role: str | None, kind: str, speaks_for: str, of: str) -> bool:
    """Tell how it must be decided; the role None is nobody's, ``host`` is that of OWN."""
    if role not in EXPECTED[kind]:
        return False
    return kind not in FROM_HOSTS or (speaks_for, of) == (OWN, OWN)
