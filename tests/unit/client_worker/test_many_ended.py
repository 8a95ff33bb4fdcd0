# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal of many requests that have ended, as of a week in a busy cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maglica.model.request import Request, State, new_request_id
from maglica.verbs.stop import StopSpec

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
