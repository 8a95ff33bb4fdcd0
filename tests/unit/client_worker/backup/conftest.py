# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with the files of a client worker, and a backup of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.client_worker.backup import main
from maglica.wire import keys

from ..conftest import Cell

KEY = "k" * 40


class Machine:
    """A machine with a client worker's files, and maybe a journal that is in use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.journal = folder / "journal.sqlite"
        self.ca = folder / "pki"

    def configure(self) -> None:
        (self.folder / "client_worker.conf").write_text(
            "[client_worker]\naddress = cloud.example.jp\n[client_worker_service]\n"
            "secret_key_file = client_worker.key\naccess_file = access\njournal = journal.sqlite\n"
        )

    def install(self) -> None:
        self.configure()
        keys.make(self.folder / "client_worker.key")
        (self.folder / "access.d").mkdir()
        self.register("host-kvm0", "host kvm0 " + KEY)
        (self.folder / "access").write_text(f"host kvm0 {KEY}\n")

    def register(self, name: str, line: str) -> None:
        (self.folder / "access.d" / name).write_text(f"{line}\n")

    def registered(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "access.d").iterdir())

    def make(self, target: Path) -> int:
        config = str(self.folder / "client_worker.conf")
        return main.main(["make", "--config", config, "--ca", str(self.ca), "--to", str(target)])

    def restore(self, source: Path, *more: str) -> int:
        config = str(self.folder / "client_worker.conf")
        return main.main(["restore", str(source), "--config", config, "--ca", str(self.ca), *more])

    def files(self) -> dict[str, bytes]:
        found = self.folder.rglob("*")
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in found
            if path.is_file()
        }


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "old")
    made.install()
    return made


@pytest.fixture
def cell(machine: Machine) -> Iterator[Cell]:
    """A client worker at work on the machine."""
    made = Cell(machine.journal)
    made.configured = frozenset({"kvm0"})
    made.hello("kvm0")
    yield made
    made.journal.close()


@pytest.fixture
def backup(tmp_path: Path, machine: Machine, cell: Cell) -> Path:
    """A backup of a client worker that has one open request."""
    cell.clone("vm0")
    assert machine.make(tmp_path / "backup.tar.gz") == 0
    return tmp_path / "backup.tar.gz"


@pytest.fixture
def other(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "new")
    made.configure()
    return made
