# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites where nobody but the client worker tells what runs on the hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import testdriver
from support.reporting_cell import ReportingCell
from support.vm_adopt_suite import AdoptSuite
from support.vm_beside_suite import BesideSuite
from support.vm_joined_suite import JoinedSuite
from support.vm_size_suite import SizeSuite
from support.vm_suite import VmSuite
from support.vms_suite import VmsSuite


@pytest.fixture
def cell(tmp_path: Path, libvirtds: list[testdriver.Libvirtd]) -> Iterator[ReportingCell]:
    made = ReportingCell(tmp_path, libvirtds)
    try:
        made.start()
        yield made
    finally:
        made.close()


class TestByReports(VmSuite, JoinedSuite, BesideSuite, SizeSuite, AdoptSuite):
    pass


class TestManyByReports(VmsSuite):
    pass
