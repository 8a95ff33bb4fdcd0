# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library's side of port 5556: questions to the client worker, asked again until answered.

A retry sends the same bytes, with the same request id: the client worker knows it by that id, so
that an answer that was lost makes nothing happen twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Callable

from .. import errors
from .._deps import need
from ..config import Config
from ..errors import MessageInvalid, PeerSilent, RequestTimeout
from ..model import CloneSpec, HostStatus, Kind, Placement, Request, Spec, State, new_request_id
from . import keys, schema, sockets
from .message import Message, decode, encode

# Seconds.
REPLY_TIMEOUT = 5.0
LONG_POLL = 30
# A waiting client outlasts a restart of the client worker, and gives up after this.
MAX_SILENCE = 120.0
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 1.0
ATTEMPTS = 4

Frames = list[bytes]
_REPLIES = {
    "submit": "request",
    "status": "request",
    "wait": "request",
    "cancel": "request",
    "plan": "placement",
    "list": "requests",
    "hosts": "hosts",
}


class Client:
    """Speaks to the client worker that ``config`` names, with the key of its [library] section.

    To be used as a context manager, by one thread. Every method raises the error that the client
    worker answers (errors.from_code), AccessDenied as soon as it refuses the key, PeerSilent when
    no answer comes, MessageInvalid for one that makes no sense.
    """

    def __init__(
        self, config: Config, reply_timeout: float = REPLY_TIMEOUT, attempts: int = ATTEMPTS
    ) -> None:
        self._config = config
        self._reply_timeout = reply_timeout
        self._attempts = attempts
        self._keys: keys.KeyPair | None = None
        self._context: sockets.Context = None
        self._link: sockets.Link | None = None
        self._reached = False

    def __enter__(self) -> Client:
        peer = self._config.need_client_worker()
        if not peer.insecure:
            self._keys = keys.read(self._config.need_library().secret_key_file)
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

    def submit(self, kind: Kind, spec: Spec, request_id: str | None = None) -> Request:
        """Hand in a request; it is in the client worker's journal when this returns.

        Give the same ``request_id`` to hand in the same request again, also from another process.
        """
        body = {"id": request_id or new_request_id(), "kind": kind, "spec": spec}
        return self._request("submit", body)

    def plan(self, spec: CloneSpec) -> Placement:
        """Tell where a clone would be made now; nothing is reserved."""
        return Placement(**self.call("plan", {"spec": spec}))

    def status(self, request_id: str) -> Request:
        """Return the request as it stands."""
        return self._request("status", {"id": request_id})

    def list(
        self, states: Iterable[State] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]:
        """Return the newest requests, at most ``limit`` (1000), in these states or in all.

        ``name``: only those about the vm of that name.
        """
        body: dict[str, Any] = {"limit": limit}
        if name is not None:
            body["name"] = name
        if chosen := tuple(states):
            body["states"] = chosen
        found: tuple[Request, ...] = self.call("list", body)["requests"]
        return found

    def cancel(self, request_id: str) -> Request:
        """Ask for the request to be cancelled; wait for it to know that it was."""
        return self._request("cancel", {"id": request_id})

    def hosts(self) -> tuple[HostStatus, ...]:
        """Return every host that the client worker knows, by name, with its last report."""
        found: list[HostStatus] = []
        more = True
        while more:
            reply = self.call("hosts", {"after": found[-1].host} if found else {})
            found += reply["hosts"]
            more = reply.get("more", False) and bool(reply["hosts"])
        return tuple(found)

    def wait(
        self,
        request_id: str,
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
    ) -> Request:
        """Wait until the request has ended, at most ``timeout`` seconds, and return it.

        ``on_change`` gets each new version that is seen, the first and the last one too. How the
        request ended is for the caller to look at: a failed one is returned, not raised. Raises
        RequestTimeout when the time is over; the request goes on.
        """
        end = time.monotonic() + timeout
        version = 0
        while True:
            left = max(end - time.monotonic(), 0)
            poll = min(int(left), LONG_POLL)
            body = {"id": request_id, "version": version, "timeout": poll}
            silence = max(min(left, MAX_SILENCE), self._reply_timeout)
            request = self._exchange("wait", body, poll + self._reply_timeout, silence + poll)
            found: Request = request["request"]
            if found.version > version:
                version = found.version
                if on_change:
                    on_change(found)
            if found.state.ended:
                return found
            if time.monotonic() >= end:
                raise RequestTimeout(
                    f"request {request_id} ({found.kind.value} {found.name}) is still"
                    f" {found.state.value} after {timeout:g} s; it goes on"
                )

    def call(self, kind: str, body: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        """Send a message of type ``kind`` until it is answered; return the checked reply's body.

        Each attempt waits ``timeout`` seconds (the client's reply_timeout if None).
        """
        patience = timeout or self._reply_timeout
        return self._exchange(kind, body, patience, patience * self._attempts)

    def _request(self, kind: str, body: dict[str, Any]) -> Request:
        request: Request = self.call(kind, body)["request"]
        return request

    def _exchange(
        self, kind: str, body: dict[str, Any], patience: float, total: float
    ) -> dict[str, Any]:
        plain = schema.plain(body)
        schema.asked(kind, plain)
        frames = encode(Message(kind, plain))
        end = time.monotonic() + total
        pause = _FIRST_PAUSE
        while (left := end - time.monotonic()) > 0:
            reply = self._attempt(frames, min(patience, left))
            if reply is not None:
                return _answer(kind, reply)
            # It may have closed on us at once: don't hammer at it.
            time.sleep(min(pause, max(end - time.monotonic(), 0)))
            pause = min(pause * 2, _MAX_PAUSE)
        peer = self._config.need_client_worker()
        where = sockets.endpoint(peer.address, peer.request_port)
        how = "is connected but does not answer" if self._reached else "can't be reached"
        raise PeerSilent(f"the client worker at {where} {how} ({kind}, {total:g} s)")

    def _attempt(self, frames: Frames, patience: float) -> Frames | None:
        """Send once and return the reply's frames, or None when none will come any more."""
        zmq = need("zmq")
        end = time.monotonic() + patience
        answered = False
        try:
            link = self._connect()
            link.socket.send_multipart(frames)
            poller = zmq.Poller()
            poller.register(link.socket, zmq.POLLIN)
            poller.register(link.monitor, zmq.POLLIN)
            while (left := end - time.monotonic()) > 0:
                ready = dict(poller.poll(left * 1000))
                if link.socket in ready:
                    reply: Frames = link.socket.recv_multipart()
                    answered = True
                    return reply
                link.check()
                self._reached = link.connected
                if link.lost:
                    return None
            return None
        finally:
            if not answered:
                self._drop_link()

    def _connect(self) -> sockets.Link:
        if self._link is not None:
            self._link.check()
            if self._link.lost:
                self._drop_link()
        if self._link is None:
            peer = self._config.need_client_worker()
            self._link = sockets.connect_requests(self._context, self._keys, peer)
        return self._link

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _answer(kind: str, frames: list[bytes]) -> dict[str, Any]:
    reply = decode(frames)
    values = schema.answered(reply.type, reply.body)
    if reply.type == "error":
        raise errors.from_code(values["code"], values["text"])
    if reply.type != _REPLIES[kind]:
        raise MessageInvalid(f"the client worker answered {kind} with {reply.type}")
    return values
