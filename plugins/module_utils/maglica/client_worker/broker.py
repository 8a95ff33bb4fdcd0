# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker's sockets and the loop that serves them; one thread does it all.

Whose key a message or a subscription came with is libzmq's ``User-Id``, which the answer to ZAP set
for the connection; a message without one is nobody's.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .._deps import need
from ..config.config import ClientWorker
from ..model.errors import ConfigInvalid, LimitExceeded, MessageInvalid
from ..system import systemd
from ..system.log_limit import LogLimit
from ..wire import sockets
from ..wire.frames import Message, encode, topic
from ..wire.keys import KeyPair
from .access import AccessFile, Table
from .dispatch import Incoming, identify
from .inbox import Inbox
from .state import Context, error_message
from .transactions import Engine, Outcome
from .zap import zap

logger = logging.getLogger(__name__)

# What is taken at once from one socket before the others have their turn; of messages so many, or
# as many as come in this time, are put into the inbox.
EVENTS_AT_ONCE = 256
RECEIVED_AT_ONCE = 4096
RECEIVE_SECONDS = 0.02
# Frames beyond these are read and dropped: routing id, empty delimiter, message, and some to spare.
MAX_FRAMES = 8
# A REQ with REQ_CORRELATE puts a frame of four bytes before the empty one.
MAX_CORRELATION = 8
REBIND_SECONDS = 5.0
# libzmq keeps each topic that a host asks for, also a refused one, as long as its connection lasts,
# and takes long to forget very many. Who asks for so many is cut off, and stays out for a while.
MAX_REFUSED_TOPICS = 500
SHUT_OUT_SECONDS = 60.0
REPORT_SECONDS = 600.0


