# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd that dies or hangs costs the host its report, and nothing else."""

from __future__ import annotations

import pytest
from support.client_worker import eventually
from support.host_worker import HOST, Cell


def test_libvirtd_dies_and_comes_back(fragile_cell: Cell) -> None:
    cell = fragile_cell
    cell.start()
    before = cell.status()
    cell.libvirtd.kill()
    eventually(lambda: "libvirtd" in (cell.status().report.problem or ""))
    down = cell.status()
    assert HOST in down.report.problem
    assert down.report.domains == before.report.domains
    eventually(lambda: cell.status().seen > down.seen)
    cell.libvirtd.start()
    eventually(lambda: cell.status().report.problem is None)


@pytest.mark.alone
def test_libvirtd_hangs(fragile_cell: Cell) -> None:
    cell = fragile_cell
    cell.start()
    cell.libvirtd.freeze()
    eventually(lambda: cell.status().report.problem, timeout=30)
    first = cell.status()
    eventually(lambda: cell.status().seen > first.seen + 1)
    assert cell.status().alive
    cell.libvirtd.thaw()
    eventually(lambda: cell.status().report.problem is None)
