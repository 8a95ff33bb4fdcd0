# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authority is where certificates_ca_dir says, for all who speak with it, and in backups."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from support.role_runs import Deployment

# Stands for the program that makes backups and puts them back.
NOTING = """\
#!/bin/sh
echo "$*" >> {folder}/told
echo '{{"requests": 0, "made": "now"}}'
"""


def role(name: str, tasks: str, **variables: Any) -> dict[str, Any]:
    named = {"name": f"maglica.cloud.{name}", "tasks_from": f"{tasks}.yml"}
    return {"ansible.builtin.include_role": named, "vars": variables}


def test_whoever_speaks_with_it_finds_it_where_its_machine_was_told(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    machine.variables["maglica_client_worker"] = "its.example.jp"
    its = {
        "name": "its.example.jp",
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "maglica_python": sys.executable,
        "certificates_ca_dir": f"{tmp_path}/elsewhere",
    }
    asking = role("certificates", "ask", certificates_verb="prepare", certificates_question={})
    assert machine.deploy([{"ansible.builtin.add_host": its}, asking])
    assert (tmp_path / "elsewhere" / "cacert.pem").exists()
    assert not (tmp_path / "ca").exists()


def test_it_is_in_backups_and_is_put_back_and_looked_at(tmp_path: Path) -> None:
    machine, program = Deployment(tmp_path), tmp_path / "library/current/maglica/client_worker"
    (program / "backup").mkdir(parents=True)
    (program / "backup" / "main.py").touch()
    (tmp_path / "elsewhere").mkdir()
    for file in ("client_worker.conf", "backup.tar.gz", "elsewhere/cacert.pem"):
        (tmp_path / file).touch()
    python = tmp_path / "python"
    python.write_text(NOTING.format(folder=tmp_path))
    python.chmod(0o755)
    machine.groups = {"maglica_client_worker": ["localhost"]}
    machine.variables |= {
        "certificates_ca_dir": f"{tmp_path}/elsewhere",
        "maglica_config_dir": str(tmp_path),
        "maglica_python": str(python),
        "backup_file": f"{tmp_path}/new.tar.gz",
        "restore_force": False,
        "restore_path": f"{tmp_path}/backup.tar.gz",
    }
    shown = {"ansible.builtin.debug": {"var": "library_looked.stdout"}}
    tasks = [role("backup", "main"), role("restore", "put_back"), role("library", "look"), shown]
    went_well, output = machine.run(tasks, "--check")
    assert went_well, output
    places = [line.partition(" --ca ")[2].split()[0] for line in (tmp_path / "told").open()]
    assert places == [f"{tmp_path}/elsewhere"] * 2
    assert f"certificate {tmp_path}/elsewhere/cacert.pem" in output
