# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that subscribes is published all that it has not acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maglica.client_worker.transactions import REPEAT_SECONDS

if TYPE_CHECKING:
    from .conftest import Cell


def published(cell: Cell) -> int:
    outcome = cell.engine.handle([])
    return sum(len(message.body["requests"]) for _where, message in outcome.publications)


def test_at_once_and_once_a_second_however_often_it_subscribes(cell: Cell) -> None:
    """It would take the turn of all others, for whom its key is not meant."""
    cell.hello()
    for name in ("vm0", "vm1", "vm2"):
        cell.clone(name, memory_mib=16)
    for expected in (3, 0, 0):
        for _time in range(100):
            cell.engine.subscribed("kvm0")
        assert published(cell) == expected
        cell.now += REPEAT_SECONDS / 4
    # One that came too early is not forgotten.
    cell.now += REPEAT_SECONDS
    assert published(cell) == 3
