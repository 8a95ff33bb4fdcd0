# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker's journal is lost while requests are in all states, with a backup or without.

Real: the client worker, two host workers with their children, the library's clients that wait. The
clones' own work is cheap. ``python -m faults.lost_journal`` in tests/ writes
build/figures/lost-journal.json; its control has hosts that tell a new journal nothing.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from maglica.config import config
from maglica.model.errors import MaglicaError
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.clone import CloneSpec
from maglica.wire.client import Client
from support.client_worker import Worker, environment, eventually, is_ready
from support.figures import Figure, at_most, control, write
from support.host_worker import HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.reports import IMAGE

HOSTS = ("kvm0.example.jp", "kvm1.example.jp")
# So many wait together, as the vms of one task do.
TOGETHER = 10
PATIENCE = 300.0
# How long the new client worker runs before the host is back that was away when the old one died.
AWAY_SECONDS = 1.0
STEPS = ("before", "intended", "copied", "defined")
_PASSWORD = "$6$saltsalt$" + "x" * 86
PROGRAM = [sys.executable, "-m", "maglica.client_worker.backup.main"]


@dataclass(frozen=True)
class Outcome:
    """How many requests were ``lost`` or ``unlisted`` and vms made ``double``, and how many were in
    each state when the journal was lost.
    """

    requests: int
    lost: int
    double: int
    unlisted: int
    states: dict[str, int]
    seconds: float


class Users:
    """Tasks that hand in clones and wait for them, each in a thread."""

    def __init__(self, library: Path) -> None:
        self._config = config.load(library)
        self._threads: list[threading.Thread] = []
        self.states: dict[str, str] = {}
        self.submitted: list[Request] = []

    def ask(self, names: list[str]) -> None:
        """Have these made; return when all are accepted."""
        before = len(self.submitted)
        for first in range(0, len(names), TOGETHER):
            mine = names[first : first + TOGETHER]
            thread = threading.Thread(target=self._run, args=(mine,), daemon=True)
            thread.start()
            self._threads.append(thread)
        eventually(lambda: len(self.submitted) == before + len(names))

    def _run(self, names: list[str]) -> None:
        specs = [
            CloneSpec(
                name=name,
                image=IMAGE,
                start=False,
                root_password=_PASSWORD if number % 3 else None,
            )
            for number, name in enumerate(names)
        ]
        requests = [Request(new_request_id(), spec) for spec in specs]
        try:
            with Client(self._config) as client:
                accepted = client.submit_all(requests)
                self.submitted += accepted
                found = client.wait_all([each.id for each in accepted], PATIENCE)
            for request in accepted:
                self.states[request.name] = found[request.id].state.value
        except MaglicaError as error:
            self.states.update({name: error.code for name in names if name not in self.states})

    def over(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)


class Cell:
    """A client worker whose journal is lost, and two hosts."""

    def __init__(self, folder: Path, stack: ExitStack, tells: bool) -> None:
        (folder / "client").mkdir()
        self.worker = Worker(folder / "client")
        stack.callback(self.worker.close)
        self.hosts = []
        for name in HOSTS:
            libvirtd = OwnLibvirtd()
            stack.callback(libvirtd.close)
            libvirtd.start()
            host = HostWorker(folder / name, self.worker, libvirtd.uri, name=name)
            stack.callback(host.close)
            host.allow()
            if not tells:
                host.environment["WITHOUT_FEATURES"] = "1"
            self.hosts.append(host)
        self.library = self.worker.library("alice")
        self.backup = folder / "backup.tar.gz"

    def start(self) -> None:
        self.worker.start()
        for host in self.hosts:
            host.start()
        with self.client() as client:
            eventually(lambda: sum(is_ready(each) for each in client.hosts()) == len(HOSTS))

    @contextmanager
    def client(self) -> Iterator[Client]:
        with Client(config.load(self.library)) as client:
            yield client

    def ended(self) -> int:
        with self.client() as client:
            ended = [state for state in State if state.ended]
            return len(client.list(ended, 1000))

    def back_up(self) -> None:
        conf = str(self.worker.config_file)
        self._run("make", "--config", conf, "--ca", "/nonexistent", "--to", str(self.backup))

    def lose(self, restored: bool) -> None:
        """Kill the client worker, and lose its journal, or all; go on with an empty one, or with
        the backup.
        """
        self.worker.stop(signal.SIGKILL)
        folder = self.worker.folder
        for path in folder.glob("journal.sqlite*"):
            path.unlink()
        if restored:
            for name in ("client_worker.key", "client_worker.pub", "access"):
                (folder / name).unlink()
            conf = str(self.worker.config_file)
            self._run("restore", str(self.backup), "--config", conf, "--ca", str(folder / "ca"))
            self.worker.write_access()
        self.worker.start()

    def _run(self, *arguments: str) -> None:
        subprocess.run([*PROGRAM, *arguments], env=environment(), check=True, capture_output=True)


