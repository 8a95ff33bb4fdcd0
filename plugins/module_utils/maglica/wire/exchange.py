# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the client worker, on port 5556, again and again until there is an answer.

A retry sends the same bytes, with the same request ids: the client worker knows them by that id, so
that an answer that was lost makes nothing happen twice.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, TypeVar

from .._deps import need
from ..config.config import ClientWorker, Config
from ..model import errors
from ..model.errors import AccessDenied, MessageInvalid, PeerSilent
from ..model.plain import plain
from ..system.backoff import Backoff
from . import features, keys, messages, reach, sockets
from .frames import Message, OtherVersion, decode, encode

# Seconds.
REPLY_TIMEOUT = 5.0
_PAUSES = Backoff(0.1, 1.0)
ATTEMPTS = 4
# So long somebody who was never connected waits for a client worker that is not there: it may be
# about to start.
STARTS_WITHIN = 8.0

Frames = list[bytes]
_Self = TypeVar("_Self", bound="Exchange")
_REPLIES = {
    "submit": ("requests", "placements"),
    "status": ("requests",),
    "list": ("requests",),
    "wait": ("requests",),
    "cancel": ("requests",),
    "hosts": ("hosts",),
    "domains": ("domains",),
}


class Exchange:
    """A way to the client worker that ``config`` names, with the key of its [library] section.

    To be used as a context manager, by one thread.
    """

    def __init__(
        self, config: Config, reply_timeout: float = REPLY_TIMEOUT, attempts: int = ATTEMPTS
    ) -> None:
        self._config = config
        self.reply_timeout = reply_timeout
        self._attempts = attempts
        self._keys: keys.KeyPair | None = None
        self._context: sockets.Context = None
        self._link: sockets.Link | None = None
        # Of the keys that the client worker may have, which is tried.
        self._other_key = 0
        self._reached = False
        self._met = False
        self._begun = 0.0
        self._trouble = ""
        # The features that the client worker knows, None until it has said so.
        self.features: frozenset[str] | None = None

    def __enter__(self: _Self) -> _Self:
        peer = self._config.need_client_worker()
        if not peer.insecure:
            self._keys = keys.of(self._config.need_library())
        self._context = sockets.context()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drop_link()
        self._context.term()

    def call(self, kind: str, body: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        """Send a message of type ``kind`` until it is answered; return the checked reply's body.

        Each attempt waits ``timeout`` seconds (the client's reply_timeout if None).
        """
        patience = timeout or self.reply_timeout
        return self.exchange(kind, body, patience, patience * self._attempts)

    def exchange(
        self, kind: str, body: dict[str, Any], patience: float, total: float
    ) -> dict[str, Any]:
        told = {**plain(body), "features": list(features.OWN)}
        messages.asked(kind, told)
        frames = encode(Message(kind, told))
        self._begun = time.monotonic()
        end = self._begun + total
        failures = 0
        while (left := end - time.monotonic()) > 0:
            try:
                reply = self._attempt(frames, min(patience, left))
                if reply is not None:
                    return self._answer(kind, reply)
            except AccessDenied:
                # Whoever waits while the key is replaced goes on with the new one.
                if not self._has_new_key():
                    raise
            # It may have closed on us at once: don't hammer at it.
            time.sleep(min(_PAUSES.pause(failures), max(end - time.monotonic(), 0)))
            failures += 1
        if self._reached:
            raise PeerSilent(
                f"the client worker at {self._where()} is connected but does not answer ({kind},"
                f" {total:g} s)"
            )
        peer = self._config.need_client_worker()
        why = self._trouble or reach.refused(peer.address, peer.request_port)
        raise self._unreached(why or f"it has not answered within {total:g} s")

    def _has_new_key(self) -> bool:
        """Tell whether the key's file has another key than the one that is in use; use it."""
        before = self._keys
        if before is not None:
            self._keys = keys.of(self._config.need_library())
            self._drop_link()
        return self._keys != before

    def _attempt(self, frames: Frames, patience: float) -> Frames | None:
        """Send once and return the reply's frames, or None when none will come any more."""
        zmq = need("zmq")
        end = time.monotonic() + patience
        answered = False
        try:
            link = self._connect()
            if not self._send(link, frames, end):
                return None
            poller = zmq.Poller()
            poller.register(link.socket, zmq.POLLIN)
            poller.register(link.monitor, zmq.POLLIN)
            while (left := end - time.monotonic()) > 0:
                ready = dict(poller.poll(left * 1000))
                if link.socket in ready:
                    reply: Frames = link.socket.recv_multipart()
                    answered = True
                    return reply
                if not self._usable(link):
                    return None
            return None
        finally:
            if not answered:
                self._drop_link()

    def _send(self, link: sockets.Link, frames: Frames, end: float) -> bool:
        """Send; False when the connection ends before that, as it may as soon as it has begun.

        ZeroMQ would then wait for ever for another one.
        """
        zmq = need("zmq")
        while (left := end - time.monotonic()) > 0:
            try:
                link.socket.send_multipart(frames, zmq.NOBLOCK)
                return True
            except zmq.Again:
                if link.monitor.poll(left * 1000) and not self._usable(link):
                    return False
        return False

    def _connect(self) -> sockets.Link:
        if self._link is not None and not self._usable(self._link):
            self._drop_link()
        if self._link is None:
            peers = self._peers
            peer = peers[self._other_key % len(peers)]
            self._link = sockets.connect_requests(self._context, self._keys, peer)
        return self._link

    @property
    def _peers(self) -> list[ClientWorker]:
        return sockets.expected(self._config.need_client_worker())

    def _usable(self, link: sockets.Link) -> bool:
        """Tell whether an answer may still come by this link. Raises AccessDenied."""
        try:
            link.check()
        except PeerSilent:
            return False
        finally:
            self._reached, self._trouble = link.connected, link.trouble
        self._met = self._met or link.connected
        if link.failed and not self._met:
            self._give_up(link)
        if link.trouble and len(self._peers) > 1:
            return False
        return not link.lost

    def _give_up(self, link: sockets.Link) -> None:
        """Raise PeerSilent when a client worker that was never met will not be there soon."""
        link.failed = False
        peer = self._config.need_client_worker()
        why = reach.unresolved(peer.address)
        if why is None and time.monotonic() - self._begun > STARTS_WITHIN:
            why = reach.refused(peer.address, peer.request_port)
        if why is not None:
            raise self._unreached(why)

    def _unreached(self, why: str) -> PeerSilent:
        return PeerSilent(f"the client worker at {self._where()} can't be reached: {why}")

    def _drop_link(self) -> None:
        if self._link is not None:
            self._other_key += not self._link.was_let_in
            self._link.close()
            self._link = None

    def _answer(self, kind: str, frames: Frames) -> dict[str, Any]:
        try:
            reply = decode(frames)
        except OtherVersion as error:
            raise MessageInvalid(f"from the client worker at {self._where()}: {error}") from error
        values = messages.answered(reply.type, reply.body)
        if reply.type in messages.NAMING_FEATURES:
            self.features = frozenset(values.get("features", ()))
        if reply.type == "error":
            raise errors.from_code(values["code"], values["text"])
        if reply.type not in _REPLIES[kind]:
            raise MessageInvalid(f"the client worker answered {kind} with {reply.type}")
        return values

    def _where(self) -> str:
        peer = self._config.need_client_worker()
        return sockets.endpoint(peer.address, peer.request_port)
