# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All processes of a run in which any of them may be killed: both workers, jobs and the library."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from maglica.model.request import new_request_id
from support.client_worker import Worker, environment
from support.host_worker import HostWorker
from support.own_libvirtd import OwnLibvirtd

from . import without
from .frame import Run

TESTS = Path(__file__).resolve().parents[1]
HOSTS = 2
# No report shows a cheap vm, so that the client worker keeps its disk reserved for a minute.
MORE_POOLS = 8


class Party:
    """All processes of one run."""

    def __init__(self, folder: Path, libvirtd: OwnLibvirtd, requests: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.worker = Worker(folder)
        self.hosts = []
        for number in range(HOSTS):
            name = f"kvm{number}.example.jp"
            host = HostWorker(folder / f"host{number}", self.worker, libvirtd.uri, name=name)
            host.allow()
            self.hosts.append(host)
        self.library_config = self.worker.library("alice")
        self.names = {new_request_id(): f"vm{number}.example.jp" for number in range(requests)}
        plan = "".join(
            json.dumps({"id": request_id, "name": name}) + "\n"
            for request_id, name in self.names.items()
        )
        (folder / "plan").write_text(plan)
        self.allow(0)
        self.library: subprocess.Popen[bytes] | None = None
        self._library_without = ""

    def weaken(self, protection: str) -> None:
        """Let the worker that has this protection run without it."""
        if protection == "intents":
            for host in self.hosts:
                host.environment["CHEAP_WITHOUT_INTENTS"] = "1"
            return
        if protection == "handing_in":
            self._library_without = protection
            return
        for worker in [self.worker] if protection == "durability" else self.hosts:
            weak = without.command(protection, worker.command())
            worker.command = lambda weak=weak: weak  # type: ignore[method-assign]

    def allow(self, count: int) -> None:
        """Let the library hand in so many of the requests, all in all."""
        (self.folder / "allowed.new").write_text(str(count))
        (self.folder / "allowed.new").rename(self.folder / "allowed")

    def start(self) -> None:
        self.worker.start()
        for host in self.hosts:
            host.start()

    def start_library(self) -> None:
        names = ("plan", "allowed", "ended")
        files = (self.library_config, *(self.folder / name for name in names))
        path = os.pathsep.join([environment()["PYTHONPATH"], str(TESTS)])
        with (self.folder / "library.log").open("ab") as log:
            command = [sys.executable, "-m", "faults.submitter", *map(str, files)]
            if self._library_without:
                command = without.command(self._library_without, command)
            self.library = subprocess.Popen(
                command,
                env=environment(PYTHONPATH=path),
                stdout=log,
                stderr=log,
            )

    def kill(self, victim: str, number: int) -> bool:
        """Kill one process, and start it again as systemd does; return whether it was there."""
        host = self.hosts[number % HOSTS]
        if victim == "client worker":
            self.worker.stop(signal.SIGKILL)
            self.worker.start()
        elif victim == "host worker":
            host.stop(signal.SIGKILL)
            host.start()
        elif victim == "job":
            children = host.children()
            if not children:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(children[number % len(children)], signal.SIGKILL)
        elif self.library is not None:
            self.library.kill()
            self.library.wait()
            self.start_library()
        return True

    def ended(self) -> dict[str, str]:
        """Return the state, or the failure's code, of each request that has ended, by id."""
        path = self.folder / "ended"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split() for line in lines if len(line.split()) == 2)

    def effects(self, what: str) -> Counter[str]:
        """Return how often each vm was "made" or "undone"."""
        lines = (line.split() for host in self.hosts for line in host.effects)
        return Counter(name for effect, name in lines if effect == what)

    def there(self) -> Counter[str]:
        """Return on how many hosts each vm is."""
        return Counter(name for host in self.hosts for name in host.made)

    def twice(self) -> int:
        """Return how many vms were made more often than they were undone, and once."""
        made, undone, there = self.effects("made"), self.effects("undone"), self.there()
        return sum(made[name] > 1 + undone[name] or there[name] > 1 for name in made)

    def close(self) -> None:
        if self.library is not None:
            self.library.kill()
            self.library.wait()
        for host in self.hosts:
            host.close()
        self.worker.close()


@contextlib.contextmanager
def party(run: Run, what: str, requests: int) -> Iterator[Party]:
    libvirtd = OwnLibvirtd()
    try:
        libvirtd.start()
        libvirtd.add_pools(MORE_POOLS)
        made = Party(run.folder / what, libvirtd, requests)
        try:
            yield made
        finally:
            made.close()
    finally:
        libvirtd.close()
