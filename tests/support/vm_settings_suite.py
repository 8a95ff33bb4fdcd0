# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vm is paused, and what is noted of one: for the fake cell and for the real one."""

from __future__ import annotations

import pytest
from maglica.manage.shown import difference
from maglica.manage.target import WaitFor, Waiting
from maglica.model import errors
from maglica.verbs.table import Presence
from support.vm_suite import HOSTS, KVM0, NAME, Cell, bring, foresee, release_and_bring

NOTED = {"autostart": True, "description": "web\nof the shop", "protected": True}
NOTHING = {"autostart": False, "description": None, "protected": False}


def noted(vm: dict | None) -> dict:
    assert vm is not None
    return {name: vm[name] for name in NOTED}


class SettingsSuite:
    @pytest.mark.parametrize("before", [Presence.RUNNING, Presence.STOPPED])
    def test_a_vm_is_paused_and_goes_on(self, cell: Cell, before: Presence) -> None:
        bring(cell, state=before)
        foreseen = foresee(cell, state=Presence.PAUSED)
        assert (foreseen.changed, foreseen.after["state"]) == (True, "paused")
        paused = bring(cell, state=Presence.PAUSED)
        assert paused.request is not None
        assert paused.request.kind == "pause"
        assert paused.vm is not None
        assert (paused.vm["state"], paused.before["state"]) == ("paused", before.value)
        assert not bring(cell, state=Presence.PAUSED).changed
        assert not bring(cell, state=Presence.PRESENT).changed
        running = bring(cell, state=Presence.RUNNING)
        assert running.vm is not None
        assert (running.changed, running.vm["state"]) == (True, "running")

    def test_a_vm_is_made_paused(self, cell: Cell) -> None:
        # Nobody waits for the address of one that stands still.
        waiting = Waiting(until=WaitFor.ADDRESS, timeout=30)
        made = bring(cell, waiting, state=Presence.PAUSED)
        assert made.vm is not None
        assert (made.vm["state"], made.after["state"]) == ("paused", "paused")
        assert not bring(cell, state=Presence.PAUSED).changed

    def test_a_pause_that_is_under_way_is_joined_or_waited_for(self, cell: Cell) -> None:
        bring(cell)
        cell.hold()
        first = bring(cell, Waiting(wait=False), state=Presence.PAUSED)
        joined = release_and_bring(cell, state=Presence.PAUSED)
        assert first.request is not None
        assert joined.request is not None
        assert (joined.request.id, joined.changed) == (first.request.id, True)
        cell.hold()
        bring(cell, Waiting(wait=False), state=Presence.RUNNING)
        paused = release_and_bring(cell, state=Presence.PAUSED)
        assert paused.vm is not None
        assert paused.vm["state"] == "paused"

    def test_a_vm_is_made_with_what_is_noted_of_it(self, cell: Cell) -> None:
        foreseen = foresee(cell, **NOTED)
        assert noted(foreseen.vm) == NOTED
        made = bring(cell, **NOTED)
        assert {**made.after, **NOTED} == made.after
        assert noted(made.vm) == NOTED
        assert noted(bring(cell, Waiting(until=WaitFor.CLONED, timeout=30)).vm) == NOTED
        again = bring(cell, **NOTED)
        assert (again.changed, again.before) == (False, again.after)

    @pytest.mark.parametrize("state", [Presence.RUNNING, Presence.STOPPED])
    def test_what_is_noted_of_a_vm_is_changed(self, cell: Cell, state: Presence) -> None:
        assert noted(bring(cell, state=state).vm) == NOTHING
        foreseen = foresee(cell, **NOTED)
        changed = bring(cell, **NOTED)
        assert difference(changed) == difference(foreseen)
        sides = difference(changed)
        assert (noted(sides["before"]), noted(sides["after"])) == (NOTHING, NOTED)
        assert noted(changed.vm) == noted(foreseen.vm) == NOTED
        assert changed.request is not None
        assert changed.request.kind == "set"
        assert not bring(cell, **NOTED).changed
        # What is not said stays.
        other = bring(cell, description="db")
        assert noted(other.vm) == {**NOTED, "description": "db"}
        assert "protected" not in difference(other)["before"]
        back = bring(cell, autostart=False, description="", protected=False)
        assert noted(back.vm) == NOTHING
        assert noted(difference(back)["after"]) == NOTHING
        assert not bring(cell, autostart=False, description="", protected=False).changed

    def test_a_protected_vm_is_not_removed(self, cell: Cell) -> None:
        made = bring(cell, host=KVM0, protected=True)
        refusal = rf"^cannot remove {NAME} on host {KVM0}: it is protected; protected=false, or"
        for act in (foresee, bring):
            with pytest.raises(errors.VmProtected, match=refusal):
                act(cell, state=Presence.ABSENT)
            # Both at once would be no protection.
            with pytest.raises(errors.VmProtected, match=refusal):
                act(cell, state=Presence.ABSENT, protected=False)
        assert [NAME in cell.defined(host) for host in HOSTS] == [True, False]
        assert noted(bring(cell).vm) == noted(made.vm)
        bring(cell, protected=False)
        assert bring(cell, state=Presence.ABSENT).changed

    def test_one_that_is_just_being_made_protected_is_not_cancelled(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, Waiting(wait=False), protected=True)
        for act in (foresee, bring):
            with pytest.raises(errors.VmProtected, match=f"cannot remove {NAME} on host kvm"):
                act(cell, state=Presence.ABSENT)
        assert release_and_bring(cell, protected=True).changed

    def test_what_is_being_made_gets_what_is_noted_afterwards(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, Waiting(wait=False))
        made = release_and_bring(cell, protected=True)
        assert noted(made.vm) == {**NOTHING, "protected": True}
