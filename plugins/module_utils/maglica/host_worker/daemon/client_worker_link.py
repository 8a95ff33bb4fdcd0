# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to the client worker and back: a SUB for what it publishes, a REQ for what it is told.

Both are made anew, with growing pauses, whenever libzmq would not get on by itself: after a reply
that did not come, a connection that was lost with a reply owed, and a key that was refused. No call
here waits.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
from collections.abc import Sequence
from typing import Any, Callable

from ..._deps import need
from ...config.config import ClientWorker
from ...model.errors import MaglicaError, MessageInvalid
from ...model.text import told
from ...system.backoff import Backoff
from ...wire import messages as schema
from ...wire import sockets
from ...wire.frames import Message, OtherVersion, decode, encode, topic
from ...wire.keys import KeyPair

_log = logging.getLogger(__name__)

REPLY_SECONDS = 5.0
PAUSES = Backoff(0.25, 4.0)
# As many published messages are taken in at once, so that neither side starves.
DRAIN = 200


class _Line:
    """One link and when to make it again; ``make`` gives a fresh one, to the peer that it is given.

    ``peers`` is the client worker with each of the keys that it may have.
    """

    def __init__(
        self, make: Callable[[ClientWorker], sockets.Link], peers: Sequence[ClientWorker]
    ) -> None:
        self._make = make
        self._peers = peers
        self._other_key = 0
        self._failures = 0
        self._complaint = ""
        self.link: sockets.Link | None = None
        self.retry_at = -math.inf

    def ensure(self, now: float) -> None:
        if self.link is None and now >= self.retry_at:
            self.link = self._make(self._peers[self._other_key % len(self._peers)])
            self.retry_at = math.inf

    def drop(self, now: float, why: str) -> None:
        """Close the link and make another one after a pause."""
        self.renew(now)
        # Many hosts that lost the same client worker must not come back in the same moment.
        pause = PAUSES.pause(self._failures)
        self.retry_at = now + pause * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._failures += 1
        if why != self._complaint:
            self._complaint = why
            _log.warning("%s; trying again", why)

    def renew(self, now: float) -> None:
        """Replace the link, with no pause."""
        if self.link is not None:
            self._other_key += not self.link.was_let_in
            self.link.close()
            self.link = None
        self.retry_at = now

    def has_wrong_key(self) -> bool:
        """Tell whether another key is to be tried. With one key libzmq tries again by itself."""
        return self.link is not None and bool(self.link.trouble) and len(self._peers) > 1

    def succeeded(self) -> bool:
        """Note that the link works; return whether it is back after a failure."""
        was_failing = self._failures > 0
        self._failures = 0
        self._complaint = ""
        return was_failing


class ClientWorkerLink:
    """The client worker as this host reaches it; times are monotonic seconds from the caller."""

    def __init__(self, keys: KeyPair | None, address: ClientWorker, host: str) -> None:
        self._zmq = need("zmq")
        self._context = sockets.context()
        self._topic = topic(host)
        peers = sockets.expected(address)
        self._requests = _Line(
            lambda peer: sockets.connect_requests(self._context, keys, peer), peers
        )
        self._published = _Line(
            lambda peer: sockets.connect_subscriber(self._context, keys, peer, host), peers
        )
        self._reply_until = math.inf
        self._was_connected = False
        self.is_busy = False

    def close(self) -> None:
        """Close both sockets; nothing is waited for."""
        for line in (self._requests, self._published):
            if line.link is not None:
                line.link.close()
        self._context.term()

    def sockets(self) -> list[Any]:
        """Return what to poll for input."""
        links = [line.link for line in (self._requests, self._published) if line.link is not None]
        return [socket for link in links for socket in (link.socket, link.monitor)]

    def wake_at(self) -> float:
        """Return when ``tick`` has something to do at the latest."""
        return min(self._reply_until, self._requests.retry_at, self._published.retry_at)

    def tick(self, now: float) -> None:
        """Make links that are due, and give up what is dead."""
        for line in (self._requests, self._published):
            if line.link is not None:
                try:
                    line.link.check()
                except MaglicaError as error:
                    self._drop(line, now, str(error))
            if line.has_wrong_key():
                self._drop(line, now, line.link.trouble if line.link else "")
            line.ensure(now)
        if self._published.link is not None and self._published.link.connected:
            self._published.succeeded()
        link = self._requests.link
        if link is not None and link.lost:
            if self.is_busy:
                self._drop(self._requests, now, "the connection to the client worker was lost")
            else:
                self._requests.renew(now)
                self._requests.ensure(now)
        elif self.is_busy and now >= self._reply_until:
            silent = f"the client worker is silent for {REPLY_SECONDS:g} s"
            self._drop(self._requests, now, (link.trouble if link else "") or silent)

    def is_new(self) -> bool:
        """Tell whether a connection has come about since the last call."""
        link = self._requests.link
        was, self._was_connected = self._was_connected, link is not None and link.connected
        return self._was_connected and not was

    def can_send(self) -> bool:
        return not self.is_busy and self._requests.link is not None

    def send(self, message: Message, now: float) -> None:
        """Send a message; its reply comes from ``reply``, or ``is_busy`` ends without one."""
        if self._requests.link is None:
            return
        # What can't be queued now is given up when no reply comes.
        with contextlib.suppress(self._zmq.Again):
            self._requests.link.socket.send_multipart(encode(message), self._zmq.NOBLOCK)
        self.is_busy = True
        self._reply_until = now + REPLY_SECONDS

    def reply(self, now: float) -> Message | None:
        """Return the reply if it is there, its body checked; an error for one that is invalid."""
        if self._requests.link is None:
            return None
        try:
            frames = self._requests.link.socket.recv_multipart(self._zmq.NOBLOCK)
        except self._zmq.ZMQError:
            return None
        try:
            message = decode(frames)
            checked = Message(message.type, schema.answered(message.type, message.body))
        except OtherVersion as error:
            self._drop(self._requests, now, f"from the client worker: {error}")
            return None
        except MessageInvalid as error:
            # As a welcome with a request that this host can't read: whatever else is to be told,
            # such as the end of others, has its turn.
            text = told(f"the client worker's reply is invalid: {error}")
            checked = Message("error", {"code": MaglicaError.code, "text": text})
        self.is_busy = False
        self._reply_until = math.inf
        if self._requests.succeeded():
            _log.info("the client worker answers again")
            # A SUB may have missed the end of a partition; a new one surely asks again.
            self._published.renew(now)
        return checked

    def published(self) -> list[Message]:
        """Return what was published to this host since the last call, bodies checked."""
        link = self._published.link
        messages: list[Message] = []
        while link is not None and len(messages) < DRAIN:
            try:
                heading, *frames = link.socket.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.ZMQError:
                break
            try:
                message = decode(frames)
                body = schema.published(message.type, message.body)
            except MessageInvalid as error:
                _log.warning("a published message is invalid: %s", error)
                continue
            if heading == self._topic:
                messages.append(Message(message.type, body))
        return messages

    def _drop(self, line: _Line, now: float, why: str) -> None:
        line.drop(now, why)
        if line is self._requests:
            self.is_busy = False
            self._reply_until = math.inf
