# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing a vm to a state must do while other requests about it are open: one suite for the
fake cell and for the real one.
"""

from __future__ import annotations

import pytest
from maglica.manage.target import Waiting
from maglica.verbs.table import Presence
from support.vm_suite import Cell, bring, foresee, release_and_bring


class BesideSuite:
    @pytest.mark.parametrize(
        "state",
        [Presence.STOPPED, Presence.RESTARTED, Presence.ABSENT],
        ids=lambda each: each.value,
    )
    def test_an_equal_request_is_joined_by_the_next_run(self, cell: Cell, state: Presence) -> None:
        bring(cell)
        cell.hold()
        first, second = (bring(cell, Waiting(wait=False), state=state) for _turn in range(2))
        assert first.changed and second.changed
        foreseen = foresee(cell, state=state)
        third = release_and_bring(cell, state=state)
        assert first.request.id == second.request.id == third.request.id
        assert len(cell.client.list()) == 2
        assert third.changed
        assert (third.before, third.after) == (foreseen.before, foreseen.after)

    def test_what_a_run_again_joins_is_a_part_of_it(self, cell: Cell) -> None:
        bring(cell)
        cell.hold()
        first = bring(cell, Waiting(wait=False), tags=("web",))
        both = release_and_bring(cell, tags=("web",), state=Presence.RESTARTED)
        assert [request.kind for request in cell.client.list()] == ["restart", "tag", "clone"]
        assert (both.changed, first.request.kind, both.request.kind) == (True, "tag", "restart")

    def test_one_that_is_just_being_made_is_not_restarted(self, cell: Cell) -> None:
        cell.hold()
        first, second = (
            bring(cell, Waiting(wait=False), state=Presence.RESTARTED) for _turn in range(2)
        )
        assert first.request.id == second.request.id
        made = release_and_bring(cell, state=Presence.RESTARTED)
        assert (made.changed, made.vm["state"]) == (True, "running")
        assert [request.kind for request in cell.client.list()] == ["clone"]

    def test_what_others_are_about_to_do_is_waited_for(self, cell: Cell) -> None:
        for state, before, kind in (
            (Presence.STOPPED, "stopped", "start"),
            (Presence.ABSENT, "absent", "clone"),
        ):
            bring(cell)
            cell.hold()
            bring(cell, Waiting(wait=False), state=state)
            foreseen = foresee(cell, state=Presence.RUNNING)
            back = release_and_bring(cell, state=Presence.RUNNING)
            assert (back.changed, back.before["state"], back.request.kind) == (True, before, kind)
            assert (foreseen.changed, foreseen.before) == (True, back.before)
            assert back.vm["state"] == "running"
