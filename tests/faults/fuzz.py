# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rubbish on both ports, from strangers and from owners of keys, does nothing but get refused."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import zmq
from maglica.model import errors
from maglica.wire import messages as schema
from maglica.wire import sockets
from maglica.wire.frames import OLD_VERSION, VERSION, decode
from maglica.wire.keys import KeyPair
from support.client_worker import LOOPBACK, Worker
from support.figures import Figure, at_least, at_most, control

from . import rubbish
from .frame import Run
from .stage import UnprotectedWorker

REPLY_SECONDS = 60.0
# In full, and in the short form.
MESSAGES = (90_000, 1500)
CONNECTIONS = (8000, 200)
SUBSCRIPTIONS = (8000, 200)
# Hypothesis keeps what it has tried, so that it is started anew now and then.
AT_ONCE = 2000
CODES = {cls.code for cls in errors.CLASSES} | set(schema.ANSWERED)
# Each kind of answer is met when the rubbish gets as far as it should.
EXPECTED = {"message_invalid", "access_denied", "request_unknown", "requests", "ok"}
# These in full.
RARE = {"image_unknown", "request_conflict", "welcome", "hosts", "placements"}
WARM_UP = 1000
GROWTH = 0.1


def figures(run: Run) -> Iterator[Figure]:
    counts = [numbers[run.short] for numbers in (MESSAGES, CONNECTIONS, SUBSCRIPTIONS)]
    found = attack(run, Worker(_folder(run, "real")), counts)
    run.say(f"{found.sent}, answers {dict(found.answers)}, {found.rate:.0f} messages/s")
    how = ", ".join(f"{count} {what}" for what, count in sorted(found.sent.items()))
    how += f", seed {run.seed}"
    yield at_least("fuzz: messages", found.sent.total(), sum(counts), how)
    yield at_most("fuzz: crashes", found.crashes, 0, how)
    yield at_most("fuzz: hangs", found.hangs, 0, "no connection, no answer, or a wrong one")
    yield at_most("fuzz: memory growth", found.growth, GROWTH, f"{found.mib:.1f} MiB after all")
    yield at_least("fuzz: kinds of answers", len(found.answers), 5, str(sorted(found.answers)))
    missed = (EXPECTED if run.short else EXPECTED | RARE) - found.answers.keys()
    yield at_most("fuzz: answers not met", len(missed), 0, f"missed: {sorted(missed)}")
    yield at_most("fuzz: secrets in the log", found.leaks, 0, "its password hash, and the word")
    unprotected = UnprotectedWorker(_folder(run, "open"))
    unprotected.protection = "strictness"
    found = attack(run, unprotected, [100, 0, 0])
    how = "without strict reading, and without the guard around each message"
    yield control("fuzz: crashes", found.crashes, how)
    yield control("fuzz: hangs", found.hangs, how)
    talkative = UnprotectedWorker(_folder(run, "kept"))
    talkative.protection = "discretion"
    found = attack(run, talkative, [1400, 0, 0])
    how = "with all messages kept and logged"
    yield control("fuzz: memory growth beyond its goal", max(0.0, found.growth - GROWTH), how)
    yield control("fuzz: secrets in the log", found.leaks, how)


def _folder(run: Run, name: str) -> Path:
    folder = run.folder / name
    folder.mkdir()
    return folder


