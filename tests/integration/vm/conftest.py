# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import pytest
from maglica.cli import main
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


@dataclass
class Ran:
    """How a command line ended."""

    status: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def command(cell: SimulatedCell, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command ``maglica``, for the cell."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        status = main.main(["--config", str(cell.config.path), *words])
        return Ran(status, *capsys.readouterr())

    return run
