# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No folder of somebody's is taken over, and of none is removed what Maglica has not made."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.host_worker import macs
from support.authority import Authority

from ...support.role_runs import CHECKOUT, Deployment, include

MODE = 0o751


def made_by(role: str, file: str, folder: str) -> dict[str, Any]:
    """Return the task of a role that makes a folder, or removes what is in it."""
    tasks = yaml.safe_load((CHECKOUT / "roles" / role / "tasks" / file).read_text())
    said = [task for task in tasks if folder in str(task.get("vars", {}).values())]
    return dict(said[0])


def test_a_folder_of_somebody_s_is_left_as_it_is(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    tasks: list[dict[str, Any]] = []
    for name, content in (
        ("new", None),
        ("empty", ""),
        ("theirs", "notes"),
        ("ours", "mark.db"),
        ("top", "lost+found"),
    ):
        folder = tmp_path / name
        if content is not None:
            folder.mkdir(mode=MODE)
        if content:
            (folder / content).touch()
        given = {"mark": "mark", "mode": "0700", "setting": "some_dir", "folder": str(folder)}
        task = include("folder", **{f"library_own_{key}": value for key, value in given.items()})
        tasks.append({"block": [task], "rescue": [{"ansible.builtin.debug": {"msg": "refused"}}]})
    _went_well, output = machine.run(tasks)
    said = " ".join(output.split())
    assert f"{tmp_path}/theirs on localhost has notes in it, and nothing that Maglica" in said
    assert said.count("msg: refused") == 1
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777 for name in ("new", "empty", "ours", "top")
    }
    assert modes == dict.fromkeys(modes, 0o700)
    assert (tmp_path / "theirs").stat().st_mode & 0o777 == MODE


def test_a_removal_takes_nothing_from_a_folder_without_what_maglica_makes(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    removing = {
        "host_worker_state_dir": made_by("host_worker", "remove.yml", "host_worker_state_dir"),
        "certificates_ca_dir": made_by("certificates", "remove.yml", "certificates_ca_dir"),
    }
    kept = {"host_worker_state_dir": "images", "certificates_ca_dir": "cakey.pem"}
    marks = {"host_worker_state_dir": "host_worker.sqlite-wal", "certificates_ca_dir": "lock"}
    for setting, name in kept.items():
        for whose in ("theirs", "ours"):
            (tmp_path / whose / setting).mkdir(parents=True)
            (tmp_path / whose / setting / name).touch()
        (tmp_path / "ours" / setting / marks[setting]).touch()
    # What the worker notes for its jobs, and the next one on its way to its place.
    for name in (macs.FILE, f"{macs.FILE}.new"):
        (tmp_path / "ours/host_worker_state_dir" / name).touch()
    for whose in ("theirs", "ours"):
        for setting, task in removing.items():
            variables = {**task["vars"], setting: str(tmp_path / whose / setting)}
            machine.deploy([{**task, "vars": variables}])
    assert not list((tmp_path / "ours").iterdir())
    left = {path.parent.name: path.name for path in (tmp_path / "theirs").glob("*/*")}
    assert left == kept


def test_a_removal_takes_all_that_an_authority_leaves_which_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, authority = Deployment(tmp_path), Authority(tmp_path / "ca")
    hanging_up = tmp_path / "openssl"
    hanging_up.write_text(
        f'#!/bin/sh\ncase "$*" in *-gencrl*) kill -HUP $PPID; exit 1 ;; esac\n'
        f'exec {shutil.which("openssl")} "$@"\n'
    )
    hanging_up.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert authority.try_to("prepare").returncode < 0
    names = {file.name for file in authority.folder.iterdir()}
    assert {"cakey.pem", "cacert.pem", "index.txt", "crlnumber"} <= names
    # Of any file the next one may be there, on its way to its place.
    for name in names - {"lock", "issued"}:
        (authority.folder / f"{name.replace('.old', '')}.new").touch()
    # And of one that was to be put back.
    (tmp_path / ".ca.part").mkdir()
    role = {"name": "maglica.cloud.certificates", "tasks_from": "remove.yml"}
    machine.variables["certificates_ca_dir"] = str(authority.folder)
    machine.deploy([{"ansible.builtin.include_role": role}])
    assert not authority.folder.exists()
    assert not (tmp_path / ".ca.part").exists()


@pytest.mark.parametrize("left", ["ca", "sasl"])
def test_a_folder_of_configuration_is_maglica_s_also_with_little_left(left: str) -> None:
    shared = yaml.safe_load((CHECKOUT / "roles" / "library" / "vars" / "main.yml").read_text())
    assert re.match(shared["library_config_mark"], left)


def test_only_folders_that_have_the_library_in_them_are_versions_of_it(tmp_path: Path) -> None:
    machine = Deployment(tmp_path)
    theirs, ours = (tmp_path / "library" / (digit * 12) for digit in "0f")
    theirs.mkdir(parents=True)
    (theirs / "data").touch()
    removing = include("remove", library_other_service="none", maglica_config_dir=f"{tmp_path}/c")
    machine.deploy([removing])
    (ours / "maglica").mkdir(parents=True)
    (ours.parent / "current").symlink_to(ours.name)
    machine.deploy([removing])
    assert [path.name for path in ours.parent.iterdir()] == [theirs.name]


def test_a_removal_takes_each_journal_that_a_restore_has_kept(tmp_path: Path) -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/client_worker/tasks/remove_all.yml").read_text())
    names = [task["name"] for task in tasks]
    first, last = names.index("Stop the client worker"), names.index("Remove the journal")
    state = tmp_path / "state"
    state.mkdir()
    for end in ("", ".replaced", ".replaced-wal", ".replaced-1", ".replaced-1-wal"):
        (state / f"client_worker.sqlite{end}").touch()
    (state / ".client_worker.sqlite.part").touch()
    machine = Deployment(tmp_path)
    machine.variables["client_worker_state_dir"] = str(state)
    machine.deploy(tasks[first + 1 : last + 1])
    assert not state.exists()
