# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy before a port of a worker that keeps all bytes which pass it."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"


@dataclass
class Conversation:
    """One connection: what was said, in order, and by whom (True: the one who connected)."""

    said: list[tuple[bool, bytes]] = field(default_factory=list)

    def by(self, client: bool) -> bytes:
        return b"".join(data for who, data in self.said if who is client)


class Tap:
    """Use as a context manager; connect to ``port`` instead of ``target``."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.conversations: list[Conversation] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Tap:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self.cut()

    @property
    def heard(self) -> bytes:
        """All bytes, of both sides."""
        return b"".join(data for each in self.conversations for _who, data in each.said)

    def cut(self) -> None:
        """End all connections; those who connected do so again."""
        while self._sockets:
            with contextlib.suppress(OSError):
                self._sockets.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                far = socket.create_connection((LOOPBACK, self.target))
                self._sockets += [near, far]
                conversation = Conversation()
                self.conversations.append(conversation)
                for source, sink, client in ((near, far, True), (far, near, False)):
                    threading.Thread(
                        target=_pass, args=(source, sink, conversation, client), daemon=True
                    ).start()


def _pass(
    source: socket.socket, sink: socket.socket, conversation: Conversation, client: bool
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            conversation.said.append((client, data))
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
