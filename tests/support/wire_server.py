# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ROUTER with CURVE and ZAP whose answers a test decides, in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import zmq
from maglica.config.config import ClientWorker, Config, Library
from maglica.wire import keys, sockets
from maglica.wire.frames import Message, decode, encode
from support.ports import LOOPBACK, free_port
from zmq.utils import z85

Answer = Callable[[Message], "Message | list[bytes] | None"]


class WireServer:
    """Answers with ``answer(message)``: a message, raw frames, or None for silence.

    ``heard`` has every message that came. ``port`` stays the same over ``stop`` and ``start``.
    """

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.answer = answer
        self.heard: list[Message] = []
        self.keys = keys.make(folder / "client_worker.key")
        self.allowed = {keys.make(folder / "library.key").public}
        self.port = 0
        self._folder = folder
        self._thread: threading.Thread | None = None

    def config(self, **changes: object) -> Config:
        """What a library needs to speak to this server."""
        peer = {"address": LOOPBACK, "request_port": self.port}
        peer["public_key"] = self.keys.public.decode()
        return Config(
            path=self._folder / "maglica.conf",
            client_worker=ClientWorker(**{**peer, **changes}),
            library=Library(self._folder / "library.key"),
        )

    def start(self) -> None:
        context = sockets.context()
        zap = sockets.bind_zap(context)
        self.port = self.port or free_port()
        router = sockets.bind_requests(context, self.keys, LOOPBACK, self.port)
        stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(context, zap, router, stopped))
        self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            os.close(self._stop)
            self._thread.join()
            self._thread = None

    def _run(self, context: zmq.Context, zap: zmq.Socket, router: zmq.Socket, stopped: int) -> None:
        poller = zmq.Poller()
        for source in (stopped, zap, router):
            poller.register(source, zmq.POLLIN)
        try:
            while stopped not in (ready := dict(poller.poll())):
                if zap in ready:
                    self._admit(zap)
                if router in ready:
                    self._reply(router)
        finally:
            context.destroy()
            os.close(stopped)

    def _admit(self, zap: zmq.Socket) -> None:
        question = zap.recv_multipart()
        public = z85.encode(question[6])
        status = [b"200", b"", public, b""] if public in self.allowed else [b"400", b"", b"", b""]
        zap.send_multipart([*question[:2], *status])

    def _reply(self, router: zmq.Socket) -> None:
        peer, empty, *frames = router.recv_multipart()
        message = decode(frames)
        self.heard.append(message)
        reply = self.answer(message)
        if reply is not None:
            frames = reply if isinstance(reply, list) else encode(reply)
            try:
                router.send_multipart([peer, empty, *frames])
            except zmq.ZMQError as error:
                # The peer has not waited for it.
                if error.errno != zmq.EHOSTUNREACH:
                    raise


def script(replies: Iterable[Message | list[bytes] | None]) -> Answer:
    """Return an answer that gives one reply after the other, and silence afterwards."""
    left = list(replies)
    return lambda message: left.pop(0) if left else None
