# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rubbish for both ports of a client worker, from strangers and from owners of keys.

All of it follows from a seed, so that a run can be repeated.
"""

from __future__ import annotations

import copy
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from maglica import errors
from maglica.wire import schema, sockets
from maglica.wire.keys import KeyPair
from maglica.wire.message import VERSION, decode
from support.client_worker import LOOPBACK, Worker

UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
HOST = "kvm0.example.jp"
REPLY_SECONDS = 10.0
# A valid message of each type; none of them is ever accepted as work.
VALID: dict[str, dict[str, Any]] = {
    "submit": {
        "id": UUID,
        "kind": "clone",
        "spec": {
            "name": "vm0.example.jp",
            "image": "nowhere.original",
            "networks": [{"network": "default", "addresses": ["192.0.2.7/24"]}],
            "ssh_authorized_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"],
            "root_password": "$6$salt$0123456789",
        },
    },
    "plan": {"spec": {"name": "vm0.example.jp", "image": "nowhere.original", "vcpus": 2}},
    "submit_all": {
        "requests": [
            {
                "id": UUID,
                "kind": "clone",
                "spec": {"name": "vm0.example.jp", "image": "nowhere.original"},
            }
        ]
    },
    "plan_all": {"specs": [{"name": "vm0.example.jp", "image": "nowhere.original"}]},
    "status": {"id": UUID},
    "list": {"states": ["queued"], "limit": 10, "before": UUID},
    "wait": {"id": UUID, "version": 0, "timeout": 0},
    "wait_all": {"requests": [{"id": UUID, "version": 0}], "timeout": 0},
    "cancel": {"id": UUID},
    "hosts": {"after": "a"},
    "hello": {"host": HOST, "report": {"cpus": 1, "pools": [], "domains": []}, "requests": []},
    "ack": {"host": HOST, "id": UUID},
    "progress": {"host": HOST, "id": UUID, "phase": "copy", "phases": []},
    "result": {"host": HOST, "id": UUID, "state": "failed", "failure": {"code": "a", "text": ""}},
}
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 1 << 53, 10**20, -(10**20), 10**400, 1.5, 1e308, -0.0),
    *("", "\0", "\n", "a" * 70000, "../../etc/passwd", "/dev/null", "<a/>", "]]>", "{{ 1 }}"),
    *("\ud800", "\u202e", "\x1b[2J", "%s%n", "'; DROP TABLE requests; --", "$(id)", "-v", HOST),
    *([], [[]], {}, {"": {}}, [None] * 5000, {"__class__": "x"}, {"id": UUID}, UUID),
]
JSON_RUBBISH = [
    *(b"", b"{", b"}", b"null", b"[]", b'"', b"{}{}", b"\xff\xfe{", b"\xef\xbb\xbf{}"),
    *(b"[" * 200000, b'{"a":' * 50000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":1,"a":2}'),
    *(b'{"a":' + b"9" * 100000 + b"}", b'{"id":"\\ud800"}', b"{" + b" " * 100000 + b"}"),
]


class Fuzz:
    """Sends rubbish; ``counts`` says how much of each kind, ``unanswered`` what had no reply."""

    def __init__(self, worker: Worker, keys: list[KeyPair], seed: int) -> None:
        self._worker = worker
        self._random = random.Random(seed)  # noqa: S311 - it must be repeatable
        self._context = zmq.Context()
        self._sockets = [self._dealer(pair) for pair in keys]
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.unanswered: list[list[bytes]] = []

    def close(self) -> None:
        self._context.destroy(0)

    def _dealer(self, pair: KeyPair) -> zmq.Socket:
        """A socket that may send what a REQ can't."""
        dealer = self._context.socket(zmq.DEALER)
        dealer.curve_secretkey, dealer.curve_publickey = pair.secret, pair.public
        dealer.curve_serverkey = self._worker.keys.public
        dealer.connect(sockets.endpoint(LOOPBACK, self._worker.where.request_port))
        return dealer

    def messages(self, count: int) -> None:
        """Send ``count`` messages with valid keys, each after the reply to the one before."""
        for _turn in range(count):
            kind = self._random.choice(list(VALID))
            frames = self._frames(kind)
            # Most come from a role that may send this type, to get further.
            client, _other, host = self._sockets
            allowed = host if "host" in VALID[kind] else client
            dealer = self._random.choice([*self._sockets, *[allowed] * 4])
            dealer.send_multipart(frames)
            self.counts["messages"] += 1
            if not dealer.poll(REPLY_SECONDS * 1000):
                self.unanswered.append(frames)
                return
            answer = dealer.recv_multipart()
            # What stood before the first empty frame comes back as the way to answer.
            reply = decode(answer[answer.index(b"") + 1 :])
            self.answers[schema.answered(reply.type, reply.body).get("code", reply.type)] += 1

    def strangers(self, count: int) -> None:
        """Open ``count`` connections without a key and send rubbish on them, to both ports."""
        for _turn in range(count):
            port = self._random.choice(self._worker.ports)
            with suppress(OSError), socket.create_connection((LOOPBACK, port), 5) as peer:
                peer.settimeout(0.02)
                for piece in self._stream():
                    peer.sendall(piece)
                    with suppress(TimeoutError):
                        peer.recv(4096)
            self.counts["connections"] += 1

    def subscriptions(self, pair: KeyPair, count: int) -> None:
        """Subscribe to ``count`` topics that are nobody's, or another's, with a host's key."""
        for start in range(0, count, 100):
            link = sockets.connect_subscriber(
                self._context, pair, self._worker.where, f"kvm{start}"
            )
            for _turn in range(100):
                link.socket.setsockopt(zmq.SUBSCRIBE, self._random.randbytes(20))
                self.counts["subscriptions"] += 1
            link.socket.poll(20)
            link.close()

    def _frames(self, kind: str) -> list[bytes]:
        choose = self._random
        shape = choose.random()
        if shape < 0.6:
            return [b"", VERSION, kind.encode(), self._body(kind)]
        if shape < 0.75:
            return [b"", VERSION, kind.encode(), choose.choice(JSON_RUBBISH)]
        if shape < 0.85:
            text = bytearray(json.dumps(VALID[kind]).encode())
            for _turn in range(choose.randint(1, 5)):
                text[choose.randrange(len(text))] = choose.randrange(256)
            return [b"", VERSION, kind.encode(), bytes(text)]
        if shape < 0.9:
            return [b"", choose.choice([b"", b"MGL0", b"MGL2", b"\xff" * 9]), kind.encode(), b"{}"]
        if shape < 0.95:
            name = choose.choice([b"", b"__init__", b"ok", b"\xff", b"x" * 5000, b"error"])
            return [b"", VERSION, name, b"{}"]
        count = choose.choice([0, 1, 2, 4, 5, 50, 1000])
        frames = [choose.randbytes(choose.randrange(30)) for _turn in range(count)]
        # A REQ's empty frame may be missing, too.
        return [b"", *frames] if choose.random() < 0.7 else [b"x", *frames]

    def _body(self, kind: str) -> bytes:
        body = copy.deepcopy(VALID[kind])
        for _turn in range(self._random.choice([0, 1, 1, 2, 5])):
            places = list(_places(body))
            if not places:
                break
            place, key = self._random.choice(places)
            if self._random.random() < 0.15 and isinstance(place, dict):
                del place[key]
            elif self._random.random() < 0.1 and isinstance(place, dict):
                place[f"{key}x"] = place[key]
            elif (place, key) != (body, "timeout"):
                place[key] = copy.deepcopy(self._random.choice(NASTY))
        return json.dumps(body).encode()

    def _stream(self) -> Iterator[bytes]:
        choose = self._random
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
        kind = choose.randrange(6)
        if kind == 0:
            yield choose.randbytes(choose.randrange(200))
        elif kind == 1:
            yield greeting[: choose.randrange(len(greeting))]
        elif kind == 2:
            yield greeting.replace(b"CURVE", b"NULL\0")
            yield b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ"
        elif kind == 3:
            # A frame that claims to be very long.
            yield greeting + b"\x06" + struct.pack(">Q", 1 << choose.randrange(20, 63))
            yield choose.randbytes(1000)
        elif kind == 4:
            yield greeting + b"\x04\xc8\x05HELLO\x01\x00" + choose.randbytes(193)
        else:
            yield greeting + b"\x04" + bytes([choose.randrange(256)]) + choose.randbytes(200)