def run(folder: Path, requests: int, seed: int, *, restored: bool, tells: bool = True) -> Outcome:
    """Lose the journal of a cell with this many requests; return what came of it.

    ``tells``: whether hosts tell a new journal what they know.
    """
    began = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - a test repeats it
    names = [f"vm{number}.example.jp" for number in range(requests)]
    chance.shuffle(names)
    quarter = requests // 4
    waves = [names[n * quarter : (n + 1) * quarter] for n in range(3)] + [names[3 * quarter :]]
    with ExitStack() as stack:
        cell = Cell(folder, stack, tells)
        cell.start()
        users = Users(cell.library)
        users.ask(waves[0])
        eventually(lambda: cell.ended() == len(waves[0]))
        # From here on the hosts stop at some of them, in the middle.
        stops = chance.sample(waves[1], max(2, quarter // 4))
        stops = [
            (name, chance.choice(("before", "intended", "copied", "defined"))) for name in stops
        ]
        for host in cell.hosts:
            for stop in stops:
                host.block(*stop)
        users.ask(waves[1])
        cell.back_up()
        users.ask(waves[2])
        away = cell.hosts[1]
        away.stop(signal.SIGKILL)
        users.ask(waves[3])
        # What ends between the backup and the loss.
        for stop in stops[: len(stops) // 2]:
            cell.hosts[0].unblock(*stop)
        eventually(lambda: cell.ended() > len(waves[0]))
        with cell.client() as client:
            states = Counter(each.state.value for each in client.list(limit=2 * requests))
        cell.lose(restored)
        time.sleep(AWAY_SECONDS)
        away.start()
        for stop in stops[len(stops) // 2 :]:
            cell.hosts[0].unblock(*stop)
        for stop in stops:
            away.unblock(*stop)
        users.over()
        made = Counter(line for host in cell.hosts for line in host.effects)
        with cell.client() as client:
            done = {each.name for each in client.list([State.DONE], 2 * requests)}
        return Outcome(
            requests=requests,
            lost=sum(users.states.get(name) != "done" for name in names),
            double=sum(made[f"made {name}"] > 1 for name in names),
            unlisted=len(set(names) - done),
            states=dict(sorted(states.items())),
            seconds=round(time.monotonic() - began, 1),
        )


def figures(requests: int, seed: int) -> Iterator[Figure]:
    for what, restored, tells in (
        ("restored from a backup", True, True),
        ("begun anew with an empty journal", False, True),
        ("begun anew, hosts tell nothing", False, False),
    ):
        folder = Path(tempfile.mkdtemp(prefix="maglica-lost-"))
        try:
            outcome = run(folder, requests, seed, restored=restored, tells=tells)
        finally:
            shutil.rmtree(folder)
        states = ", ".join(f"{count} {state}" for state, count in outcome.states.items())
        how = f"of {requests}, when it was lost {states}; seed {seed}; {outcome.seconds} s"
        bad = {"lost": outcome.lost, "made twice": outcome.double, "not listed": outcome.unlisted}
        if tells:
            for each, count in bad.items():
                yield at_most(f"client worker {what}: requests {each}", count, 0, how)
        else:
            text = f"client worker {what}: requests lost, made twice or not listed"
            yield control(text, sum(bad.values()), how)


def main() -> int:
    parser = argparse.ArgumentParser(description="Lose the client worker's journal under load.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seed", type=int, default=23)
    options = parser.parse_args()
    found = []
    for figure in figures(options.requests, options.seed):
        found.append(figure)
        print(f"{figure.figure}: {figure.value} ({figure.how})", flush=True)
    write("lost-journal", found)
    return 0 if all(figure.met is not False for figure in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
