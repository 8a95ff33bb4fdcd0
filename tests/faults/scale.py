# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the client worker does in a second, all real processes: dispatch, cold start, many hosts."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq
from maglica.client_worker.journal import Journal, digest
from maglica.model.plain import plain
from maglica.model.request import Request, new_request_id
from maglica.verbs.clone import CloneSpec
from maglica.wire import keys
from maglica.wire.frames import Message, encode
from support.client_worker import LOOPBACK, Peer, Worker, environment, eventually
from support.figures import Figure, at_most, reported
from support.many_hosts import key_file, roomy
from support.ports import free_port
from support.reports import IMAGE, clone

from .frame import Run

TESTS = Path(__file__).resolve().parents[1]
ROUNDS = 1000
PATIENCE = 300.0
ECHO = """
import sys, zmq
router = zmq.Context().socket(zmq.ROUTER)
router.curve_server = True
router.curve_secretkey, router.curve_publickey = (half.encode() for half in sys.argv[2:4])
router.bind(sys.argv[1])
while True:
    router.send_multipart(router.recv_multipart())
"""


def dispatch(folder: Path, rounds: int) -> Iterator[Figure]:
    """From a submit to its host, against a raw ping-pong and one commit, alternating."""
    pings, commits, submits = [], [], []
    with running(folder) as worker, echo(worker) as ping, table(folder) as commit:
        host, client = worker.host("kvm0"), worker.peer("client", "admin")
        host.listen()
        host.hello(roomy())
        for number in range(rounds):
            body = clone(f"vm{number}")
            frames = encode(Message("submit", {"requests": [plain(body)]}))
            pings.append(seconds(lambda: ping(frames)))  # noqa: B023 - called at once
            commits.append(seconds(commit))

            def submit() -> None:
                client.connect().send_multipart(frames)  # noqa: B023 - called at once
                client.connect().recv_multipart()
                assert host.listener is not None
                host.listener.recv_multipart()

            submits.append(seconds(submit))
            host.ask("ack", host=host.name, id=body["id"])
    limit = statistics.median(pings) + statistics.median(commits)
    ratio = statistics.median(submits) / limit
    how = (
        f"median of {rounds}, alternating: submit, its reply and its arrival at the host"
        f" {1e6 * statistics.median(submits):.0f} us; CURVE REQ/ROUTER ping-pong"
        f" {1e6 * statistics.median(pings):.0f} us; SQLite WAL FULL commit of one row"
        f" {1e6 * statistics.median(commits):.0f} us"
    )
    name = "dispatch p50 / (ping-pong + commit)"
    # No test depends on how fast a machine that does other things is in one second.
    yield at_most(name, ratio, 2, how) if rounds >= ROUNDS else reported(name, ratio, how)


def cold_start(folder: Path, requests: int, hosts: int) -> Iterator[Figure]:
    """A worker that finds so many queued requests in its journal."""
    names = [f"kvm{number}" for number in range(hosts)]
    journal = Journal.open(folder / "journal.sqlite")
    journal.begin()
    for number in range(requests):
        request = Request(
            new_request_id(),
            CloneSpec(f"vm{number}", IMAGE),
            host=names[number % hosts],
            created=time.time(),
            updated=time.time(),
        )
        journal.add(request, digest(request.spec))
    journal.commit()
    journal.close()
    begun = time.monotonic()
    with running(folder, names) as worker:
        ready = time.monotonic() - begun
        with many_hosts(worker, names) as done:
            eventually(lambda: done()[1] >= requests, PATIENCE)
            taken = time.monotonic() - begun
            memory, cpu = usage(worker)
    how = f"{requests} queued requests, from the start of the process"
    which = f"cold start, {hosts} host{'s' * (hosts > 1)}"
    yield reported(f"{which}: ready, seconds", ready, how)
    yield reported(f"{which}: all redelivered, seconds", taken, how)
    yield reported(f"{which}: CPU seconds", cpu, how)
    yield reported(f"{which}: peak memory, MiB", memory, how)


