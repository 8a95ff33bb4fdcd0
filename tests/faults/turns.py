# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order a client worker serves two keys whose messages are all there: no clock decides it.

A program, since a protection can be taken out of it: ``turns.py FOLDER CONNECTIONS LISTS`` lets
one key ask for LISTS lists on CONNECTIONS connections, then another one hand in a request; when all
of it has come, it is served. Prints, as JSON, how many lists were served before the request, and
how many bytes the longest answer has.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS)]

from faults.crowd import Crowd  # noqa: E402 - after the import path is set
from maglica.client_worker.access import Caller, Table  # noqa: E402
from maglica.client_worker.broker import Broker  # noqa: E402
from maglica.client_worker.dispatch import Incoming  # noqa: E402
from maglica.client_worker.journal import Journal  # noqa: E402
from maglica.client_worker.known.hosts import KnownHosts  # noqa: E402
from maglica.client_worker.open_requests import OpenRequests  # noqa: E402
from maglica.client_worker.state import Context  # noqa: E402
from maglica.client_worker.transactions import Engine  # noqa: E402
from maglica.config.config import ClientWorker  # noqa: E402
from maglica.model.plain import plain  # noqa: E402
from maglica.model.request import Role  # noqa: E402
from maglica.wire import keys, sockets  # noqa: E402
from maglica.wire.frames import Message, encode  # noqa: E402
from support.many_hosts import roomy  # noqa: E402
from support.ports import LOOPBACK, free_port  # noqa: E402
from support.reports import clone  # noqa: E402

REQUESTS = 1000


class Stage:
    """A client worker in this process, whose loop does not run: it takes in, then it serves."""

    def __init__(self, folder: Path) -> None:
        names = {"kvm0": Role.HOST, "admin": Role.CLIENT, "eve": Role.OBSERVER}
        self.server = keys.make(folder / "client_worker.key")
        self.keys = {name: keys.make(folder / f"{name}.key") for name in names}
        peers = [
            Caller(name, role, self.keys[name].public.decode()) for name, role in names.items()
        ]
        self.where = ClientWorker(LOOPBACK, free_port(), free_port(), self.server.public.decode())
        self.journal = Journal.open(folder / "journal.sqlite")
        context = Context(
            OpenRequests(self.journal, time.time),
            KnownHosts({}, 1e9),
            Table({peer.key: peer for peer in peers}),
        )
        self.engine = Engine(context, self.journal, 1e9, frozenset())
        self.engine.start()
        self.broker = Broker(
            self.engine,
            context,
            where=self.where,
            bind=LOOPBACK,
            keys=self.server,
            access=None,
        )
        self.broker.open()

    def say(self, name: str, kind: str, **body: object) -> None:
        """Let the owner of a key say something without a connection."""
        frames = encode(Message(kind, plain(body)))
        key = self.keys[name].public.decode()
        self.engine.handle([Incoming((b"\0none", b""), key, frames)])

    def take_in(self, messages: int) -> None:
        """Let connections and messages in until so many messages wait for their turn."""
        while sum(map(len, self.broker._inbox._queues.values())) < messages:
            self.broker._poller.poll(10)
            self.broker._answer_zap()
            self.broker._send(self.broker._receive())


def main(words: list[str]) -> int:
    folder, connections, lists = Path(words[0]), int(words[1]), int(words[2])
    stage = Stage(folder)
    stage.say("kvm0", "hello", host="kvm0", report=roomy(), requests=())
    requests = [clone(f"vm{number}", memory_mib=16) for number in range(REQUESTS)]
    stage.say("admin", "submit", requests=requests)
    port = stage.where.request_port
    crowd = Crowd(stage.keys["eve"], stage.server.public, port, connections)
    crowd.ask(lists)
    stage.take_in(lists)
    link = sockets.connect_requests(crowd.context, stage.keys["admin"], stage.where)
    submit = encode(Message("submit", {"requests": [plain(clone("late", memory_mib=16))]}))
    link.socket.send_multipart(submit)
    stage.take_in(lists + 1)
    before, longest, answered = 0, 0, False
    while not answered:
        for _envelope, message in stage.engine.handle(stage.broker._inbox.turn()).replies:
            # Lists have a revision, besides.
            answered |= message.type == "requests" and "revision" not in message.body
            before += not answered
            longest = max(longest, sum(map(len, encode(message))))
    print(json.dumps({"before": before, "longest": longest}))
    link.close()
    crowd.close()
    stage.broker.close()
    stage.journal.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
