# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of the library a machine keeps, and what is kept for the way back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "library" / "files" / "versions.py"
OLDEST, OLD, NEW = ("0" * 12, "1" * 12, "2" * 12)


class Machine:
    """A folder of versions, and one of units."""

    def __init__(self, folder: Path) -> None:
        self.library, self.units = folder / "library", folder / "units"
        self.library.mkdir()
        self.units.mkdir()
        self.files = [self.units / "maglica-host-worker.service", folder / "host_worker.conf"]

    def install(self, version: str, made: int) -> None:
        (self.library / version / "maglica").mkdir(parents=True)
        (self.library / version / "maglica" / "run.py").touch()
        os.utime(self.library / version, (made, made))

    def switch(self, version: str, worker: str = "host") -> None:
        (self.library / "current").unlink(missing_ok=True)
        (self.library / "current").symlink_to(version)
        unit = f"ExecStart=python3 {self.library}/{version}/maglica/run.py maglica.x.main\n"
        (self.units / f"maglica-{worker}-worker.service").write_text(unit)

    def keep(self, version: str, check: str = "make") -> list[str]:
        return self._run("keep", self.library, version, check, *self.files)

    def prune(self, check: str = "remove") -> list[str]:
        return self._run("prune", self.library, check, self.units)

    @property
    def versions(self) -> list[str]:
        return sorted(path.name for path in self.library.iterdir() if path.name != "current")

    def _run(self, *words: object) -> list[str]:
        command = [sys.executable, "-Ic", SCRIPT.read_text(), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [Path(line).name for line in done.stdout.split()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    for age, version in enumerate((OLDEST, OLD, NEW), start=1):
        made.install(version, age)
    return made


def test_the_last_two_versions_stay(machine: Machine) -> None:
    machine.switch(NEW)
    assert machine.prune("check") == [OLDEST]
    assert machine.versions == [OLDEST, OLD, NEW]
    assert machine.prune() == [OLDEST]
    assert machine.prune() == []
    assert machine.versions == [OLD, NEW]


def test_the_version_that_was_in_use_last_stays_not_the_one_made_last(machine: Machine) -> None:
    machine.switch(OLDEST)
    machine.files[1].write_text("[host_worker]\n")
    assert machine.keep(NEW)
    machine.switch(NEW)
    assert machine.prune() == [OLD]


def test_what_the_other_worker_of_the_machine_runs_stays(machine: Machine) -> None:
    machine.switch(OLDEST, "client")
    machine.switch(NEW, "host")
    assert machine.prune() == [OLD]


def test_a_machine_that_has_none_has_none_to_remove(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.library.rmdir()
    assert machine.prune() == machine.keep(NEW) == []


def test_what_is_no_version_stays(machine: Machine) -> None:
    machine.switch(NEW)
    (machine.library / ("a" * 12)).mkdir()
    (machine.library / "notes").mkdir()
    (machine.library / ("b" * 12)).symlink_to(OLDEST)
    assert machine.prune() == [OLDEST]
    assert {"a" * 12, "notes", "b" * 12} <= set(machine.versions)


def test_what_the_version_before_ran_with_is_kept_for_the_way_back(machine: Machine) -> None:
    machine.switch(OLD)
    machine.files[1].write_text("[host_worker]\nname = kvm0\n")
    names = ["maglica-host-worker.service", "host_worker.conf"]
    assert machine.keep(NEW, "check") == names
    ran_with = machine.library / OLD / "ran-with"
    assert not ran_with.exists()
    assert machine.keep(NEW) == names
    assert machine.keep(NEW) == []
    for file in machine.files:
        assert (ran_with / file.name).read_bytes() == file.read_bytes()
    # The same version again: what is there is its own.
    machine.switch(NEW)
    machine.files[1].write_text("[host_worker]\nname = kvm0\nnew = option\n")
    assert machine.keep(NEW) == []
    assert (ran_with / "host_worker.conf").read_text() == "[host_worker]\nname = kvm0\n"


@pytest.mark.parametrize("current", [None, "f" * 12, "elsewhere"])
def test_without_a_version_before_nothing_is_kept(machine: Machine, current: str | None) -> None:
    machine.files[0].touch()
    if current:
        machine.switch(current)
    assert machine.keep(NEW) == []
