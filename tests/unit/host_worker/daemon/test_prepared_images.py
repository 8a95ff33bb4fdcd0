# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images a host prepares by itself, and when it tries again."""

from __future__ import annotations

from maglica.host_worker.daemon.prepared_images import OWN, PAUSES, Keeper
from maglica.verbs.prepare import PrepareSpec

HOST = "kvm0.example.jp"


def asked(keeper: Keeper, images: list[str], now: float, under_way: tuple[str, ...] = ()) -> list:
    return [request.name for request in keeper.requests(images, under_way, now)]


def test_it_asks_once() -> None:
    keeper = Keeper(HOST)
    (request,) = keeper.requests(["deb"], (), 0)
    assert (request.kind, request.spec) == ("prepare", PrepareSpec("deb", HOST))
    assert (request.host, request.who) == (HOST, OWN)
    assert asked(keeper, ["deb"], 1) == []


def test_what_is_under_way_is_not_asked_for() -> None:
    assert asked(Keeper(HOST), ["deb", "sl6"], 0, ("deb",)) == ["sl6"]


def test_the_pauses_after_failures_grow() -> None:
    keeper = Keeper(HOST)
    assert asked(keeper, ["deb"], 0) == ["deb"]
    assert asked(keeper, ["deb"], PAUSES.first) == ["deb"]
    assert asked(keeper, ["deb"], 2 * PAUSES.first) == []
    assert asked(keeper, ["deb"], 3 * PAUSES.first) == ["deb"]


def test_an_image_that_was_prepared_meanwhile_begins_anew() -> None:
    keeper = Keeper(HOST)
    assert asked(keeper, ["deb"], 0) == ["deb"]
    assert asked(keeper, [], 1) == []
    assert asked(keeper, ["deb"], 2) == ["deb"]
