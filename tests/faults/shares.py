# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An observer asks for more than anybody could answer: nobody else may feel it.

What must not depend on how fast the machine is is counted, in both forms: who is served in which
order (faults/turns.py). The long form also times it, with all processes.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maglica.wire import keys
from support.client_worker import Host, Peer, environment
from support.figures import Figure, at_least, at_most, control, reported
from support.many_hosts import roomy
from support.reports import clone

from . import without
from .frame import Run
from .stage import Stage, staged

TESTS = Path(__file__).resolve().parents[1]
CONNECTIONS, LISTS = 256, 1000
SUBMIT_SECONDS = 0.5
MEMORY_MIB = 64
ANSWER_BYTES = 128 << 10
REQUESTS = 1000
HELLO_SECONDS, DOWN_SECONDS = 2.0, 15.0
SECONDS = 30.0
CONTROL_SECONDS = 15.0
PAUSE = 0.1
ALONE = 20


def figures(run: Run) -> Iterator[Figure]:
    yield from _order(run)
    if run.short:
        return
    yield from _timed(run)


def _order(run: Run) -> Iterator[Figure]:
    connections, lists = (16, 32) if run.short else (CONNECTIONS, LISTS)
    served = _serve(run, "real", "", connections, lists)
    shown = f"{connections} connections of an observer with {lists} lists under way, all of it come"
    yield at_most("shares: lists served before a submit", served["before"], 1, shown)
    how = "the longest answer to a list, bytes"
    yield at_most("shares: bytes of an answer", served["longest"], ANSWER_BYTES, how)
    served = _serve(run, "unfair", "shares", 16, 32)
    before = served["before"] - 1
    yield control("shares: lists served before a submit", before, "32 lists, without turns")


def _serve(run: Run, name: str, protection: str, connections: int, lists: int) -> dict[str, int]:
    folder = run.folder / name
    folder.mkdir()
    words = [sys.executable, "-m", "faults.turns", str(folder), str(connections), str(lists)]
    paths = f"{environment()['PYTHONPATH']}:{TESTS}"
    done = subprocess.run(
        without.command(protection, words) if protection else words,
        cwd=TESTS,
        env=environment(PYTHONPATH=paths),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, int] = json.loads(done.stdout)
    run.say(f"{name}: {found}")
    return found


@dataclass
class _Felt:
    """What others felt: seconds of each submit, hosts that were down, MiB, lists answered.

    ``alone``: seconds of each submit before the observer came.
    """

    alone: list[float]
    waits: list[float]
    down: int
    grown: float
    lists: int


def _timed(run: Run) -> Iterator[Figure]:
    how = (
        f"{CONNECTIONS} connections of an observer, half of which never read, {LISTS} lists of"
        f" {REQUESTS} requests under way for {SECONDS:g} s"
    )
    with staged(run.folder / "timed", host_timeout=DOWN_SECONDS) as stage:
        felt = _crowded(stage, SECONDS)
    run.say(f"{len(felt.waits)} submits, slowest {max(felt.waits):.3f} s, {felt.lists} lists")
    yield at_most("shares: slowest submit, seconds", max(felt.waits), SUBMIT_SECONDS, how)
    alone = f"{ALONE} submits before the observer came"
    yield reported("shares: slowest submit without it, seconds", max(felt.alone), alone)
    yield at_least("shares: submits", len(felt.waits), 1, "each by a connection of its own")
    yield at_most("shares: hosts down", felt.down, 0, how)
    yield at_most("shares: memory grown, MiB", felt.grown, MEMORY_MIB, how)
    yield reported("shares: lists answered meanwhile", felt.lists, how)
    with staged(run.folder / "timed-unfair", protection="shares") as stage:
        felt = _crowded(stage, CONTROL_SECONDS)
    late = sum(seconds > SUBMIT_SECONDS for seconds in felt.waits)
    how = f"without turns and short answers: slowest {max(felt.waits):.1f} s, {felt.grown:.0f} MiB"
    yield control("shares: submits that waited too long", late, how)


def _crowded(stage: Stage, seconds: float) -> _Felt:
    """Submit by one connection after the other while the observer does what it can."""
    bodies = [clone(f"old{number}", memory_mib=16) for number in range(REQUESTS)]
    stage.admin.ask("submit", requests=bodies)
    observer, admin = stage.worker.grant("observer", "eve"), stage.admin.keys
    assert admin is not None
    before = _memory(stage, "VmRSS")
    alone = [_submit(Peer(stage.worker, admin), f"alone{number}") for number in range(ALONE)]
    waits: list[float] = []
    with _hellos(stage), _crowd(stage, observer) as answers:
        end = time.monotonic() + seconds
        while time.monotonic() < end or not waits:
            waits.append(_submit(Peer(stage.worker, admin), f"new{len(waits)}"))
            time.sleep(PAUSE)
    grown = _memory(stage, "VmHWM") - before
    return _Felt(alone, waits, stage.worker.log.count(" is down: "), grown, answers[0])


def _submit(client: Peer, name: str) -> float:
    """Hand in a request; return how long the answer took, or how long none came."""
    begun = time.monotonic()
    client.patience = 10.0
    with contextlib.suppress(TimeoutError):
        answer, body = client.ask("submit", **clone(name, memory_mib=16))
        assert answer == "request", body
    waited = time.monotonic() - begun
    client.disconnect()
    return waited


@contextlib.contextmanager
def _hellos(stage: Stage) -> Iterator[None]:
    """Let the hosts say hello as often as they must, each in a thread of its own."""
    over = threading.Event()

    def hello(host: Host) -> None:
        while not over.wait(HELLO_SECONDS):
            with contextlib.suppress(TimeoutError):
                host.hello(roomy())

    threads = [threading.Thread(target=hello, args=(host,)) for host in stage.hosts.values()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _crowd(stage: Stage, pair: keys.KeyPair) -> Iterator[list[int]]:
    """Run the observer in a process of its own; yields how many lists it has got."""
    (key,) = stage.worker.folder.glob("observer.eve.*.key")
    server, port = stage.worker.keys.public.decode(), stage.worker.ports[1]
    numbers = (CONNECTIONS, LISTS, CONNECTIONS // 2)
    process = subprocess.Popen(
        [sys.executable, "-m", "faults.crowd", *map(str, (key, port, server, *numbers))],
        cwd=TESTS,
        env=environment(PYTHONPATH=f"{environment()['PYTHONPATH']}:{TESTS}"),
        stdout=subprocess.PIPE,
        text=True,
    )
    answers = [0]

    def read() -> None:
        assert process.stdout is not None
        for word in process.stdout:
            answers[0] = int(word)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield answers
    finally:
        process.kill()
        process.wait()
        reader.join()


def _memory(stage: Stage, which: str) -> float:
    assert stage.worker.process is not None
    status = Path("/proc", str(stage.worker.process.pid), "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024
