# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

from maglica.host_worker.daemon.outbox import HELLO_PAUSE, RETRY_SECONDS, Note, Outbox
from maglica.model.request import Phase


def greeted(now: float = 0.0, interval: float = 5.0) -> Outbox:
    """An outbox that has said hello."""
    outbox = Outbox(interval)
    note = outbox.next(now)
    assert note == Note("hello")
    outbox.settle(note, None, now)
    return outbox


def drain(outbox: Outbox, now: float) -> list[tuple[str, str]]:
    """All notes that are due, each answered with success."""
    told = []
    while (note := outbox.next(now)) is not None:
        told.append((note.type, note.id))
        outbox.settle(note, None, now)
    return told


def test_hello_is_said_first_and_again_after_the_interval() -> None:
    outbox = greeted(10.0)
    assert outbox.next(14.9) is None
    assert outbox.wake_at() == 15.0
    assert outbox.next(15.0) == Note("hello")


def test_a_change_is_told_soon_but_not_at_every_change() -> None:
    outbox = greeted(10.0)
    outbox.hello(10.1)
    assert outbox.next(10.1) is None
    assert outbox.wake_at() == 10.0 + HELLO_PAUSE
    outbox.hello(12.0)
    assert outbox.next(12.0) == Note("hello")


def test_acks_then_results_then_progress() -> None:
    outbox = greeted()
    outbox.progress("p", "copy", [])
    outbox.result("r")
    outbox.ack("a")
    assert outbox.wake_at() == -math.inf
    assert drain(outbox, 1.0) == [("ack", "a"), ("result", "r"), ("progress", "p")]
    assert outbox.wake_at() == 5.0


def test_a_note_stays_until_it_is_answered() -> None:
    outbox = greeted()
    outbox.result("r")
    assert outbox.next(1.0) == outbox.next(2.0) == Note("result", "r")
    assert outbox.settle(Note("result", "r"), None, 2.0)
    assert outbox.next(2.0) is None


def test_a_result_that_is_refused_is_told_bare_and_ever_more_rarely() -> None:
    outbox = greeted(interval=1e6)
    outbox.result("r")
    assert not outbox.settle(Note("result", "r"), "message_invalid", 0.0)
    now = 0.0
    for pause in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0):
        assert outbox.wake_at() == now + pause
        now += pause
        assert outbox.next(now) == Note("result", "r", bare=True)
        assert not outbox.settle(Note("result", "r", bare=True), "access_denied", now)
    assert outbox.settle(Note("result", "r", bare=True), None, now)
    outbox.result("r")
    assert outbox.next(now) == Note("result", "r")


def test_a_denied_result_is_told_again_whole() -> None:
    outbox = greeted()
    outbox.result("r")
    outbox.settle(Note("result", "r"), "access_denied", 0.0)
    outbox.hello(0.0)
    assert outbox._results == {"r": RETRY_SECONDS}
    outbox.settle(Note("hello"), None, RETRY_SECONDS)
    assert outbox.next(RETRY_SECONDS) == Note("result", "r")


def test_a_result_that_can_not_be_taken_is_told_again_behind_the_others() -> None:
    outbox = greeted()
    outbox.result("r1")
    outbox.result("r2")
    assert not outbox.settle(Note("result", "r1"), "journal_failed", 1.0)
    assert drain(outbox, 1.0) == [("result", "r2")]
    assert outbox.wake_at() == min(5.0, 1.0 + RETRY_SECONDS)
    assert ("result", "r1") in drain(outbox, 1.0 + RETRY_SECONDS)


def test_a_result_of_a_request_that_nobody_knows_is_done_with() -> None:
    outbox = greeted()
    outbox.result("r")
    assert outbox.settle(Note("result", "r"), "request_unknown", 1.0)
    assert drain(outbox, 1.0) == []


def test_only_the_newest_progress_is_told() -> None:
    outbox = greeted()
    outbox.progress("p", "copy", [])
    outbox.progress("p", "define", [Phase("copy", 1.0)])
    note = outbox.next(1.0)
    assert note == Note("progress", "p", "define", (Phase("copy", 1.0),))
    outbox.progress("p", "start", [])
    outbox.settle(note, None, 1.0)
    assert outbox.next(1.0) == Note("progress", "p", "start")


def test_no_progress_is_told_before_a_new_client_worker_is_greeted() -> None:
    outbox = greeted(10.0)
    outbox.progress("p", "copy", [], (3, 9))
    outbox.greet(10.1)
    assert outbox.next(10.1) is None
    assert outbox.wake_at() == 10.0 + HELLO_PAUSE
    outbox.ack("a")
    assert drain(outbox, 10.1) == [("ack", "a")]
    assert drain(outbox, 11.0) == [("hello", ""), ("progress", "p")]


def test_progress_that_fails_is_not_repeated() -> None:
    outbox = greeted()
    outbox.progress("p", "copy", [])
    outbox.settle(outbox.next(1.0), "access_denied", 1.0)
    assert outbox.next(1.0) is None


def test_a_result_makes_ack_and_progress_needless() -> None:
    outbox = greeted()
    outbox.ack("r")
    outbox.progress("r", "copy", [])
    outbox.result("r")
    outbox.progress("r", "late", [])
    assert drain(outbox, 1.0) == [("result", "r")]


def test_the_same_thing_is_told_once() -> None:
    outbox = greeted()
    for _turn in range(3):
        outbox.ack("a")
        outbox.result("r")
    assert drain(outbox, 1.0) == [("ack", "a"), ("result", "r")]


def test_a_failed_hello_waits_for_its_interval() -> None:
    outbox = greeted()
    outbox.settle(Note("hello"), "access_denied", 20.0)
    assert outbox.next(20.0) is None
    assert outbox.next(25.0) == Note("hello")
