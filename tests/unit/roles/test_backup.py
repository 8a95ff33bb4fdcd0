# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are where whoever runs the playbook says, from the folder that he is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ...support.role_runs import CHECKOUT, Deployment


def task(role: str, name: str) -> dict[str, Any]:
    tasks = yaml.safe_load((CHECKOUT / "roles" / role / "tasks" / "main.yml").read_text())
    return next(dict(task) for task in tasks if task["name"] == name)


def test_a_file_without_a_folder_is_in_the_one_that_the_user_is_in(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    (here / "old.tar.gz").touch()
    machine.of_play = {"backup_file": "new.tar.gz", "restore_file": "old.tar.gz"}
    steps = [
        task("backup", "Name the backup"),
        {"ansible.builtin.file": {"path": "{{ backup_path }}", "state": "touch"}},
        *(task("restore", name) for name in ("Name the backup", "Look for the backup")),
        task("restore", "Stop if there is none"),
    ]
    play = {"hosts": "localhost", "gather_facts": False, "vars": machine.of_play, "tasks": steps}
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    went_well, output = machine.play(playbook, PWD=str(here))
    assert went_well, output
    assert {file.name for file in here.iterdir()} == {"new.tar.gz", "old.tar.gz"}
