# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody tries who will not go by the protocol: names of functions as types, older versions
and other mechanisms, and bytes and messages that were sent before.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

from maglica.client_worker import (
    broker,
    client_messages,
    dispatch,
    host_messages,
    journal,
    transactions,
)
from maglica.model.errors import AccessDenied
from maglica.model.plain import plain
from maglica.model.request import Request
from maglica.wire import messages, sockets
from maglica.wire.frames import VERSION, Message, decode, encode, topic
from support import zmtp
from support.client_worker import LOOPBACK, Peer
from support.figures import Figure, at_most, control
from support.reports import clone, report, vm
from support.tap import Conversation, Tap

from .frame import Run
from .matrix import FORGED_CPUS, OTHER, OWN
from .stage import Stage, roomy, staged

SECONDS = 0.7
MODULES = (broker, client_messages, dispatch, transactions, host_messages, journal)
CLASSES = (broker.Broker, transactions.Engine, journal.Journal, dict, object, Peer)
OLD_VERSIONS = (b"", b"MGL", b"MGL0", b"mgl2", b"MGL2\0", b" MGL2", b"MGL3", b"\xff", b"2")


def figures(run: Run) -> Iterator[Figure]:
    with staged(run.folder / "intruder") as stage:
        tried, wrong = private(stage, private_names()[:: 5 if run.short else 1])
        run.say(f"{tried} private names, wrong: {wrong}")
        how = f"names of functions and replies as types, by 3 roles: {tried}"
        yield at_most("private methods: wrong decisions", len(wrong), 0, how)
        tried, wrong = downgrades(stage)
        run.say(f"{tried} downgrades, wrong: {wrong}")
        how = f"ZMTP 1 to 3, NULL, PLAIN, both ports; older frames: {tried}"
        yield at_most("downgrades: wrong decisions", len(wrong), 0, how)
        tried, wrong = replays(stage)
        run.say(f"{tried} recorded connections, wrong: {wrong}")
        how = f"recorded connections to both ports sent again: {tried}"
        yield at_most("replayed connections: wrong decisions", len(wrong), 0, how)
        tried, wrong = repeats(stage)
        run.say(f"{tried} repeated messages, wrong: {wrong}")
        how = f"submits, results and hellos sent again by keys: {tried}"
        yield at_most("replayed messages: wrong decisions", len(wrong), 0, how)
    with staged(run.folder / "types", protection="types") as stage:
        _tried, wrong = private(stage, dir(client_messages))
    how = "with functions looked up by the type"
    yield control("private methods: wrong decisions", len(wrong), how)
    with staged(run.folder / "ends", protection="ends") as stage:
        _tried, wrong = repeats(stage)
    how = "with reports taken in of what has ended"
    yield control("replayed messages: wrong decisions", len(wrong), how)
    with staged(run.folder / "plain", insecure=True) as stage:
        _tried, wrong = downgrades(stage)
        yield control("downgrades: wrong decisions", len(wrong), "without CURVE")
        _tried, wrong = replays(stage)
        yield control("replayed connections: wrong decisions", len(wrong), "without CURVE")


def private_names() -> list[str]:
    """Return what the code calls its own parts, and what only the client worker may say."""
    found = {name for place in (*MODULES, *CLASSES) for name in dir(place)}
    found |= {f"{kind}.__call__" for kind in messages.ASKED} | {
        f"{kind} " for kind in messages.ASKED
    }
    found |= {f"{kind}\0" for kind in messages.ASKED} | {kind.upper() for kind in messages.ASKED}
    return sorted((found | messages.ANSWERED.keys()) - messages.ASKED.keys())


def private(stage: Stage, names: Sequence[str]) -> tuple[int, list[str]]:
    """Send messages whose types are names of the code's own."""
    peers = [stage.admin, stage.peer("observer", "eve"), stage.hosts[OWN]]
    wrong = []
    for peer in peers:
        for name in names:
            peer.connect().send_multipart([VERSION, name.encode(), b"{}"])
            answer, body = peer.receive()
            if (answer, body.get("code")) != ("error", "message_invalid"):
                wrong.append(f"{peer.name if peer.keys else 'anybody'}: {name}")
    return len(peers) * len(names), wrong


def downgrades(stage: Stage) -> tuple[int, list[str]]:
    """Speak older versions and other mechanisms, to both ports."""
    publish, request = stage.worker.ports
    said = {
        (port, how): text
        for port, kind, parts in (
            (request, "REQ", [b"", VERSION, b"hosts", b"{}"]),
            (publish, "SUB", [b"\1" + topic(OWN)]),
        )
        for how, text in zmtp.downgrades(kind, parts).items()
    }
    with ExitStack() as stack:
        connections = {}
        for case, text in said.items():
            raw = stack.enter_context(socket.create_connection((LOOPBACK, case[0]), 5))
            with suppress(OSError):
                raw.sendall(text)
            connections[case] = raw
        time.sleep(SECONDS)
        stage.clone(OWN)
        time.sleep(SECONDS)
        wrong = [str(case) for case, raw in connections.items() if VERSION in _read(raw, 0.01)]
    for version in OLD_VERSIONS:
        stage.admin.connect().send_multipart([version, b"hosts", b"{}"])
        answer, body = stage.admin.receive()
        if (answer, body.get("code")) != ("error", "message_invalid"):
            wrong.append(f"frames of version {version!r}")
    return len(said) + len(OLD_VERSIONS), wrong


