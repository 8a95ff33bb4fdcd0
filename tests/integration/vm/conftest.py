# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import testdriver
from support.ansible_runs import Ansible
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS


@pytest.fixture(scope="session")
def libvirtds() -> Iterator[list[testdriver.Libvirtd]]:
    with ExitStack() as stack:
        yield [stack.enter_context(testdriver.running()) for _host in HOSTS]


@pytest.fixture
def cell(tmp_path: Path, libvirtds: list[testdriver.Libvirtd]) -> Iterator[SimulatedCell]:
    """A client worker and two hosts with an original image."""
    made = SimulatedCell(tmp_path, libvirtds)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def ansible(checkout: Path, tmp_path: Path, cell: SimulatedCell) -> Ansible:
    return Ansible(checkout, tmp_path, cell)
