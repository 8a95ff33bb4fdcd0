# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts in one process, by plain sockets: they say hello, and acknowledge what they are sent.

As a program: ``many_hosts.py FOLDER PUBLISH_PORT REQUEST_PORT SERVER_KEY NAME...``; it prints how
many hosts were welcomed and how many requests acknowledged whenever that changes.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from maglica.config.config import ClientWorker
from maglica.model.plain import plain
from maglica.model.request import HostReport
from maglica.wire import keys, sockets
from maglica.wire.frames import Message, decode, encode
from support import one_request
from support.client_worker import LOOPBACK
from support.reports import image, report

HELLO_SECONDS = 5.0
# A REQ whose reply got lost would wait for ever. It must outlast the handshakes of a thousand hosts
# at once on a busy machine, or none of them would come to its end.
SILENCE_SECONDS = 60.0
MAX_HELD = 1000


def roomy() -> HostReport:
    """The report of a host that has room for tens of thousands of vms."""
    small = image(memory_mib=16, disk_bytes=0)
    return report(small, memory_total_mib=1 << 30, memory_free_mib=1 << 30)


@dataclass
class _Host:
    name: str
    pair: keys.KeyPair
    subscriber: sockets.Link | None = None
    link: sockets.Link | None = None
    acks: deque[str] = field(default_factory=deque)
    held: dict[str, None] = field(default_factory=dict)
    asked: float | None = None
    asking: str = ""
    next_hello: float = 0.0
    welcomed: bool = False


class ManyHosts:
    """The hosts ``names`` with keys in ``folder``, of the client worker at ``where``."""

    def __init__(self, folder: Path, where: ClientWorker, names: list[str]) -> None:
        self.acknowledged = 0
        self._where = where
        self._context = sockets.context()
        self._context.max_sockets = 8 * len(names) + 100
        self._poller = zmq.Poller()
        self._by_socket: dict[zmq.Socket, _Host] = {}
        self._hosts = [_Host(name, keys.read(key_file(folder, name))) for name in names]

    @property
    def welcomed(self) -> int:
        return sum(host.welcomed for host in self._hosts)

    def connect(self) -> None:
        for host in self._hosts:
            host.subscriber = sockets.connect_subscriber(
                self._context, host.pair, self._where, host.name
            )
            self._watch(host, host.subscriber)

    def step(self) -> None:
        """Take in what has come; send what is due."""
        for socket, _events in self._poller.poll(20):
            host = self._by_socket[socket]
            if host.link is not None and socket is host.link.socket:
                self._take_reply(host, decode(socket.recv_multipart()))
            else:
                while socket.poll(0):
                    message = decode(socket.recv_multipart()[1:])
                    _kind, body = one_request.alone(message.type, message.body)
                    self._take(host, [body.get("request", body)["id"]])
        now = time.monotonic()
        for host in self._hosts:
            if host.asked is not None and now - host.asked > SILENCE_SECONDS:
                self._drop(host)
            if host.asked is None:
                self._ask(host, now)

    def _ask(self, host: _Host, now: float) -> None:
        if now >= host.next_hello:
            host.next_hello = now + HELLO_SECONDS
            held = [{"id": each, "state": "running"} for each in list(host.held)[-MAX_HELD:]]
            body = {"host": host.name, "report": roomy(), "requests": held}
            self._send(host, Message("hello", plain(body)))
        elif host.acks:
            host.asking = host.acks[0]
            self._send(host, Message("ack", {"host": host.name, "id": host.acks[0]}))

    def _send(self, host: _Host, message: Message) -> None:
        if host.link is None:
            host.link = sockets.connect_requests(self._context, host.pair, self._where)
            self._watch(host, host.link)
        host.asked = time.monotonic()
        host.link.socket.send_multipart(encode(message))

    def _take_reply(self, host: _Host, message: Message) -> None:
        host.asked = None
        if message.type == "welcome":
            host.welcomed = True
            self._take(host, [request["id"] for request in message.body["requests"]])
        elif message.type == "ok":
            host.acks.popleft()
            self.acknowledged += 1

    def _take(self, host: _Host, ids: list[str]) -> None:
        new = [each for each in ids if each not in host.held]
        host.held.update(dict.fromkeys(new))
        host.acks.extend(new)

    def _watch(self, host: _Host, link: sockets.Link) -> None:
        self._by_socket[link.socket] = host
        self._poller.register(link.socket, zmq.POLLIN)

    def _drop(self, host: _Host) -> None:
        if host.link is not None:
            self._poller.unregister(host.link.socket)
            del self._by_socket[host.link.socket]
            host.link.close()
        host.link = host.asked = None


def key_file(folder: Path, name: str) -> Path:
    return folder / f"host.{name}.key"


def main(folder: str, publish_port: str, request_port: str, key: str, *names: str) -> None:
    _other, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    where = ClientWorker(LOOPBACK, int(publish_port), int(request_port), key)
    hosts = ManyHosts(Path(folder), where, list(names))
    hosts.connect()
    told = (-1, -1)
    while True:
        hosts.step()
        now = (hosts.welcomed, hosts.acknowledged)
        if now != told:
            print(*now, flush=True)
            told = now


if __name__ == "__main__":
    main(*sys.argv[1:])
