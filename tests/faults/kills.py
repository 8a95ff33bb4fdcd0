# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments of both workers, of jobs and of the library: real processes all.

A vm is a file here (support/cheap_clone), all around it is real. What counts is whether each
request that the library has begun to hand in ended well, and how often each vm was made.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from maglica.model import new_request_id
from support.client_worker import Worker, environment, eventually
from support.figures import Figure, at_least, at_most, control, reported
from support.host_worker import HostWorker
from support.own_libvirtd import OwnLibvirtd

from . import without
from .frame import Run

TESTS = Path(__file__).resolve().parents[1]
HOSTS = 2
PATIENCE = 300.0
# Requests and kills.
FULL = (10_000, 200)
SHORT = (400, 12)
CONTROL = (240, 16)
VICTIMS = {"client worker": 2, "host worker": 3, "job": 4, "library": 1}


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
        self.library: subprocess.Popen[bytes] | None = None

    def weaken(self, protection: str) -> None:
        """Let the worker that has this protection run without it."""
        for worker in [self.worker] if protection == "durability" else self.hosts:
            weak = without.command(protection, worker.command())
            worker.command = lambda weak=weak: weak  # type: ignore[method-assign]

    def start(self) -> None:
        self.worker.start()
        for host in self.hosts:
            host.start()
        self.start_library()

    def start_library(self) -> None:
        files = (self.library_config, self.folder / "plan", self.folder / "ended")
        path = os.pathsep.join([environment()["PYTHONPATH"], str(TESTS)])
        with (self.folder / "library.log").open("ab") as log:
            self.library = subprocess.Popen(
                [sys.executable, "-m", "faults.submitter", *map(str, files)],
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

    def ended(self) -> Counter[str]:
        """Return how many requests have ended, by state."""
        path = self.folder / "ended"
        lines = path.read_text().splitlines() if path.exists() else []
        last = dict(line.split() for line in lines if len(line.split()) == 2)
        return Counter(last.values())

    def effects(self, what: str) -> Counter[str]:
        """Return how often each vm was "made" or "undone"."""
        lines = (line.split() for host in self.hosts for line in host.effects)
        return Counter(name for effect, name in lines if effect == what)

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
        made = Party(run.folder / what, libvirtd, requests)
        try:
            yield made
        finally:
            made.close()
    finally:
        libvirtd.close()


def mayhem(run: Run, them: Party, kills: int) -> Counter[str]:
    """Kill until all requests have ended, spread over all of them; return who was killed."""
    random = run.random(them.folder.name)
    total = len(them.names)
    killed: Counter[str] = Counter()
    them.start()
    end = time.monotonic() + PATIENCE
    seen = 0
    while them.library is not None and them.library.poll() is None:
        now = sum(them.ended().values())
        if now > seen:
            seen, end = now, time.monotonic() + PATIENCE
        if time.monotonic() > end:
            break
        if killed.total() < kills and now >= killed.total() * total // (kills + 2):
            (victim,) = random.choices([*VICTIMS], [*VICTIMS.values()])
            time.sleep(random.uniform(0, 0.3))
            if them.kill(victim, random.randrange(1000)):
                killed[victim] += 1
                if killed.total() % 20 == 0:
                    run.say(f"{killed.total()} kills, {now} of {total} requests ended")
        else:
            time.sleep(0.02)
    return killed


def outcome(them: Party) -> tuple[int, int, int]:
    """Return how many requests are lost, how many vms were made twice, and what is left over."""
    made, undone = them.effects("made"), them.effects("undone")
    there = Counter(name for host in them.hosts for name in host.made)
    ended = them.ended()
    # Whose job was killed at each of its tries has failed, says so, and must have left nothing.
    expected = len(them.names) - ended["job_died"]
    lost = max(expected - len(there.keys() & set(them.names.values())), expected - ended["done"])
    twice = sum(made[name] > 1 + undone[name] or there[name] > 1 for name in made)
    left = sum(len(host.drafts) for host in them.hosts)
    for host in them.hosts:
        journal = host.journal()
        left += sum(bool(journal.intents(request_id)) for request_id in them.names)
        journal.close()
    return lost, twice, left


def settled(them: Party) -> bool:
    """Tell whether no job is under way any more; those of a killed library end by themselves."""
    return all(not host.drafts for host in them.hosts)


def figures_of_mayhem(run: Run) -> Iterator[Figure]:
    requests, kills = SHORT if run.short else FULL
    with party(run, "kills", requests) as them:
        killed = mayhem(run, them, kills)
        with contextlib.suppress(AssertionError):
            eventually(lambda: settled(them), 30)
        lost, twice, left = outcome(them)
        states = them.ended()
    how = f"{requests} requests, {killed.total()} kills: " + ", ".join(
        f"{count} of {victim}" for victim, count in sorted(killed.items())
    )
    how += f"; ended: {dict(states)}"
    yield at_least("random kill -9: kills", killed.total(), kills, how)
    yield at_most("random kill -9: requests lost", lost, 0, how)
    killed_thrice = states["job_died"]
    yield reported("random kill -9: failed, as each try was killed", killed_thrice, how)
    yield at_most("random kill -9: vms made twice", twice, 0, how)
    yield at_most("random kill -9: drafts and intents left", left, 0, how)


def without_protection(run: Run, protection: str) -> Iterator[Figure]:
    """Do the same with workers that lack one protection."""
    requests, kills = CONTROL
    with party(run, protection, requests) as them:
        them.weaken(protection)
        killed = mayhem(run, them, kills)
        lost, twice, _left = outcome(them)
    how = f"without {protection}, {requests} requests, {killed.total()} kills"
    if protection == "durability":
        yield control("random kill -9: requests lost", lost, how)
    else:
        yield control("random kill -9: vms made twice", twice, how)


def figures(run: Run) -> Iterator[Figure]:
    yield from figures_of_mayhem(run)
    if not run.short:
        yield from without_protection(run, "durability")
        yield from without_protection(run, "known_ids")
