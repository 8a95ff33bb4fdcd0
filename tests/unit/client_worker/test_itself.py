# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client worker says of itself, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maglica.model.worker import Worker
from maglica.system import version
from maglica.wire import features
from support.reports import report

if TYPE_CHECKING:
    from .conftest import Cell

KNOWN = (features.WORKERS,)


def told(cell: Cell, known: tuple[str, ...] = KNOWN, **more: Any) -> Any:
    ((_peer, answer),) = cell.send("hosts", features=list(known), **more).replies
    return answer.body.get("client_worker", "nothing")


def test_its_version_is_told_to_those_who_know_of_it(cell: Cell) -> None:
    assert told(cell) == {"version": version.own(), "problems": []}
    assert told(cell, ()) == "nothing"
    # Only once of several pages.
    assert told(cell, after="kvm0") == "nothing"


def test_why_the_access_file_is_not_in_force_and_which_keys_two_have(cell: Cell) -> None:
    cell.context.complaint = lambda: "access:3: no\nkey"
    for instance in "aba":
        cell.context.hosts.meet("kvm1", Worker("0.1.0", instance), "", cell.now)
    assert told(cell)["problems"][0] == "access:3: no\\nkey"
    (conflict,) = told(cell)["problems"][1:]
    assert conflict.startswith("two machines speak with the key of host kvm1")


def test_however_much_is_wrong_the_answer_fits(cell: Cell) -> None:
    cell.context.complaint = lambda: "é" * 10_000
    for number in range(100):
        for instance in "aba":
            cell.context.hosts.meet(f"kvm{number}", Worker("0.1.0", instance), "", cell.now)
    cell.ask("hello", host="a", report=report(), requests=[])
    kind, body = cell.ask("hosts", features=list(KNOWN))
    assert (kind, body["hosts"][0].host) == ("hosts", "a")
    assert len(body["client_worker"].problems) == 8
