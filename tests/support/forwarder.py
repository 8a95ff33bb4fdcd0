# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP forwarder whose first connections go wrong."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Sequence

LOOPBACK = "127.0.0.1"
# What becomes of a connection: it is closed at once, or nothing is ever said on it. Any other bytes
# are said, then it is closed.
DROPPED = b""
SILENT = None


class Forwarder:
    """Listens on ``port``; the first connections fare as ``left`` says, the others reach ``to``."""

    def __init__(self, to: int, fates: Sequence[bytes | None]) -> None:
        self.left = list(fates)
        self._to = to
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent: list[socket.socket] = []
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Forwarder:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        os.write(self._stop, b"x")
        self._thread.join()
        for each in (self._listener, *self._pairs, *self._silent):
            each.close()
        os.close(self._stop)
        os.close(self._stopped)

    def cut(self) -> None:
        """Break all connections that are forwarded."""
        for each in list(self._pairs):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._stopped, selectors.EVENT_READ)
            while True:
                for key, _events in ready.select():
                    if key.fileobj == self._stopped:
                        return
                    if key.fileobj is self._listener:
                        self._accept(ready)
                    elif key.fileobj in self._pairs:
                        self._pass_on(ready, key.fileobj)

    def _accept(self, ready: selectors.BaseSelector) -> None:
        peer, _address = self._listener.accept()
        if not self.left:
            server = socket.create_connection((LOOPBACK, self._to))
            for one, other in ((peer, server), (server, peer)):
                self._pairs[one] = other
                ready.register(one, selectors.EVENT_READ)
        elif (fate := self.left.pop(0)) is SILENT:
            self._silent.append(peer)
        else:
            with contextlib.suppress(OSError), peer:
                peer.sendall(fate)

    def _pass_on(self, ready: selectors.BaseSelector, one: socket.socket) -> None:
        other = self._pairs[one]
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(1 << 16)
            other.sendall(data)
        if not data:
            for each in (one, other):
                del self._pairs[each]
                ready.unregister(each)
                each.close()
