# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible commands run in the checkout, for a cell of simulated hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from support.simulated_host import SimulatedCell

BIN = Path(sys.executable).parent


class Run:
    """A finished Ansible command; ``results`` are those of its tasks, by host."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.errors = done.stderr
        self.output = done.stdout

    def results(self) -> list[tuple[str, dict[str, Any]]]:
        lines = self.output.splitlines()
        return [json.loads(line[7:]) for line in lines if line.startswith("RESULT ")]

    def result(self) -> dict[str, Any]:
        ((_host, result),) = self.results()
        return result


class Ansible:
    """Runs commands in the checkout, for a cell."""

    def __init__(self, checkout: Path, folder: Path, cell: SimulatedCell) -> None:
        self.checkout = checkout
        self.folder = folder
        self.config = str(cell.config.path)
        # Not the checkout's own cloud; and "localhost" is then the implicit one.
        self.inventory = folder / "nobody.ini"
        self.inventory.write_text("[nobody]\n")
        self.variables = {"ansible_python_interpreter": sys.executable}

    def run(self, *command: str, **environment: str) -> Run:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MAGLI"))}
        done = subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.checkout,
            env={
                **inherited,
                "ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg"),
                "ANSIBLE_STDOUT_CALLBACK": "results",
                "ANSIBLE_CALLBACK_PLUGINS": str(self.checkout / "tests" / "support" / "callbacks"),
                "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
                "ANSIBLE_INVENTORY": str(self.inventory),
                "ANSIBLE_LOCALHOST_WARNING": "0",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return Run(done)

    def ad_hoc(self, module: str, *options: str, **arguments: object) -> Run:
        given = json.dumps({"config": self.config, **arguments})
        local = ["-c", "local", "-e", json.dumps(self.variables)]
        return self.run("ansible", "localhost", "-m", module, *local, *options, "-a", given)

    def play(self, content: list[dict[str, Any]], *options: str, **environment: str) -> Run:
        path = self.folder / "play.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return self.run("ansible-playbook", str(path), *options, **environment)


def examples(checkout: Path, module: str) -> list[dict[str, Any]]:
    """Return the examples of a module's documentation."""
    source = (checkout / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(source.split('EXAMPLES = r"""')[1].split('"""')[0])
    return found
