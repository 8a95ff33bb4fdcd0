# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal of many requests that have ended, as of a week in a busy cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from maglica.client_worker.journal import Journal
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.stop import StopSpec
from support.reports import vm

if TYPE_CHECKING:
    from .conftest import Cell


def test_what_is_to_be_forgotten_is_found_without_going_through_all_of_them(cell: Cell) -> None:
    """It is looked for every minute, and nobody is served meanwhile."""
    journal = cell.journal
    steps: list[None] = []
    needed = []
    for many in (1, 200):
        journal.begin()
        for _number in range(many):
            spec = StopSpec("vm0", new_request_id(), "kvm0")
            journal.add(Request(new_request_id(), spec, state=State.DONE, updated=1000.0), "")
        journal.commit()
        journal._db._db.set_progress_handler(lambda: steps.append(None), 1)
        assert journal.prune(999.0, 10) == 0
        assert list(journal.ended_since(1001.0)) == []
        journal._db._db.set_progress_handler(None, 1)
        needed.append(len(steps))
        steps.clear()
    assert needed[1] < needed[0] + 40


def test_no_host_keeps_all_others_waiting_by_naming_what_has_ended(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vms' definitions may be long: to read a thousand takes many seconds, at each hello."""
    cell.hello()
    ended, cancelled = cell.clone("vm0"), cell.clone("vm1")
    cell.result(ended, state="done", vm=vm(ended))
    cell.result(cancelled, state="cancelled")
    read: list[str] = []
    get = Journal.get
    monkeypatch.setattr(
        Journal, "get", lambda journal, each: read.append(each) or get(journal, each)
    )
    answer = cell.hello(**{ended.id: "running", cancelled.id: "running"})
    assert answer["cancel"] == (cancelled.id,)
    assert read == []
