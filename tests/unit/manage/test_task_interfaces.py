# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces of a vm in a whole task, on a fake cell."""

from __future__ import annotations

from typing import Any

import pytest
from maglica.manage.shown import restart_warning
from maglica.verbs.table import Presence
from support.vm_fake import FakeCell
from support.vm_suite import bring, foresee

MAC = "52:54:00:00:00:0c"
ASKED: list[dict[str, Any]] = [
    {"network": "lan", "model": "e1000", "link": "down"},
    {"bridge": "br0", "mac": MAC, "vlan": [5], "virtualport": "openvswitch"},
]


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


def test_a_new_vm_has_them_and_the_next_task_nothing_to_do(cell: FakeCell) -> None:
    made = bring(cell, interfaces=ASKED)
    assert made.error is None
    assert made.vm is not None
    shown = [(nic["network"], nic["model"], nic["link"]) for nic in made.vm["interfaces"]]
    assert shown == [("lan", "e1000", "down"), ("br0", None, "up")]
    again = bring(cell, interfaces=ASKED)
    assert (again.changed, again.request, again.kept) == (False, None, ())


def test_one_that_is_there_gets_them_step_by_step(cell: FakeCell) -> None:
    bring(cell)
    foreseen = foresee(cell, interfaces=ASKED, allow_restart=True)
    changed = bring(cell, interfaces=ASKED, allow_restart=True)
    assert changed.error is None
    assert (foreseen.before, foreseen.after) == (changed.before, changed.after)
    assert changed.vm is not None
    assert len(changed.vm["interfaces"]) == 2
    assert not bring(cell, interfaces=ASKED).changed
    gone = bring(cell, interfaces=[{"mac": MAC, "present": False}])
    assert gone.after[f"interface {MAC}"] is None
    assert not bring(cell, interfaces=[{"mac": MAC, "present": False}]).changed


def test_what_waits_for_the_next_start_is_told(cell: FakeCell) -> None:
    bring(cell)
    waiting = bring(cell, interfaces=[{"mac": MAC}])
    assert waiting.vm is not None
    assert waiting.vm["restart_needed"] is True
    assert [nic["mac"] for nic in waiting.vm["next_start"]["interfaces"]] == [MAC]
    assert [nic["mac"] for nic in waiting.vm["interfaces"]] != [MAC]
    told = restart_warning([waiting])
    assert told is not None
    assert "(it has other interfaces from its next start on)" in told
    assert not bring(cell, interfaces=[{"mac": MAC}]).changed
    done = bring(cell, state=Presence.RESTARTED)
    assert done.vm is not None
    assert [nic["mac"] for nic in done.vm["interfaces"]] == [MAC]
    assert (done.vm["restart_needed"], done.vm["next_start"]) == (False, None)