def crowd(folder: Path, hosts: int, requests: int, clients: int = 20) -> Iterator[Figure]:
    """So many hosts that say hello every 5 s, while twenty clients submit."""
    names = [f"kvm{number}" for number in range(hosts)]
    with running(folder, names) as worker, many_hosts(worker, names) as done:
        begun = time.monotonic()
        eventually(lambda: done()[0] >= hosts, PATIENCE)
        connected = time.monotonic() - begun
        pair = worker.grant("client", "admin")
        numbers = iter(range(requests))
        lock = threading.Lock()
        begun = time.monotonic()

        def submit() -> None:
            client = Peer(worker, pair)
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                client.clone(f"vm{number}")

        threads = [threading.Thread(target=submit) for _turn in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        submitted = time.monotonic() - begun
        eventually(lambda: done()[1] >= requests, PATIENCE)
        memory, cpu = usage(worker)
    how = f"{hosts} hosts, {clients} clients, {requests} submits, hosts and clients on this machine"
    yield reported("many hosts: all connected and welcomed, seconds", connected, how)
    yield reported("many hosts: submits accepted a second", requests / submitted, how)
    yield reported("many hosts: CPU seconds", cpu, how)
    yield reported("many hosts: peak memory, MiB", memory, how)


@contextmanager
def running(folder: Path, hosts: list[str] | None = None) -> Iterator[Worker]:
    worker = Worker(folder, host_timeout=60)
    try:
        for name in hosts or []:
            pair = keys.make(key_file(folder, name))
            worker.access[pair.public.decode()] = f"host {name}"
        worker.write_access()
        worker.start()
        yield worker
    finally:
        worker.close()


@contextmanager
def many_hosts(worker: Worker, names: list[str]) -> Iterator[Callable[[], tuple[int, int]]]:
    """Run these hosts in a process of their own; yields how many are welcomed and acks are out."""
    ports = [str(port) for port in worker.ports]
    program = str(TESTS / "support" / "many_hosts.py")
    path = environment()["PYTHONPATH"]
    process = subprocess.Popen(
        [sys.executable, program, str(worker.folder), *ports, worker.keys.public.decode(), *names],
        env=environment(PYTHONPATH=f"{path}:{TESTS}"),
        stdout=subprocess.PIPE,
        text=True,
    )
    latest = [(0, 0)]

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            welcomed, acknowledged = line.split()
            latest[0] = (int(welcomed), int(acknowledged))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lambda: latest[0]
    finally:
        process.kill()
        process.wait()
        reader.join()


@contextmanager
def echo(worker: Worker) -> Iterator[Callable[[list[bytes]], object]]:
    """A raw CURVE server in a process of its own; yields what sends frames and gets them back."""
    server, client = (keys.make(worker.folder / f"{name}.key") for name in ("echo", "ping"))
    where = f"tcp://{LOOPBACK}:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-c", ECHO, where, server.secret.decode(), server.public.decode()]
    )
    socket = worker.context.socket(zmq.REQ)
    socket.curve_secretkey, socket.curve_publickey = client.secret, client.public
    socket.curve_serverkey = server.public
    socket.connect(where)

    def ping(frames: list[bytes]) -> object:
        socket.send_multipart(frames)
        return socket.recv_multipart()

    try:
        ping([b"warm"])
        yield ping
    finally:
        socket.close(0)
        process.kill()
        process.wait()


@contextmanager
def table(folder: Path) -> Iterator[Callable[[], None]]:
    """A SQLite file as the journal's; yields what commits one row of a request's size."""
    connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")

    def commit() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows (text) VALUES (?)", ("x" * 400,))
        connection.execute("COMMIT")

    try:
        yield commit
    finally:
        connection.close()


def seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def usage(worker: Worker) -> tuple[float, float]:
    """Return the process's peak memory in MiB and its CPU seconds."""
    assert worker.process is not None
    proc = Path("/proc", str(worker.process.pid))
    peak = next(line for line in (proc / "status").read_text().split("\n") if "VmHWM" in line)
    times = (proc / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return round(int(peak.split()[1]) / 1024, 1), sum(map(int, times)) / 100


def figures(run: Run) -> Iterator[Figure]:
    share = 10 if run.short else 1
    for name, measure in (
        ("dispatch", lambda folder: dispatch(folder, ROUNDS // share)),
        ("cold", lambda folder: cold_start(folder, 10_000 // share, 100 // share)),
        ("one-host", lambda folder: cold_start(folder, 10_000 // share, 1)),
        ("crowd", lambda folder: crowd(folder, 1000 // share, 5000 // share)),
    ):
        folder = run.folder / name
        folder.mkdir()
        run.say(name)
        yield from measure(folder)
