# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose message is handled when, and how much of one key may wait."""

from __future__ import annotations

import itertools

import pytest
from maglica.client_worker import inbox as inbox_module
from maglica.client_worker.dispatch import Incoming
from maglica.client_worker.inbox import MESSAGES_A_TURN, MESSAGES_PER_KEY, Inbox
from maglica.model.errors import LimitExceeded, MessageInvalid

MADE_UP = b"\0\1\2\3\4"


def message(key: str | None, text: bytes = b"") -> Incoming:
    return Incoming((MADE_UP, b""), key, [text])


def filled(**counts: int) -> Inbox:
    """An inbox with so many messages of each key, in this order."""
    inbox = Inbox(lambda: 0.0)
    for key, count in counts.items():
        for number in range(count):
            assert inbox.put(message(key, b"%d" % number)) is None
    return inbox


def taken(inbox: Inbox) -> list[str]:
    return [f"{each.key}{each.frames[0].decode()}" for each in inbox.turn()]


def test_one_of_each_key_in_turn() -> None:
    inbox = filled(a=4, b=1, c=2)
    assert inbox
    assert taken(inbox) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert not inbox


def test_whoever_comes_after_a_thousand_of_another_key_is_served_next() -> None:
    inbox = filled(observer=1000)
    turn = inbox.turn()
    assert next(turn).key == "observer"
    inbox.put(message("client"))
    assert [next(turn).key, next(turn).key] == ["observer", "client"]
    assert next(turn).key == "observer"


def test_whoever_was_served_last_is_behind_those_who_came_meanwhile() -> None:
    inbox = filled(a=3)
    assert next(inbox.turn()).frames == [b"0"]
    inbox.put(message("b"))
    inbox.put(message("c"))
    assert taken(inbox) == ["a1", "b", "c", "a2"]


def test_a_turn_has_so_many_messages() -> None:
    inbox = filled(a=MESSAGES_A_TURN + 1)
    assert len(taken(inbox)) == MESSAGES_A_TURN
    assert taken(inbox) == [f"a{MESSAGES_A_TURN}"]
    assert taken(inbox) == []


def test_a_turn_lasts_so_long_and_has_one_message_at_least() -> None:
    seconds = itertools.count(step=inbox_module.SECONDS_A_TURN / 2)
    inbox = Inbox(lambda: next(seconds))
    for _turn in range(4):
        inbox.put(message("a"))
    # Looked at when the turn begins, and before each message but the first.
    assert len(taken(inbox)) == 2
    inbox._clock = iter([0.0, 9.0]).__next__
    assert len(taken(inbox)) == 1


def test_so_many_messages_of_a_key_may_wait() -> None:
    inbox = filled(observer=MESSAGES_PER_KEY)
    error = inbox.put(message("observer"))
    assert isinstance(error, LimitExceeded)
    assert inbox.put(message("client")) is None
    list(inbox.turn())
    assert inbox.put(message("observer")) is None


def test_so_many_bytes_of_a_key_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "BYTES_PER_KEY", 10)
    inbox = Inbox(lambda: 0.0)
    assert inbox.put(message("a", b"longer than all")) is None
    assert "1 messages of this key, 15 bytes, wait already" in str(inbox.put(message("a", b"x")))
    assert inbox.put(message("b", b"12345")) is None
    assert inbox.put(message("b", b"12345")) is None
    assert inbox.put(message("b", b"1")) is not None
    assert len(taken(inbox)) == 3
    assert inbox.put(message("a", b"12345")) is None


@pytest.mark.parametrize("chosen", [b"", b"me", b"12345", b"\0123", b"\0" * 6])
def test_nobody_chooses_where_answers_go(chosen: bytes) -> None:
    inbox = Inbox()
    error = inbox.put(Incoming((chosen, b""), "a", [b"x"]))
    assert isinstance(error, MessageInvalid)
    assert not inbox
