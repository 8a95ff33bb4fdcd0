# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One key with many connections, each of which asks for long lists of requests all the time.

As a program: ``crowd.py KEY_FILE REQUEST_PORT SERVER_KEY CONNECTIONS LISTS READERS``. It keeps
LISTS questions under way; all connections but READERS never read an answer. Each second it prints
how many answers have come.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import zmq
from maglica.wire import keys, sockets
from maglica.wire.frames import Message, encode
from support.client_worker import LOOPBACK

LIST = encode(Message("list", {"limit": 1000}))


class Crowd:
    """The connections of the owner of ``pair``, no REQs: each may ask more than once at a time."""

    def __init__(self, pair: keys.KeyPair, server_key: bytes, port: int, connections: int) -> None:
        self.context = sockets.context()
        self.context.max_sockets = connections + 10
        self.sockets = []
        for _turn in range(connections):
            made = self.context.socket(zmq.DEALER)
            made.curve_publickey, made.curve_secretkey = pair.public, pair.secret
            made.curve_serverkey = server_key
            made.connect(sockets.endpoint(LOOPBACK, port))
            self.sockets.append(made)

    def ask(self, lists: int) -> None:
        """Ask for so many lists, by each connection in turn."""
        for number in range(lists):
            ask(self.sockets[number % len(self.sockets)])

    def close(self) -> None:
        self.context.destroy(0)


def ask(connection: zmq.Socket) -> None:
    connection.send_multipart([b"", *LIST])


def main(words: list[str]) -> int:
    pair = keys.read(Path(words[0]))
    connections, lists, readers = map(int, words[3:])
    crowd = Crowd(pair, words[2].encode(), int(words[1]), connections)
    poller = zmq.Poller()
    for each in crowd.sockets[:readers]:
        poller.register(each, zmq.POLLIN)
    crowd.ask(lists)
    answers, next_word = 0, time.monotonic()
    while True:
        for connection, _event in poller.poll(100):
            connection.recv_multipart()
            answers += 1
            ask(connection)
        if time.monotonic() >= next_word:
            next_word += 1
            print(answers, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
