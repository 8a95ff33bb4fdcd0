# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the hosts' workers, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.wire import features
from support.reports import report

if TYPE_CHECKING:
    from .conftest import Cell

A, B = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KNOWN = [features.WORKERS]


def hello(cell: Cell, instance: str | None, version: str = "0.1.0", **body: Any) -> dict[str, Any]:
    worker = {} if instance is None else {"worker": {"version": version, "instance": instance}}
    told = {"report": report(), "requests": [], "features": KNOWN, **worker, **body}
    kind, welcome = cell.ask("hello", host="kvm0", **told)
    assert kind == "welcome", welcome
    return welcome


def versions(cell: Cell, *known: str) -> list[Any]:
    """Return what both lists of hosts say, as a peer that knows these features is told."""
    told = []
    for asked in ("hosts", "domains"):
        ((_peer, answer),) = cell.send(asked, features=list(known)).replies
        told.append(answer.body["hosts"][0].get("worker_version", "nothing"))
    return told


def test_its_version_is_shown_to_those_who_know_of_it(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hello(cell, None)
    assert versions(cell, *KNOWN) == [None, "nothing"]
    assert features.WORKERS in hello(cell, A)["features"]
    assert versions(cell, *KNOWN) == ["0.1.0", "0.1.0"]
    assert versions(cell) == ["nothing", "nothing"]
    # It can't say so before it has heard that it may.
    hello(cell, None)
    assert versions(cell, *KNOWN) == ["0.1.0", "0.1.0"]
    hello(cell, B, "0.2.0+3f2a1b9c0d1e")
    assert versions(cell, *KNOWN) == ["0.2.0+3f2a1b9c0d1e"] * 2
    assert caplog.text.count("host kvm0 has version") == 2


def test_one_that_does_not_know_of_it_has_none(cell: Cell) -> None:
    hello(cell, A)
    hello(cell, None, features=[])
    assert versions(cell, *KNOWN) == [None, "nothing"]
