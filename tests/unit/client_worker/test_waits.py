# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long polls: who is answered when."""

from __future__ import annotations

from dataclasses import replace

from maglica.client_worker.waits import ENDED_AT_ONCE, MAX_PER_KEY, MAX_STALE, Wait, Waits
from maglica.model.request import Request, State
from maglica.verbs.clone import CloneSpec


def wait(peer: bytes, request_id: str = "r", version: int = 1, deadline: float = 10.0) -> Wait:
    return Wait((peer, b""), "key", {request_id: version}, deadline)


def request(version: int, request_id: str = "r") -> Request:
    return Request(request_id, CloneSpec("vm0", "deb"), version=version)


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
    assert waits.next_end() == 5.0
    assert [found.envelope for found in waits.over(5.0)] == [(b"b", b"")]
    assert waits.over(9.9) == []
    answered(waits, request(2))
    assert waits.over(10.0) == []
    assert waits.next_end() is None


def test_a_peer_has_one_wait() -> None:
    waits = Waits()
    waits.add(wait(b"a", "r", deadline=5.0))
    waits.add(wait(b"a", "s", deadline=10.0))
    assert len(waits) == 1
    assert waits.over(5.0) == []
    assert answered(waits, request(9, "r")) == []
    assert answered(waits, request(9, "s")) == [(b"a", b"")]


def test_the_oldest_waits_of_a_key_that_has_too_many_are_over() -> None:
    waits = Waits(limit=2)
    waits.add(Wait((b"x",), "other key", {"r": 1}, 10.0))
    for peer in (b"a", b"b", b"c"):
        waits.add(wait(peer))
    assert len(waits) == 3
    assert waits.next_end() == 0.0
    assert [found.envelope[0] for found in waits.over(5.0)] == [b"a"]
    assert waits.over(5.0) == []
    assert sorted(found[0] for found in answered(waits, request(2))) == [b"b", b"c", b"x"]


def test_those_who_come_again_and_again_on_new_connections_are_not_refused() -> None:
    """A link that is cut every moment, and nobody tells of those that were abandoned."""
    waits = Waits()
    versions = {str(number): 1 for number in range(1000)}
    for turn in range(100):
        waits.add(Wait((b"%d" % turn, b""), "key", versions, 30.0))
    assert len(waits) == MAX_PER_KEY // 1000
    assert len(waits.over(5.0)) == 90
    assert (b"99", b"") in answered(waits, request(2, "7"))


def test_not_too_many_end_in_one_turn() -> None:
    waits = Waits()
    for number in range(ENDED_AT_ONCE + 2):
        waits.add(wait(b"%d" % number))
    assert len(waits.over(10.0)) == ENDED_AT_ONCE
    assert waits.next_end() == 10.0
    assert len(waits.over(10.0)) == 2
    assert waits.next_end() is None


def test_a_connection_has_one_wait_whatever_its_messages_are_numbered() -> None:
    """REQ_CORRELATE puts another number before each."""
    waits = Waits()
    waits.add(Wait((b"a", b"0001", b""), "key", {"r": 1}, 10.0))
    waits.add(Wait((b"a", b"0002", b""), "key", {"r": 1}, 10.0))
    assert answered(waits, request(2)) == [(b"a", b"0002", b"")]


def test_many_are_answered_at_once_with_what_is_new() -> None:
    waits = Waits()
    waits.add(Wait((b"a", b""), "key", {"r": 1, "s": 1, "t": 5}, 10.0))
    waits.add(wait(b"b", "s"))
    changed = [request(2, "r"), request(1, "s"), request(3, "t"), request(9, "u")]
    assert [(found.envelope, news) for found, news in waits.answered_by(changed)] == [
        ((b"a", b""), [changed[0]])
    ]
    assert answered(waits, request(2, "s")) == [(b"b", b"")]
    assert len(waits) == 0


def test_a_wait_for_many_counts_for_each() -> None:
    waits = Waits(limit=3)
    waits.add(Wait((b"a", b""), "key", {"r": 1, "s": 1}, 10.0))
    waits.add(wait(b"b"))
    assert waits.over(5.0) == []
    waits.add(Wait((b"c", b""), "key", {"r": 1, "s": 1}, 10.0))
    assert [found.envelope for found in waits.over(5.0)] == [(b"a", b"")]


def test_waits_that_were_replaced_leave_nothing_until_their_deadline() -> None:
    waits = Waits()
    for _turn in range(10 * MAX_STALE):
        waits.add(wait(b"a"))
    assert len(waits._deadlines) <= MAX_STALE + 2
    assert waits.next_end() == 10.0
    assert [found.envelope for found in waits.over(10.0)] == [(b"a", b"")]
