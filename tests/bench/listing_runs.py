# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the inventory plugins that are compared. A run that lists too much or too little ends all:
a host that was given up would make it look fast.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support.figures import CHECKOUT

from . import hosts


@dataclass(frozen=True)
class Process:
    """A run of ansible-inventory: its time, and its peak memory in MiB."""

    seconds: float
    memory_mib: float


class Bench:
    """The hosts, and a folder for inventory files."""

    def __init__(self, fleet: hosts.Hosts, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        config = folder / "ansible.cfg"
        config.write_text("[defaults]\n")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT / "tests"),
            "HOME": str(folder),
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_INVENTORY_PLUGINS": str(CHECKOUT / "tests" / "bench" / "inventory_plugins"),
        }

    def ours(self, uris: Sequence[str], name: str = "bench", **options: Any) -> str:
        """Write an inventory file of this collection's plugin; it fails when a host is missing."""
        listed = [{"name": f"kvm{number}", "uri": uri} for number, uri in enumerate(uris)]
        return self._ours(name, source="libvirt", hosts=listed, **options)

    def reported(self, config: Path, name: str = "reported", **options: Any) -> str:
        """Write one that asks the client worker that ``config`` names."""
        return self._ours(name, source="client_worker", config=str(config), **options)

    def _ours(self, name: str, **options: Any) -> str:
        path = self.folder / f"{name}.maglica.yml"
        document = {"plugin": "maglica.cloud.maglica", "on_host_error": "fail", **options}
        path.write_text(yaml.safe_dump(document))
        return str(path)

    def theirs(self, uris: Sequence[str]) -> list[str]:
        """Write the files of community.libvirt's plugin, which has one host in each."""
        paths = []
        for number, uri in enumerate(uris):
            path = self.folder / f"kvm{number}.libvirt.yml"
            path.write_text(yaml.safe_dump({"plugin": "community.libvirt.libvirt", "uri": uri}))
            paths.append(str(path))
        return paths

    def floor(self, ours: str, found: int) -> str:
        """Write an inventory file of the plugin that has the inventory ``ours`` from memory."""
        listed = Path(f"{ours}.json")
        self.process(ours, found=found, output=listed)
        path = Path(f"{ours}.floor.yml")
        path.write_text(yaml.safe_dump({"plugin": "bench_floor", "listed": str(listed)}))
        return str(path)

    def rounds(
        self, count: int, ours: str, theirs: Sequence[str], *, found: int
    ) -> list[tuple[float, float]]:
        """Return what both plugins took, in seconds, for each round; both must list ``found``."""
        done = subprocess.run(
            [sys.executable, "-m", "bench.probe", str(count), str(found), ours, *theirs],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return list(map(tuple, json.loads(done.stdout)))

    def process(self, *files: str, found: int, output: Path | None = None) -> Process:
        """Run ansible-inventory --list on the files, which must list so many inventory hosts.

        What it prints is kept in ``output``.
        """
        command = [str(Path(sys.executable).parent / "ansible-inventory"), "--list"]
        for file in files:
            command += ["--inventory", file]
        listed = output or self.folder / "stdout"
        said = self.folder / "stderr"
        with listed.open("wb") as out, said.open("wb") as err:
            started = time.perf_counter()
            child = subprocess.Popen(command, env=self.environment, stdout=out, stderr=err)
            _pid, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        text = said.read_text(errors="replace")
        if child.returncode or "Failed to parse" in text:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {text}")
        there = len(json.loads(listed.read_bytes())["_meta"]["hostvars"])
        if there != found:
            raise SystemExit(f"{' '.join(command)} lists {there} hosts instead of {found}: {text}")
        return Process(seconds, usage.ru_maxrss / 1024)
