# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The library's side of port 5556: questions to the client worker, asked again until answered.

A retry sends the same bytes, with the same request id: the client worker knows it by that id, so
that an answer that was lost makes nothing happen twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Callable

from .._deps import need
from ..config.config import Config
from ..model import errors
from ..model.errors import MessageInvalid, PeerSilent, RequestTimeout
from ..model.plain import plain
from ..model.request import (
    HostStatus,
    Placement,
    Request,
    Spec,
    State,
    new_request_id,
)
from ..verbs.clone import CloneSpec
from . import keys, messages, sockets
from .frames import Message, decode, encode

# Seconds.
REPLY_TIMEOUT = 5.0
LONG_POLL = 30
# While many requests go on, news of them are asked for no more often than this.
GATHER = 0.1
# A waiting client outlasts a restart of the client worker, and gives up after this.
MAX_SILENCE = 120.0
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 1.0
ATTEMPTS = 4

Frames = list[bytes]
_REPLIES = {
    "submit": "request",
    "submit_all": "requests",
    "status": "request",
    "wait": "request",
    "wait_all": "requests",
    "cancel": "request",
    "plan": "placement",
    "plan_all": "placements",
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
        self._trouble = ""

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

    def submit(self, spec: Spec, request_id: str | None = None) -> Request:
        """Hand in a request; it is in the client worker's journal when this returns.

        Give the same ``request_id`` to hand in the same request again, also from another process.
        """
        body = {"id": request_id or new_request_id(), "kind": spec.verb, "spec": spec}
        return self._request("submit", body)

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        """Hand in up to 1000 requests, of which all are accepted or none; return what they became.

        Of each, ``id`` and ``spec`` count. The clones are placed together. Raises what
        stands against one of them.
        """
        asked = [{"id": each.id, "kind": each.kind, "spec": each.spec} for each in requests]
        reply = self.call("submit_all", {"requests": asked})
        # Those that did not fit in the answer are asked for one by one: there are few.
        missing = requests[len(reply["requests"]) :]
        return (*reply["requests"], *(self.status(each.id) for each in missing))

    def plan(self, spec: CloneSpec) -> Placement:
        """Tell where a clone would be made now; nothing is reserved."""
        return Placement(**self.call("plan", {"spec": spec}))

    def plan_all(self, specs: Sequence[CloneSpec]) -> tuple[Placement, ...]:
        """Tell where up to 1000 clones, handed in together, would be made now."""
        found: tuple[Placement, ...] = self.call("plan_all", {"specs": specs})["placements"]
        return found

    def status(self, request_id: str) -> Request:
        """Return the request as it stands."""
        return self._request("status", {"id": request_id})

    def list(
        self, states: Iterable[State] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]:
        """Return the newest requests, at most ``limit``, in these states or in all.

        ``name``: only those about the vm of that name.
        """
        body: dict[str, Any] = {}
        if name is not None:
            body["name"] = name
        if chosen := tuple(states):
            body["states"] = chosen
        found: list[Request] = []
        while len(found) < limit:
            asked = min(limit - len(found), messages.MAX_LISTED)
            reply = self.call("list", {**body, "limit": asked})
            found += reply["requests"]
            full = len(reply["requests"]) == asked
            if not reply["requests"] or not (reply.get("more") or full):
                break
            body["before"] = found[-1].id
        return tuple(found)

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
            poll = min(math.ceil(left), LONG_POLL)
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
                    f"request {request_id} ({found.kind} {found.name}) is still"
                    f" {found.state.value} after {timeout:g} s; it goes on"
                )

    def wait_all(
        self,
        request_ids: Iterable[str],
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
    ) -> dict[str, Request]:
        """Wait until up to 1000 requests have ended, at most ``timeout`` seconds; return them.

        The ids are those that the requests have themselves. ``on_change`` gets what changes, as
        with ``wait``. What has not ended when the time is over is returned as it stands.
        """
        end = time.monotonic() + timeout
        seen: dict[str, Request] = {}
        waiting = dict.fromkeys(request_ids, 0)
        while waiting:
            left = max(end - time.monotonic(), 0)
            poll = min(math.ceil(left), LONG_POLL)
            watched = [{"id": each, "version": version} for each, version in waiting.items()]
            body = {"requests": watched, "timeout": poll}
            silence = max(min(left, MAX_SILENCE), self._reply_timeout)
            reply = self._exchange("wait_all", body, poll + self._reply_timeout, silence + poll)
            for found in reply["requests"]:
                seen[found.id] = found
                waiting[found.id] = found.version
                if found.state.ended:
                    del waiting[found.id]
                if on_change:
                    on_change(found)
            if reply.get("more") and not reply["requests"]:
                # Asking again at once would go on for ever.
                raise MessageInvalid("the client worker's answer to wait_all has no request")
            if time.monotonic() >= end and not reply.get("more"):
                break
            if waiting and len(seen) > 1:
                # What else changes meanwhile comes in one answer.
                time.sleep(GATHER)
        return seen

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
        told = plain(body)
        messages.asked(kind, told)
        frames = encode(Message(kind, told))
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
        why = f": {self._trouble}" if self._trouble else ""
        raise PeerSilent(f"the client worker at {where} {how} ({kind}, {total:g} s){why}")

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
            peer = self._config.need_client_worker()
            self._link = sockets.connect_requests(self._context, self._keys, peer)
        return self._link

    def _usable(self, link: sockets.Link) -> bool:
        """Tell whether an answer may still come by this link. Raises AccessDenied."""
        try:
            link.check()
        except PeerSilent:
            return False
        finally:
            self._reached, self._trouble = link.connected, link.trouble
        return not link.lost

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _answer(kind: str, frames: list[bytes]) -> dict[str, Any]:
    reply = decode(frames)
    values = messages.answered(reply.type, reply.body)
    if reply.type == "error":
        raise errors.from_code(values["code"], values["text"])
    if reply.type != _REPLIES[kind]:
        raise MessageInvalid(f"the client worker answered {kind} with {reply.type}")
    return values
