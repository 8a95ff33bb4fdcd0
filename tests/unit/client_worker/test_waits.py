# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long polls: who is answered when."""

from __future__ import annotations

import pytest
from maglica.client_worker.waits import Wait, Waits
from maglica.errors import LimitExceeded
from maglica.model import CloneSpec, Kind, Request


def wait(peer: bytes, request_id: str = "r", version: int = 1, deadline: float = 10.0) -> Wait:
    return Wait((peer, b""), "key", request_id, version, deadline)


def request(version: int, request_id: str = "r") -> Request:
    return Request(request_id, Kind.CLONE, CloneSpec("vm0", "deb"), version=version)


def test_answered_by_a_newer_version_only() -> None:
    waits = Waits()
    waits.add(wait(b"a", version=1))
    waits.add(wait(b"b", version=2))
    waits.add(wait(b"c", "other"))
    assert waits.answered_by(request(1)) == []
    assert waits.answered_by(request(2)) == [(b"a", b"")]
    assert waits.answered_by(request(3)) == [(b"b", b"")]
    assert waits.answered_by(request(4)) == []
    assert len(waits) == 1


def test_answered_at_the_deadline() -> None:
    waits = Waits()
    waits.add(wait(b"a", deadline=10.0))
    waits.add(wait(b"b", deadline=5.0))
    assert waits.next_deadline() == 5.0
    assert [found.envelope for found in waits.expired(5.0)] == [(b"b", b"")]
    assert waits.expired(9.9) == []
    waits.answered_by(request(2))
    assert waits.expired(10.0) == []
    assert waits.next_deadline() is None


def test_a_peer_has_one_wait() -> None:
    waits = Waits()
    waits.add(wait(b"a", "r", deadline=5.0))
    waits.add(wait(b"a", "s", deadline=10.0))
    assert len(waits) == 1
    assert waits.expired(5.0) == []
    assert waits.answered_by(request(9, "r")) == []
    assert waits.answered_by(request(9, "s")) == [(b"a", b"")]


def test_a_key_has_so_many_waits() -> None:
    waits = Waits(limit=2)
    waits.add(wait(b"a"))
    waits.add(wait(b"b"))
    waits.add(Wait((b"x",), "other key", "r", 1, 10.0))
    with pytest.raises(LimitExceeded, match="this key has 2 waits under way already"):
        waits.add(wait(b"c"))
    waits.add(wait(b"b", "s"))
    waits.expired(10.0)
    waits.add(wait(b"c"))
