# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What giving a vm another size must do: one suite for the fake cell and for the real one."""

from __future__ import annotations

import pytest
from maglica.manage import shown as vm_shown
from maglica.manage.target import WaitFor, Waiting
from maglica.verbs.table import Presence
from support.vm_suite import NAME, Cell, bring, foresee


class SizeSuite:
    def test_the_size_of_a_vm_that_is_there(self, cell: Cell) -> None:
        bring(cell, state=Presence.STOPPED)
        sizes = {"vcpus": 3, "memory_mib": 96}
        foreseen = foresee(cell, **sizes)
        changed = bring(cell, **sizes)
        assert changed.vm is not None
        assert changed.changed
        assert (foreseen.before, foreseen.after) == (changed.before, changed.after)
        assert (changed.after["vcpus"], changed.after["memory_mib"]) == (3, 96)
        assert (changed.vm["vcpus"], changed.vm["memory_mib"]) == (3, 96)
        assert (changed.vm["restart_needed"], changed.vm["next_start"]) == (False, None)
        assert not bring(cell, **sizes).changed

    @pytest.mark.parametrize(
        "until", [WaitFor.CLONED, WaitFor.RUNNING], ids=lambda each: each.value
    )
    def test_the_size_of_a_vm_that_runs(self, cell: Cell, until: WaitFor) -> None:
        before = bring(cell, vcpus=2).vm
        sizes = {"vcpus": 3, "memory_mib": 96}
        foreseen = foresee(cell, **sizes)
        patient = Waiting(until=until, timeout=30)
        changed = bring(cell, patient, **sizes)
        unchanged = bring(cell, patient, **sizes)
        assert (changed.changed, unchanged.changed) == (True, False)
        for each in (foreseen, changed, unchanged):
            assert each.vm is not None
            assert (each.vm["vcpus"], each.vm["memory_mib"]) == (2, before["memory_mib"])
            assert (each.vm["restart_needed"], each.vm["next_start"]) == (True, sizes)
            text = vm_shown.restart_warning([each])
            assert f"vm {NAME} on host {each.vm['host']} (it runs with 2 vCPUs and " in text
            assert "and has 3 vCPUs and 96 MiB from its next start on)" in text
        again = Waiting(until=WaitFor.RUNNING, timeout=30)
        foreseen = foresee(cell, state=Presence.RESTARTED, force=True, stop_timeout=1)
        restarted = bring(cell, again, state=Presence.RESTARTED, force=True, stop_timeout=1)
        for each in (foreseen, restarted):
            assert each.vm is not None
            assert {key: each.vm[key] for key in sizes} == sizes
            assert (each.vm["restart_needed"], each.vm["next_start"]) == (False, None)
            assert vm_shown.restart_warning([each]) is None

    def test_a_restart_that_is_allowed(self, cell: Cell) -> None:
        bring(cell, vcpus=2)
        allowed = {"allow_restart": True, "force": True, "stop_timeout": 1}
        foreseen = foresee(cell, vcpus=3, **allowed)
        changed = bring(cell, vcpus=3, **allowed)
        for each in (foreseen, changed):
            assert each.changed
            assert each.vm is not None
            assert (each.vm["vcpus"], each.vm["restart_needed"]) == (3, False)
        assert not bring(cell, vcpus=3, **allowed).changed

    def test_a_restart_for_what_an_earlier_task_has_left(self, cell: Cell) -> None:
        bring(cell, vcpus=2)
        left = bring(cell, vcpus=3)
        allowed = {"allow_restart": True, "force": True, "stop_timeout": 1}
        done = bring(cell, **allowed)
        assert left.vm is not None
        assert done.vm is not None
        assert (left.vm["restart_needed"], done.vm["restart_needed"]) == (True, False)
        assert (done.changed, done.vm["vcpus"]) == (True, 3)
        assert done.before != done.after
        assert not bring(cell, **allowed).changed