class Broker:
    """Serves until ``stop``; ``access`` None means no CURVE."""

    def __init__(
        self,
        engine: Engine,
        context: Context,
        *,
        where: ClientWorker,
        bind: str,
        keys: KeyPair | None,
        access: AccessFile | None,
    ) -> None:
        self._engine = engine
        self._context = context
        self._where = where
        self._bind = bind
        self._keys = keys
        self._access = access
        self._inbox = Inbox()
        self._refusals = LogLimit(logger)
        # By key: how many topics were refused, and until when it may not use the publish port.
        self._refused_topics: Counter[str] = Counter()
        self._shut_out: dict[str, float] = {}
        self._running = True
        self._reported: dict[str, int] = {}
        self._next_report = 0.0
        self._zmq = need("zmq")

    def stop(self) -> None:
        """Let ``serve`` return soon; may be called by a signal handler."""
        self._running = False

    def open(self) -> None:
        """Bind the sockets. Raises ConfigInvalid when an address can't be bound."""
        _seed()
        where, ctx = self._where, sockets.context()
        self._ctx = ctx
        # ZAP first: until somebody answers there, every handshake fails.
        self._zap = sockets.bind_zap(ctx)
        self._requests = sockets.bind_requests(ctx, self._keys, self._bind, where.request_port)
        self._publisher = sockets.bind_publisher(ctx, self._keys, self._bind, where.publish_port)
        self._poller = self._zmq.Poller()
        for socket in (self._zap, self._requests, self._publisher):
            self._poller.register(socket, self._zmq.POLLIN)
        self._watches = {
            socket: self._watch(socket) for socket in (self._requests, self._publisher)
        }

    def close(self) -> None:
        for socket in (self._requests, self._publisher):
            self._end(socket)
        self._ctx.destroy(linger=0)

    def serve(self, wakeup: int) -> None:
        """Serve until ``stop``; data on the file descriptor ``wakeup`` ends a wait early."""
        self._poller.register(wakeup, self._zmq.POLLIN)
        watchdog = systemd.Watchdog()
        while self._running:
            watchdog.turned()
            patience = 0.0 if self._inbox else self._engine.patience()
            ready = dict(self._poller.poll(max(1, int(patience * 1000)) if patience else 0))
            self._refresh_access()
            if wakeup in ready:
                os.read(wakeup, 4096)
            if self._zap in ready:
                self._answer_zap()
            if self._publisher in ready:
                self._take_subscriptions()
            for watch in self._watches.values():
                if watch in ready:
                    self._count_handshakes(watch)
            if self._requests in ready:
                self._send(self._receive())
            self._send(self._engine.handle(self._inbox.turn()))
            self._send(self._engine.tick())
            if time.monotonic() >= self._next_report:
                self._next_report = time.monotonic() + REPORT_SECONDS
                self.report_rejects(only_news=True)
                if self._access is not None:
                    self._access.remind()

    def report_rejects(self, only_news: bool = False) -> None:
        """Log how often each kind of message was rejected."""
        counts = dict(self._context.rejects)
        if counts != self._reported or not only_news:
            self._reported = counts
            text = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
            logger.info("rejected so far: %s", text or "nothing")

    def _refresh_access(self) -> None:
        if self._access is None or not self._access.refresh():
            return
        before, self._context.table = self._context.table, self._access.table
        self._engine.admit(self._access.table.hosts)
        self._send(self._engine.revoke())
        logger.info("read %s: %d keys", self._access.path, len(self._access.table.peers))
        listeners = {k: p for k, p in (before.peers if before else {}).items() if p.is_host(p.name)}
        if any(self._access.table.peers.get(key) != caller for key, caller in listeners.items()):
            self._end_subscriptions()

    def _end_subscriptions(self) -> None:
        """Disconnect all hosts: libzmq can't end the one connection whose key was revoked.

        Those whose keys are good are back within moments and get what they missed.
        """
        self._poller.unregister(self._publisher)
        self._end(self._publisher)
        end = time.monotonic() + REBIND_SECONDS
        while True:
            try:
                self._publisher = sockets.bind_publisher(
                    self._ctx, self._keys, self._bind, self._where.publish_port
                )
                break
            except ConfigInvalid:
                # The closed socket lets its port go a moment later, in libzmq's own thread.
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)
        self._poller.register(self._publisher, self._zmq.POLLIN)
        self._watches[self._publisher] = self._watch(self._publisher)

    def _watch(self, socket: sockets.Socket) -> sockets.Socket:
        watch = sockets.watch_handshakes(self._ctx, socket)
        self._poller.register(watch, self._zmq.POLLIN)
        return watch

    def _end(self, socket: sockets.Socket) -> None:
        """Close a bound socket and what watches it."""
        watch = self._watches.pop(socket)
        self._poller.unregister(watch)
        socket.disable_monitor()
        watch.close(0)
        socket.close(0)

    def _count_handshakes(self, watch: sockets.Socket) -> None:
        for _turn in range(EVENTS_AT_ONCE):
            try:
                watch.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            self._context.rejects["handshake"] += 1

    def _answer_zap(self) -> None:
        for _turn in range(EVENTS_AT_ONCE):
            try:
                frames = self._zap.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            now = time.monotonic()
            self._shut_out = {key: end for key, end in self._shut_out.items() if end > now}
            verdict = zap(frames, self._context.table or Table(), self._shut_out.keys())
            if verdict.refusal:
                self._context.rejects["connection"] += 1
                self._refusals.warning(verdict.cause, f"refused a connection: {verdict.refusal}")
            self._zap.send_multipart(verdict.frames)

    def _take_subscriptions(self) -> None:
        zmq = self._zmq
        for _turn in range(EVENTS_AT_ONCE):
            try:
                frame = self._publisher.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            data = bytes(frame.buffer)
            if data[:1] == b"\1":
                self._subscribe(data[1:], self._user_id(frame))
            elif data[:1] == b"\0" and self._user_id(frame):
                # One from a connection that broke has no User-Id; libzmq has removed it already.
                self._publisher.setsockopt(zmq.UNSUBSCRIBE, data[1:])
            if max(self._refused_topics.values(), default=0) >= MAX_REFUSED_TOPICS:
                self._cut_off()
                return

    def _cut_off(self) -> None:
        """End the connections of the host that asks for topic after topic that is not its own."""
        ((key, count),) = self._refused_topics.most_common(1)
        self._refused_topics.clear()
        self._shut_out[key] = time.monotonic() + SHUT_OUT_SECONDS
        who = identify(self._context, key) or "nobody"
        why = f"it has asked for {count} topics that are not its own"
        logger.warning("%s is cut off for %g s: %s", who, SHUT_OUT_SECONDS, why)
        self._end_subscriptions()

    def _subscribe(self, wanted: bytes, key: str | None) -> None:
        caller = identify(self._context, key)
        host = wanted[:-1].decode("ascii", "replace")
        try:
            allowed = caller is not None and caller.is_host(host) and topic(host) == wanted
        except UnicodeEncodeError:
            allowed = False
        if not allowed:
            self._context.rejects["subscription"] += 1
            self._refused_topics[key or ""] += 1
            who = str(caller or "nobody")
            text = f"refused a subscription of {who} to {wanted[:100]!r}"
            self._refusals.warning(f"subscription of {who}", text)
            return
        self._publisher.setsockopt(self._zmq.SUBSCRIBE, wanted)
        self._engine.subscribed(host)

    def _receive(self) -> Outcome:
        """Put what has come into the inbox; return the answers to what is not let in."""
        refusals = Outcome()
        end = time.monotonic() + RECEIVE_SECONDS
        for _turn in range(RECEIVED_AT_ONCE):
            try:
                first = self._requests.recv(self._zmq.NOBLOCK, copy=False)
            except self._zmq.Again:
                break
            key, address = self._user_id(first), self._property(first, "Peer-Address")
            frames = [bytes(first.buffer)]
            while self._requests.getsockopt(self._zmq.RCVMORE):
                frame = self._requests.recv(copy=False)
                # libzmq 4.3.4 leaves the id off the first frame when the socket was polled.
                key = key or self._user_id(frame)
                address = address or self._property(frame, "Peer-Address")
                if len(frames) <= MAX_FRAMES:
                    frames.append(bytes(frame.buffer))
            incoming = _incoming(frames, key, address or "")
            error = self._inbox.put(incoming)
            if error is not None:
                self._context.rejects[
                    "quota" if isinstance(error, LimitExceeded) else "frames"
                ] += 1
                refusals.replies.append((incoming.envelope, error_message(error)))
            if time.monotonic() >= end:
                break
        return refusals

    def _user_id(self, frame: Any) -> str | None:
        return self._property(frame, "User-Id")

    def _property(self, frame: Any, name: str) -> str | None:
        """Return what libzmq knows of the connection that a frame came by."""
        try:
            value: str = frame.get(name)
        except self._zmq.ZMQError:
            return None
        return value

    def _send(self, outcome: Outcome) -> None:
        encoded: dict[int, list[bytes]] = {}
        for envelope, message in outcome.replies:
            # Many may wait for the same.
            frames = encoded.get(id(message))
            if frames is None:
                frames = encoded[id(message)] = _frames(message)
            self._put(self._requests, [*envelope, *frames])
        for where, message in outcome.publications:
            try:
                frames = encode(message)
            except MessageInvalid as error:
                logger.error("what is to be published can't be sent: %s", error)
                continue
            self._put(self._publisher, [where, *frames])

    def _put(self, socket: sockets.Socket, frames: Sequence[bytes]) -> None:
        """Send without waiting: a peer that is gone, or does not read, asks again later."""
        try:
            socket.send_multipart(frames, self._zmq.NOBLOCK)
        except self._zmq.ZMQError as error:
            # Of the publisher neither comes: it drops what a host does not read.
            if error.errno not in (self._zmq.EAGAIN, self._zmq.EHOSTUNREACH):
                raise
            self._context.rejects["unsent"] += 1


def _seed() -> None:
    """Let libzmq number the connections from a start that nobody can know.

    It takes the start from the C library's ``rand``, whose seed it leaves as it always is, and ends
    the process when a peer has chosen, as its routing id, the number of a connection to come.
    """
    ctypes.CDLL(None).srand(int.from_bytes(os.urandom(4), "little"))


def _frames(message: Message) -> list[bytes]:
    """Return a reply's frames; one that can't be sent becomes an error."""
    try:
        return encode(message)
    except MessageInvalid as error:
        logger.error("a reply can't be sent: %s", error)
        return encode(error_message(error))


def _incoming(frames: list[bytes], key: str | None, address: str = "") -> Incoming:
    """Part a message into the way back (up to the empty delimiter) and what was sent."""
    end = frames.index(b"", 1) + 1 if b"" in frames[1:3] else 0
    # The way back is kept as long as a peer waits: nobody may store more in it than libzmq does.
    if not end or sum(map(len, frames[1:end])) > MAX_CORRELATION:
        # Not from a REQ. The reply needs a delimiter all the same; the frames will be refused.
        return Incoming((frames[0], b""), key, [], address)
    return Incoming(tuple(frames[:end]), key, frames[end:], address)
