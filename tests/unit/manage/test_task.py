# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites on a fake cell; tests/integration has them on a real one."""

from __future__ import annotations

import pytest
from maglica.manage.target import Waiting
from maglica.model import errors
from maglica.model.request import State
from support.vm_beside_suite import BesideSuite
from support.vm_fake import FakeCell
from support.vm_joined_suite import JoinedSuite
from support.vm_suite import VmSuite, bring, foresee, release_and_bring


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


class TestFakeCell(VmSuite, JoinedSuite, BesideSuite):
    pass


def test_what_is_being_cancelled_is_made_anew(cell: FakeCell) -> None:
    cell.hold()
    first = bring(cell, Waiting(wait=False))
    assert first.request is not None
    assert cell.client.cancel(first.request.id).cancelling
    foreseen = foresee(cell)
    assert (foreseen.changed, foreseen.before) == (True, {"state": "absent"})
    with pytest.raises(errors.RequestConflict, match=f"{first.request.id}.* being cancelled"):
        bring(cell, Waiting(wait=False))
    made = release_and_bring(cell)
    assert made.vm is not None
    assert (made.changed, made.before, made.vm["state"]) == (True, foreseen.before, "running")
    assert made.request is not None
    assert made.request.id != first.request.id
    assert made.request.state is State.DONE
