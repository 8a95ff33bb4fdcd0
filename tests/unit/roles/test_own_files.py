# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No file that somebody else has written is overwritten, or removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.role_templates import ROLES

from ...support.role_runs import Deployment, include

# What a program may have in it, too.
THEIRS = b"# mine\n\xff\xfe\x00\n"


def of_role(role: str, tasks: str = "main", **variables: Any) -> dict[str, Any]:
    return {
        "ansible.builtin.include_role": {"name": f"maglica.cloud.{role}", "tasks_from": tasks},
        "vars": variables,
    }


def home(folder: Path, name: str, **content: bytes) -> dict[str, str]:
    """Make a user's folder with these files; return the variables that say where it is."""
    (folder / name).mkdir()
    for file, text in content.items():
        (folder / name / file.replace("_", ".")).write_bytes(text)
    return {
        "library_user_dir": f"{folder}/{name}/../{name}/",
        "library_command": f"{folder}/{name}/maglica",
    }


def tried(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task that goes on where this one is refused."""
    said = {"ansible.builtin.debug": {"msg": "It was refused: {{ ansible_failed_result.msg }}"}}
    return {"block": [task], "rescue": [said]}


@pytest.mark.parametrize("mode", [(), ("--check",)])
def test_what_a_user_has_written_stays_and_is_named(tmp_path: Path, mode: tuple[str, ...]) -> None:
    machine = Deployment(tmp_path)
    made = [
        home(tmp_path, "conf", maglica_conf=THEIRS),
        home(tmp_path, "command", maglica=THEIRS),
        home(tmp_path, "link"),
    ]
    (tmp_path / "link" / "maglica").symlink_to(tmp_path / "command" / "maglica")
    tasks = [tried(include("client", **variables)) for variables in made]
    went_well, output = machine.run(tasks, *mode)
    assert went_well, output
    said = " ".join(output.split())
    for file in ("conf/maglica.conf", "command/maglica", "link/maglica"):
        told = f"It was refused: {tmp_path}/{file} on localhost was not written by Maglica"
        assert said.count(told) == 1
    assert "Move it away" in said
    assert (tmp_path / "conf" / "maglica.conf").read_bytes() == THEIRS
    assert (tmp_path / "command" / "maglica").read_bytes() == THEIRS
    left = {
        path.name for name in ("conf", "command", "link") for path in (tmp_path / name).iterdir()
    }
    assert left == {"maglica.conf", "maglica"}


def test_what_maglica_has_written_is_its_own_also_by_an_older_version(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    older = b"#!/bin/sh\n# Ansible managed\n"
    home(tmp_path, "home", maglica_conf=older, maglica=b"# By the role maglica.cloud.library.\n")
    files = [f"{tmp_path}/home/{name}" for name in ("maglica.conf", "maglica", "none")]
    look = include("own_files", library_own_files=files, library_own_advice="")
    assert not machine.deploy([look])


@pytest.mark.parametrize(
    "acts",
    [
        {"client_worker": "main", "host_worker": "main"},
        {"client_worker": "remove_all", "host_worker": "remove"},
    ],
    ids=["deploy", "remove"],
)
def test_a_worker_that_was_installed_by_hand_is_left_alone(
    tmp_path: Path, acts: dict[str, str]
) -> None:
    machine = Deployment(tmp_path)
    machine.variables["library_packages"] = machine.variables["host_worker_packages"] = []
    where = {"maglica_config_dir": str(tmp_path)}
    for worker in acts:
        (tmp_path / f"{worker}.conf").write_bytes(THEIRS)
    tasks = [tried(of_role(worker, act, **where)) for worker, act in acts.items()]
    went_well, output = machine.run(tasks, "--check")
    assert went_well, output
    said = " ".join(output.split())
    for worker in acts:
        told = f"It was refused: {tmp_path}/{worker}.conf on localhost was not written by Maglica"
        assert said.count(told) == 1


def test_nothing_is_put_in_the_place_of_a_client_worker_by_a_restore(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    (tmp_path / "client_worker.conf").write_bytes(THEIRS)
    (tmp_path / "backup.tar.gz").touch()
    machine.variables |= {"maglica_config_dir": str(tmp_path), "client_worker_user": "nobody"}
    restoring = of_role("restore", restore_file=f"{tmp_path}/backup.tar.gz")
    went_well, output = machine.run([restoring], "--check")
    assert not went_well
    told = f"{tmp_path}/client_worker.conf on localhost was not written by Maglica, and stays"
    assert told in " ".join(output.split())
    assert "rescued=0" in output


def looked_at(role: str) -> tuple[set[str], set[str]]:
    """Return which files a role writes as a whole, and of which it looks whose they are."""
    written, looked = set(), set()

    def look(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                look(each)
        elif isinstance(value, dict):
            if "ansible.builtin.template" in value:
                written.add(value["ansible.builtin.template"]["dest"])
            looked.add(str(value.get("vars", {}).get("library_own_files", "")))
            look(list(value.values()))

    for file in sorted((ROLES / role / "tasks").glob("*.yml")):
        look(yaml.safe_load(file.read_text()))
    return written, looked


@pytest.mark.parametrize("role", ["client_worker", "host_worker", "library"])
def test_each_file_that_is_written_as_a_whole_is_looked_at_before(role: str) -> None:
    written, looked = looked_at(role)
    names = {path.rpartition("/")[2].strip("{} ") for path in written}
    assert names
    assert {name for name in names if name not in " ".join(looked)} == set()


def test_each_file_that_is_written_says_so() -> None:
    for template in sorted(ROLES.glob("*/templates/*.j2")):
        role = template.parent.parent.name
        assert f"\n# By the role maglica.cloud.{role}.\n" in template.read_text()
