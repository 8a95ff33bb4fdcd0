# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the roles' own tasks on this machine, in a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
LIBRARY = CHECKOUT / "plugins" / "module_utils" / "maglica"
OTHER_KEY = "x" * 40


class Deployment:
    """A folder that stands for /etc and the rest of a machine which is all there is of a cloud."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "access.d").mkdir()
        (folder / "client_worker.pub").write_text(f"{OTHER_KEY}\n")
        self.of_play: dict[str, Any] = {}
        self.groups: dict[str, list[str]] = {}
        self.variables: dict[str, Any] = {
            "ansible_python_interpreter": sys.executable,
            "maglica_python": sys.executable,
            "library_packages": [],
            "maglica_library_dir": str(folder / "library"),
            "library_user_dir": str(folder),
            "maglica_access_dir": str(folder),
            "maglica_client_worker": "localhost",
            "library_command": str(folder / "maglica"),
        }

    def run(self, tasks: list[dict[str, Any]], *options: str, umask: int = -1) -> tuple[bool, str]:
        """Run tasks; return whether they went well, and what was printed."""
        play = {"hosts": "localhost", "gather_facts": False, "vars": self.of_play, "tasks": tasks}
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        return self.play(self.folder / "play.yml", *options, umask=umask)

    def play(
        self, playbook: Path, *options: str, umask: int = -1, **environment: str
    ) -> tuple[bool, str]:
        """Run a playbook; return whether it went well, and what was printed."""
        groups = {name: {"hosts": dict.fromkeys(hosts)} for name, hosts in self.groups.items()}
        inventory = {"all": {"hosts": {"localhost": self.variables}, "children": groups}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "ansible-playbook", playbook),
                *("-i", self.folder / "hosts.yml", "-c", "local", *options),
            ],
            cwd=CHECKOUT,
            env={
                **clean,
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
                "ANSIBLE_NOCOLOR": "1",
                **environment,
            },
            umask=umask,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    def deploy(self, tasks: list[dict[str, Any]], *options: str, umask: int = -1) -> bool:
        """Run tasks that go well; return whether they changed anything."""
        went_well, output = self.run(tasks, *options, umask=umask)
        assert went_well, output
        return "changed=0" not in output

    def registering(self, role: str, name: str, replace: bool) -> dict[str, Any]:
        """Return the task that registers the key."""
        given = {"library_role": role, "library_name": name, "library_replace": replace}
        return include("register", **given)

    @property
    def making(self) -> dict[str, Any]:
        """The task that makes a key."""
        given = {"library_key_owner": "root", "library_key_library": str(LIBRARY)}
        return include("identity", library_key_file=f"{self.folder}/my.key", **given)

    def noting(self, name: str) -> dict[str, Any]:
        """Return a task that keeps what is registered now."""
        return {"ansible.builtin.command": f"cp -r {self.folder}/access.d {self.folder}/{name}"}

    def noted(self, name: str) -> list[str]:
        return sorted(path.read_text().strip() for path in (self.folder / name).iterdir())

    def know(self, line: str) -> None:
        """Have a key registered already."""
        role, name, _key = line.split()
        (self.folder / "access.d" / f"{role}-{name}").write_text(f"{line}\n")

    @property
    def key(self) -> str:
        return (self.folder / "my.pub").read_text().strip()

    @property
    def registered(self) -> list[str]:
        return (self.folder / "access").read_text().splitlines()


def include(tasks: str, **variables: Any) -> dict[str, Any]:
    role = {"name": "maglica.cloud.library", "tasks_from": f"{tasks}.yml"}
    return {"ansible.builtin.include_role": role, "vars": variables}