def resident_mib(process_id: int) -> float:
    """Return how much memory a process has, proc(5)."""
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def run(worker: Worker, seed: int, messages: int, connections: int) -> dict[str, Any]:
    """Send rubbish to a running client worker; return what came of it, errors as ``broken``."""
    roles = ("client", "admin"), ("observer", "viewer"), ("host", HOST)
    keys = [worker.grant(role, name) for role, name in roles]
    time.sleep(0.1)
    fuzz = Fuzz(worker, keys, seed)
    assert worker.process is not None
    try:
        # The first part of everything fills caches and pools that stay.
        _all(fuzz, keys[2], messages // 5, connections // 5)
        before = resident_mib(worker.process.pid) if worker.process.poll() is None else 0.0
        start = time.monotonic()
        _all(fuzz, keys[2], messages, connections)
        seconds = time.monotonic() - start
        dead = worker.process.poll() is not None
        after = 0.0 if dead else resident_mib(worker.process.pid)
    finally:
        fuzz.close()
    log = worker.log
    return {
        "seed": seed,
        "counts": dict(fuzz.counts),
        "answers": dict(fuzz.answers),
        "seconds": seconds,
        "crashes": int(dead) + log.count("Traceback"),
        "hangs": len(fuzz.unanswered),
        "growth": after / before - 1 if before else 0.0,
        "mib": after,
    }


def _all(fuzz: Fuzz, host_key: KeyPair, messages: int, connections: int) -> None:
    steps: list[Callable[[], None]] = [
        lambda: fuzz.messages(messages // 10),
        lambda: fuzz.strangers(connections // 10),
        lambda: fuzz.subscriptions(host_key, connections // 10),
    ]
    for _turn in range(10):
        for step in steps:
            if not fuzz.unanswered:
                step()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        yield value, key
        if isinstance(entry, (dict, list)):
            yield from _places(entry)


CODES = {cls.code for cls in errors.CLASSES} | set(schema.ANSWERED)
