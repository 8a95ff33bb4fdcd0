# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks, media and the boot order of a vm in a whole task, on a fake cell."""

from __future__ import annotations

from typing import Any

import pytest
from support.vm_fake import FakeCell
from support.vm_suite import bring, foresee


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


DISKS = [{"name": "data", "size_mib": 512}, {"name": "more", "size_mib": 1}]
HARDWARE: dict[str, Any] = {
    "disks": DISKS,
    "cdrom": {"path": "/srv/a.iso"},
    "boot_order": ["cdrom", "disk"],
}


def test_a_new_vm_has_all_of_it_and_the_next_task_nothing_to_do(cell: FakeCell) -> None:
    foreseen = foresee(cell, **HARDWARE)
    made = bring(cell, **HARDWARE)
    assert made.error is None
    shown = {"disk data", "disk more", "cdrom", "boot_order"}
    assert {key: made.after[key] for key in shown} == {key: foreseen.after[key] for key in shown}
    assert made.vm is not None
    assert [disk["name"] for disk in made.vm["disks"]] == ["data", "more", None]
    again = bring(cell, **HARDWARE)
    assert (again.changed, again.request) == (False, None)


def test_one_that_is_there_gets_it_step_by_step(cell: FakeCell) -> None:
    bring(cell)
    foreseen = foresee(cell, **HARDWARE)
    changed = bring(cell, **HARDWARE)
    assert changed.error is None
    assert (foreseen.before, foreseen.after) == (changed.before, changed.after)
    assert not bring(cell, **HARDWARE).changed
    larger = bring(cell, disks=[{"name": "data", "size_mib": 1024}])
    assert larger.after["disk data"] == {"size_mib": 1024}
    less = bring(cell, disks=[{"name": "more", "present": False, "keep": True}])
    assert less.vm is not None
    assert less.vm["kept_disks"] == ["more"]
    out = bring(cell, cdrom={"present": False})
    assert (out.before["cdrom"], out.after["cdrom"]) == ("/srv/a.iso", None)
    for said in ({"disks": [{"name": "more", "present": False, "keep": True}]}, {"cdrom": None}):
        assert not bring(cell, **said).changed
