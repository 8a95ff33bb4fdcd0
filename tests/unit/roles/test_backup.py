# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are where whoever runs the playbook says, or nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ...support.role_runs import CHECKOUT, Deployment


def named(role: str, *names: str) -> list[dict[str, Any]]:
    """Return the tasks of these names."""
    tasks = yaml.safe_load((CHECKOUT / "roles" / role / "tasks" / "main.yml").read_text())
    return [task for task in tasks if task["name"] in names]


def naming(role: str) -> list[dict[str, Any]]:
    """Return the tasks that name the backup."""
    return named(role, "Name the backup", "Stop if it does not say in which folder")


def test_a_file_of_which_is_not_said_in_which_folder_is_refused(tmp_path: Path) -> None:
    machine, tasks = Deployment(tmp_path), []
    for role in ("backup", "restore"):
        for file in ("some.tar.gz", "~/some.tar.gz", "/var/some.tar.gz"):
            told = {"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}
            given = {"block": naming(role), "rescue": [told], "vars": {f"{role}_file": file}}
            tasks.append(given)
    went_well, output = machine.run(tasks)
    assert went_well, output
    said = " ".join(output.split())
    assert "rescued=2" in said
    for role in ("backup", "restore"):
        assert (
            f'{role}_file is some.tar.gz: give the whole path, such as -e {role}_file="$PWD/'
            in said
        )


@pytest.mark.parametrize("end", ["", ".part"])
def test_what_is_at_its_place_stays(tmp_path: Path, end: str) -> None:
    machine, backup = Deployment(tmp_path), tmp_path / "some.tar.gz"
    Path(f"{backup}{end}").write_text("theirs")
    looking = named(
        "backup",
        "Look what is at the place of the backup",
        "Stop if there is one",
        "Stop if something is where it is written first",
    )
    went_well, output = machine.run([*naming("backup"), *looking], "-e", f"backup_file={backup}")
    assert not went_well
    assert f"{backup}{end} is there already, and is not overwritten" in " ".join(output.split())
