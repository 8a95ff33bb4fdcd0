# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what is published, and when again."""

from __future__ import annotations

from maglica.client_worker.delivery import Delivery


def due(delivery: Delivery, now: float, limit: int = 100, deaf: str = "") -> list[str]:
    return delivery.due(now, limit, lambda host: host != deaf)


def test_published_at_once_and_again_until_dropped() -> None:
    delivery = Delivery()
    delivery.add("a", "kvm0")
    assert due(delivery, 0.0) == ["a"]
    assert due(delivery, 1.9) == []
    assert delivery.next_time() == 2.0
    assert due(delivery, 2.0) == ["a"]
    assert due(delivery, 5.9) == []
    assert due(delivery, 6.0) == ["a"]
    assert delivery.attempts == {"a": 3}
    delivery.drop("a")
    delivery.drop("a")
    assert due(delivery, 1000.0) == []
    assert len(delivery) == 0
    assert delivery.next_time() is None


def test_added_again_it_starts_anew() -> None:
    delivery = Delivery()
    delivery.add("a", "kvm0")
    for moment in (0.0, 2.0, 6.0):
        assert due(delivery, moment) == ["a"]
    delivery.add("a", "kvm0")
    delivery.add("a", "kvm0")
    assert due(delivery, 6.0) == ["a"]
    assert due(delivery, 7.9) == []
    assert due(delivery, 8.0) == ["a"]


def test_a_host_that_does_not_listen_gets_it_when_it_does() -> None:
    delivery = Delivery()
    delivery.add("a", "kvm0")
    delivery.add("b", "kvm1")
    assert due(delivery, 0.0, deaf="kvm0") == ["b"]
    assert delivery.attempts["a"] == 0
    assert due(delivery, 0.5) == ["a"]


def test_a_host_gets_a_window_ahead_of_its_acknowledgements() -> None:
    delivery = Delivery(window=2)
    for name in "abcd":
        delivery.add(name, "kvm0")
    delivery.add("x", "kvm1")
    assert due(delivery, 0.0) == ["a", "b", "x"]
    assert due(delivery, 0.1) == []
    delivery.drop("a")
    assert due(delivery, 0.2) == ["c"]
    delivery.drop("d")
    delivery.drop("b")
    assert due(delivery, 0.3) == []


def test_no_more_than_the_limit_at_once() -> None:
    delivery = Delivery()
    for name in "abc":
        delivery.add(name, "kvm0")
    assert due(delivery, 0.0, limit=2) == ["a", "b"]
    assert due(delivery, 0.0, limit=2) == ["c"]


def test_handed_over_in_a_welcome_counts_as_published() -> None:
    delivery = Delivery()
    delivery.add("a", "kvm0")
    delivery.published("a", 0.0)
    delivery.published("unknown", 0.0)
    assert due(delivery, 0.0) == []
    assert due(delivery, 2.0) == ["a"]


def test_what_was_dropped_and_added_is_published_once() -> None:
    delivery = Delivery()
    delivery.add("a", "kvm0")
    delivery.drop("a")
    delivery.add("a", "kvm0")
    assert due(delivery, 0.0) == ["a"]