class Found:
    """What was sent and what came of it."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.crashes = self.hangs = self.leaks = 0
        self.growth = self.mib = self.rate = 0.0


def attack(run: Run, worker: Worker, counts: list[int]) -> Found:
    """Send so many messages, connections and subscriptions.

    Of a fifth more at first, or WARM_UP, memory may grow: caches fill, most requests come to be.
    """
    attacker = Attacker(run, worker)
    found = attacker.found
    try:
        worker.start()
        assert worker.process is not None
        attacker.open_requests()
        attacker.all([max(count // 5, min(count, WARM_UP)) for count in counts])
        before = resident_mib(worker.process.pid) if worker.process.poll() is None else 0.0
        start = time.monotonic()
        attacker.all(counts)
        found.rate = counts[0] / (time.monotonic() - start)
        dead = worker.process.poll() is not None
        found.mib = 0.0 if dead else resident_mib(worker.process.pid)
        found.growth = found.mib / before - 1 if before else 0.0
        found.crashes = int(dead) + worker.log.count("Traceback")
        found.leaks = sum(worker.log.count(word) for word in ("root_password", rubbish.SECRET))
    finally:
        attacker.close()
        worker.close()
    return found


class Attacker:
    """Owns a key of each role."""

    def __init__(self, run: Run, worker: Worker) -> None:
        self._run = run
        self._worker = worker
        self._context = zmq.Context()
        roles = ("client", "admin"), ("observer", "viewer"), ("host", rubbish.HOST)
        self._keys = [worker.grant(role, name) for role, name in roles]
        self._dealers: list[zmq.Socket] = []
        self.found = Found()

    def close(self) -> None:
        self._context.destroy(0)

    def open_requests(self) -> None:
        """Let there be a host with an image, and requests that have not ended.

        Some end with results as long as they may be, so that room for these is there as well.
        """
        port = self._worker.where.request_port
        client, _viewer, host = (self._connect(zmq.DEALER, pair, port) for pair in self._keys)

        def say(dealer: zmq.Socket, kind: str, body: dict[str, Any], number: int = 0) -> None:
            text = rubbish.written(rubbish.about(body, number))
            self._exchange(dealer, [b"", VERSION, kind.encode(), text])

        say(host, "hello", rubbish.VALID["hello"])
        for number in range(rubbish.FEW):
            say(client, "submit", rubbish.VALID["submit"], number)
            if number % 4 == 0:
                say(host, "result", rubbish.OTHERWISE["result"], number)
                say(client, "status", rubbish.VALID["status"], number)
        met = set(self.found.answers)
        assert met == {"welcome", "requests", "ok"}, met
        self.found.sent.clear()
        self.found.answers.clear()

    def all(self, counts: list[int]) -> None:
        """Do all three at once."""
        works = (self.messages, self.strangers, self.subscribers)
        with ThreadPoolExecutor(len(works)) as pool:
            for future in [pool.submit(work, count) for work, count in zip(works, counts)]:
                future.result()

    def messages(self, count: int) -> None:
        """Send messages with valid keys, each after the answer to the one before."""
        port = self._worker.where.request_port
        dealers = [self._connect(zmq.DEALER, pair, port) for pair in self._keys]

        def send(message: tuple[str, list[bytes]], choice: int) -> None:
            kind, frames = message
            # Most come from a role that may send this type, to get further.
            allowed = 2 if "host" in rubbish.VALID[kind] else 0
            dealer = dealers[choice if choice < len(dealers) else allowed]
            if not self.found.hangs:
                self._exchange(dealer, frames)

        choices = hypothesis.strategies.integers(0, 6)
        self._repeat("messages", count, send, message=rubbish.messages(), choice=choices)

    def _exchange(self, dealer: zmq.Socket, frames: list[bytes]) -> None:
        dealer.send_multipart(frames)
        self.found.sent["messages"] += 1
        if not self._is_answered(dealer):
            self._run.say(f"no answer to {frames!r:.300}")
            self.found.hangs += 1
            return
        answer = dealer.recv_multipart()
        # What stood before the first empty frame comes back as the way to answer.
        version, *rest = answer[answer.index(b"") + 1 :]
        reply = decode([VERSION if version == OLD_VERSION else version, *rest])
        code = schema.answered(reply.type, reply.body).get("code", reply.type)
        self.found.answers[code] += 1
        if code not in CODES:
            self.found.hangs += 1

    def _is_answered(self, dealer: zmq.Socket) -> bool:
        """Wait for an answer as long as one may come."""
        process = self._worker.process
        end = time.monotonic() + REPLY_SECONDS
        is_over = False
        while not dealer.poll(100):
            if is_over:
                return False
            # What it said before it ended may still be on its way.
            is_over = process is None or process.poll() is not None or time.monotonic() > end
        return True

    def strangers(self, count: int) -> None:
        """Say rubbish on connections without a key, to both ports."""

        def say(port: int, text: bytes) -> None:
            try:
                peer = socket.create_connection((LOOPBACK, port), REPLY_SECONDS)
            except OSError as error:
                self._run.say(f"no connection to port {port}: {error}")
                self.found.hangs += 1
                return
            # What is rubbish may be cut off before all of it is said.
            with peer, suppress(OSError):
                peer.settimeout(0.002)
                peer.sendall(text)
                peer.recv(4096)
            self.found.sent["connections"] += 1

        ports = hypothesis.strategies.sampled_from(self._worker.ports)
        self._repeat("connections", count, say, port=ports, text=rubbish.streams)

    def subscribers(self, count: int) -> None:
        """Subscribe, with a host's key, to what is nobody's or another's."""
        port = self._worker.where.publish_port
        subscriber = self._connect(zmq.XSUB, self._keys[2], port)

        def subscribe(text: bytes) -> None:
            subscriber.send(text)
            while subscriber.poll(0):
                subscriber.recv_multipart()
            self.found.sent["subscriptions"] += 1

        self._repeat("subscriptions", count, subscribe, text=rubbish.subscriptions)

    def _connect(self, kind: int, pair: KeyPair, port: int) -> zmq.Socket:
        made = self._context.socket(kind)
        made.curve_secretkey, made.curve_publickey = pair.secret, pair.public
        made.curve_serverkey = self._worker.keys.public
        made.connect(sockets.endpoint(LOOPBACK, port))
        return made

    def _repeat(self, what: str, count: int, act: Callable[..., None], **strategies: Any) -> None:
        """Let Hypothesis call ``act`` so many times."""
        done = self.found.sent[what] + count
        turn = 0
        while self.found.sent[what] < done and not self.found.hangs:
            settings = hypothesis.settings(
                max_examples=min(AT_ONCE, done - self.found.sent[what]),
                deadline=None,
                database=None,
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            test = settings(hypothesis.given(**strategies)(act))
            hypothesis.seed(f"{self._run.seed} {what} {turn}")(test)()
            turn += 1


def resident_mib(process_id: int) -> float:
    """Return how much memory a process has, proc(5)."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024