def _read(raw: socket.socket, patience: float) -> bytes:
    """Return what comes until nothing comes for so many seconds."""
    raw.settimeout(patience)
    heard = b""
    with suppress(OSError):
        while data := raw.recv(1 << 16):
            heard += data
    return heard


def replays(stage: Stage) -> tuple[int, list[str]]:
    """Record a host's connections, and send all its bytes again later."""
    publish, request = stage.worker.ports
    host, where = stage.hosts[OTHER], stage.worker.where
    hello = {"host": OTHER, "report": report(cpus=FORGED_CPUS), "requests": []}
    with Tap(request) as asked, Tap(publish) as heard:
        tapped = replace(where, request_port=asked.port, publish_port=heard.port)
        link = sockets.connect_requests(stage.worker.context, host.keys, tapped)
        link.socket.send_multipart(encode(Message("hello", plain(hello))))
        assert link.socket.poll(60000)
        assert decode(link.socket.recv_multipart()).type == "welcome"
        link.close()
        link = sockets.connect_subscriber(stage.worker.context, host.keys, tapped, OTHER)
        # Subscribed as soon as the first message comes.
        while not link.socket.poll(100):
            stage.clone(OTHER)
        link.close()
    host.hello(roomy())
    wrong = []
    for conversation, port in (
        (asked.conversations[0], request),
        (heard.conversations[0], publish),
    ):
        with socket.create_connection((LOOPBACK, port), 5) as raw:
            answered = _again(raw, conversation)
            stage.clone(OTHER)
            answered += _read(raw, SECONDS)
        # Beyond the greeting and WELCOME nothing is said to a client that can't prove its key.
        if stage.cpus(OTHER) == FORGED_CPUS or len(answered) > 64 + 170:
            wrong.append(f"port {port}: {len(answered)} bytes")
    return 2, wrong


def _again(raw: socket.socket, conversation: Conversation) -> bytes:
    """Say what was said, at the same points; return the answers."""
    answered = b""
    with suppress(OSError):
        for by_client, data in conversation.said:
            if by_client:
                raw.sendall(data)
            else:
                answered += _read(raw, 0.05)
    return answered


def repeats(stage: Stage) -> tuple[int, list[str]]:
    """Send messages again that were valid once; what has ended stays as it is."""
    own, other = stage.hosts[OWN], stage.hosts[OTHER]
    second = stage.peer("client", "second")
    body = clone("repeated", host=OWN, memory_mib=16)
    request = stage.admin.request("submit", **body)
    found: dict[str, bool] = {}

    def say(what: str, peer: Peer, asked: str, /, **said: Any) -> tuple[str, dict[str, Any]]:
        before = _seen(stage, request)
        answer = peer.ask(asked, **said)
        found[what] = before == _seen(stage, request)
        return answer

    def count() -> int:
        return len(stage.admin.ask("list", name="repeated")[1]["requests"])

    # Handed out, so that nothing moves by itself any more.
    own.tell("ack", request)
    say("submit again", stage.admin, "submit", **body)
    say("submit again, another key", second, "submit", **body)
    answer = say("submit, other content", second, "submit", **{**body, **_other(request)})
    found["is a conflict"] = answer[1].get("code") == "request_conflict"
    found["one request"] = count() == 1
    for kind, more in (("ack", {}), ("result", {"state": "failed", "failure": _FAILURE})):
        answer = say(f"{kind} by another host", other, kind, host=OTHER, id=request.id, **more)
        found[f"{kind} by another host is denied"] = answer[1].get("code") == AccessDenied.code
    own.done(request)
    result = {"host": OWN, "id": request.id, "state": "done", "phases": [], "vm": vm(request)}
    say("result again", own, "result", **result)
    say("another result", own, "result", **{**result, "state": "cancelled", "vm": None})
    say("ack of what has ended", own, "ack", host=OWN, id=request.id)
    late = {"phase": "copy", "phases": []}
    say("progress of what has ended", own, "progress", host=OWN, id=request.id, **late)
    say("cancel of what has ended", second, "cancel", id=request.id)
    say("submit of what has ended", stage.admin, "submit", **body)
    found["one request still"] = count() == 1
    forged = {"host": OWN, "report": report(cpus=FORGED_CPUS), "requests": []}
    answer = say("hello of another host", other, "hello", **forged)
    found["hello of another host is denied"] = answer[1].get("code") == AccessDenied.code
    return len(found), [what for what, right in found.items() if not right]


_FAILURE = {"code": "error", "text": "forged"}


def _other(request: Request) -> dict[str, Any]:
    return {"id": request.id, "spec": {"name": "repeated", "image": "another.original"}}


def _seen(stage: Stage, request: Request) -> tuple[Request, int]:
    return stage.admin.request("status", id=request.id), stage.cpus(OWN)
