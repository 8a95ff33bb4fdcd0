# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long polls: who is answered when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.client_worker.waits import Wait, Waits
from maglica.errors import LimitExceeded
from maglica.model import CloneSpec, Kind, Request, State


def wait(peer: bytes, request_id: str = "r", version: int = 1, deadline: float = 10.0) -> Wait:
    return Wait((peer, b""), "key", {request_id: version}, deadline)


def request(version: int, request_id: str = "r") -> Request:
    return Request(request_id, Kind.CLONE, CloneSpec("vm0", "deb"), version=version)


def answered(waits: Waits, *changed: Request) -> list[tuple[bytes, ...]]:
    return [found.envelope for found, _news in waits.answered_by(changed)]


def test_answered_by_a_newer_version_only() -> None:
    waits = Waits()
    waits.add(wait(b"a", version=1))
    waits.add(wait(b"b", version=2))
    waits.add(wait(b"c", "other"))
    assert answered(waits, request(1)) == []
    assert answered(waits, request(2)) == [(b"a", b"")]
    assert answered(waits, request(3)) == [(b"b", b"")]
    assert answered(waits, request(4)) == []
    assert len(waits) == 1


def test_answered_by_the_end_whatever_version_was_named() -> None:
    waits = Waits()
    waits.add(wait(b"a", version=9))
    assert answered(waits, request(2)) == []
    assert answered(waits, replace(request(3), state=State.DONE)) == [(b"a", b"")]


def test_those_of_a_key_that_is_gone_are_taken_out() -> None:
    waits = Waits()
    waits.add(wait(b"a"))
    waits.add(replace(wait(b"b"), key="gone"))
    assert waits.revoked(lambda key: True) == []
    assert [found.envelope for found in waits.revoked(lambda key: key != "gone")] == [(b"b", b"")]
    assert answered(waits, request(2)) == [(b"a", b"")]


def test_answered_at_the_deadline() -> None:
    waits = Waits()
    waits.add(wait(b"a", deadline=10.0))
    waits.add(wait(b"b", deadline=5.0))
    assert waits.next_deadline() == 5.0
    assert [found.envelope for found in waits.expired(5.0)] == [(b"b", b"")]
    assert waits.expired(9.9) == []
    answered(waits, request(2))
    assert waits.expired(10.0) == []
    assert waits.next_deadline() is None


def test_a_peer_has_one_wait() -> None:
    waits = Waits()
    waits.add(wait(b"a", "r", deadline=5.0))
    waits.add(wait(b"a", "s", deadline=10.0))
    assert len(waits) == 1
    assert waits.expired(5.0) == []
    assert answered(waits, request(9, "r")) == []
    assert answered(waits, request(9, "s")) == [(b"a", b"")]


def test_a_key_has_so_many_waits() -> None:
    waits = Waits(limit=2)
    waits.add(wait(b"a"))
    waits.add(wait(b"b"))
    waits.add(Wait((b"x",), "other key", {"r": 1}, 10.0))
    with pytest.raises(LimitExceeded, match="this key waits for 2 requests already"):
        waits.add(wait(b"c"))
    waits.add(wait(b"b", "s"))
    waits.expired(10.0)
    waits.add(wait(b"c"))


def test_many_are_answered_at_once_with_what_is_new() -> None:
    waits = Waits()
    waits.add(Wait((b"a", b""), "key", {"r": 1, "s": 1, "t": 5}, 10.0, many=True))
    waits.add(wait(b"b", "s"))
    changed = [request(2, "r"), request(1, "s"), request(3, "t"), request(9, "u")]
    assert [(found.envelope, news) for found, news in waits.answered_by(changed)] == [
        ((b"a", b""), [changed[0]])
    ]
    assert answered(waits, request(2, "s")) == [(b"b", b"")]
    assert len(waits) == 0


def test_a_wait_for_many_counts_for_each() -> None:
    waits = Waits(limit=3)
    waits.add(Wait((b"a", b""), "key", {"r": 1, "s": 1}, 10.0, many=True))
    with pytest.raises(LimitExceeded, match="this key waits for 2 requests already"):
        waits.add(Wait((b"b", b""), "key", {"r": 1, "s": 1}, 10.0, many=True))
    waits.add(wait(b"b"))
    assert [found.envelope for found in waits.expired(10.0)] == [(b"a", b""), (b"b", b"")]
    waits.add(Wait((b"b", b""), "key", {"r": 1, "s": 1, "t": 1}, 10.0, many=True))
