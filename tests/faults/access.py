# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of peer sends every type of message and subscribes to every kind of topic.

faults/matrix.py has the decisions as they must be; faults/intruder.py what is tried beside them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import zmq
from maglica.model.plain import plain
from maglica.wire import keys, messages, sockets
from maglica.wire.frames import Message, encode, topic
from support.client_worker import LOOPBACK, Host
from support.figures import Figure, at_least, at_most, control

from . import intruder, matrix
from .frame import Run
from .matrix import OTHER, OWN
from .stage import Stage, roomy, staged

# How long those may take who must hear something; then, how long the others are listened to.
PATIENCE = 60.0
SETTLE_SECONDS = 0.6
PARTS = ("owners", "strangers", "subscriptions")
STRANGERS = ("unknown key", "NULL", "PLAIN", "key of another client worker")
TOPICS = {
    "own": topic(OWN),
    "another's": topic(OTHER),
    "a prefix of both": b"kvm",
    "everything": b"",
    "own without its end": OWN.encode(),
    "another's without its end": OTHER.encode(),
}


@dataclass
class Tally:
    """How many decisions were looked at, and which were wrong."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, right: bool, what: str) -> None:
        self.count += 1
        if not right:
            self.wrong.append(what)


@dataclass(frozen=True)
class Owner:
    """Somebody with a key; ``role`` None: one that was taken out of the access file."""

    label: str
    role: str | None
    peer: Host


def figures(run: Run) -> Iterator[Figure]:
    with staged(run.folder / "real") as stage:
        tallies = decisions(stage)
    count = sum(tally.count for tally in tallies.values())
    wrong = [what for tally in tallies.values() for what in tally.wrong]
    run.say(f"{count} decisions, wrong: {wrong}")
    how = f"roles x types x hosts x topics: {count} decisions"
    yield at_most("access matrix: wrong decisions", len(wrong), 0, how)
    yield at_least("access matrix: decisions", count, 200, how)
    with staged(run.folder / "open", protection="access") as stage:
        tallies = decisions(stage)
    for part, tally in tallies.items():
        how = f"without the check of keys, {tally.count} decisions"
        yield control(f"access matrix: wrong decisions, {part}", len(tally.wrong), how)
    yield from intruder.figures(run)


def decisions(stage: Stage) -> dict[str, Tally]:
    """Try all of the matrix; return what came of it, by part."""
    tallies = {part: Tally() for part in PARTS}
    everybody = owners(stage)
    for owner in everybody:
        for case in matrix.cases():
            decide(stage, tallies["owners"], owner, case)
    strangers(stage, tallies["strangers"])
    subscriptions(stage, tallies["subscriptions"], everybody)
    return tallies


def owners(stage: Stage) -> list[Owner]:
    """Return those who have, or had, a key; the connections of all of them are open."""
    own = stage.hosts[OWN]
    found = [
        Owner("client", "client", stage.peer("client", "carol")),
        Owner("client, second key", "client", stage.peer("client", "carol")),
        Owner("observer", "observer", stage.peer("observer", "eve")),
        Owner("host", "host", own),
        Owner("host, second key", "host", stage.peer("host", OWN)),
    ]
    removed = [
        Owner(f"{role}, key removed", None, stage.peer(role, name))
        for role, name in (("client", "gone"), ("observer", "gone"), ("host", OWN))
    ]
    for owner in removed:
        owner.peer.ask("ack" if owner.peer.name == OWN else "hosts", **_harmless(owner))
    for owner in removed:
        if owner.peer.keys is not None:
            stage.worker.revoke(owner.peer.keys)
    return [*found, *removed]


def _harmless(owner: Owner) -> dict[str, str]:
    if owner.peer.name != OWN:
        return {}
    return {"host": OWN, "id": "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"}


def decide(stage: Stage, tally: Tally, owner: Owner, case: tuple[str, str, str]) -> None:
    """Send one message, and look at the answer and at what has come of it."""
    kind, speaks_for, of = case
    request = stage.clone(of)
    what = f"{owner.label}: {kind} for {speaks_for}, request of {of}"
    answer, body = owner.peer.ask(kind, **matrix.BODIES[kind](speaks_for, request))
    if matrix.allowed(owner.role, kind, speaks_for, of):
        tally.note(answer != "error", f"{what}: {body}")
        stage.hosts[OWN].hello(roomy())
        return
    denied = answer == "error" and body["code"] == "access_denied"
    after = stage.admin.request("status", id=request.id)
    untouched = (after.cancelling, after.phase, after.state.ended) == (False, None, False)
    (newest,) = stage.admin.ask("list", limit=1)[1]["requests"]
    forged = matrix.FORGED_CPUS in (stage.cpus(OWN), stage.cpus(OTHER))
    tally.note(denied and untouched and newest.id == request.id and not forged, f"{what}: {body}")
    if forged:
        for host in (stage.hosts[OWN], stage.hosts[OTHER]):
            host.hello(roomy())


def connect(stage: Stage, kind: int, stranger: str, port: int) -> zmq.Socket:
    """Return a socket of somebody without a key that counts."""
    socket = stage.worker.context.socket(kind)
    if stranger in ("unknown key", "key of another client worker"):
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = stage.worker.keys.public
    if stranger == "key of another client worker":
        pair = keys.KeyPair(*zmq.curve_keypair())
        socket.curve_serverkey = pair.public
    if stranger == "PLAIN":
        socket.plain_username, socket.plain_password = b"admin", b"secret"
    socket.connect(sockets.endpoint(LOOPBACK, port))
    return socket


def strangers(stage: Stage, tally: Tally) -> None:
    """Nobody without a key gets an answer, or anything done."""
    request = stage.clone(OWN)
    port = stage.worker.where.request_port
    waiting = []
    for stranger in STRANGERS:
        for kind in messages.ASKED:
            socket = connect(stage, zmq.REQ, stranger, port)
            body = plain(matrix.BODIES[kind](OWN, request))
            socket.send_multipart(encode(Message(kind, body)))
            waiting.append((f"{stranger}: {kind}", socket))
    # Somebody with a key who comes after all of them must get an answer.
    stage.peer("client", "late").ask("hosts")
    time.sleep(SETTLE_SECONDS)
    (newest,) = stage.admin.ask("list", limit=1)[1]["requests"]
    for what, socket in waiting:
        heard = b"".join(socket.recv_multipart()) if socket.poll(0) else b""
        tally.note(not heard or b"access_denied" in heard, what)
        socket.close(0)
    after = stage.admin.request("status", id=request.id)
    tally.note(newest.id == request.id and not after.cancelling, "strangers: nothing done")


def subscriptions(stage: Stage, tally: Tally, everybody: list[Owner]) -> None:
    """A host with its key hears its own topic, and nobody hears anything else."""
    listening = []
    where = stage.worker.where
    for name, wanted in TOPICS.items():
        for owner in everybody:
            pair = owner.peer.keys
            link = sockets.connect_subscriber(stage.worker.context, pair, where, "nobody")
            link.socket.setsockopt(zmq.SUBSCRIBE, wanted)
            expected = owner.role == "host" and name == "own"
            listening.append((f"{owner.label} to {name}", link.socket, expected))
        for stranger in STRANGERS:
            socket = connect(stage, zmq.SUB, stranger, where.publish_port)
            socket.setsockopt(zmq.SUBSCRIBE, wanted)
            listening.append((f"{stranger} to {name}", socket, False))
    wanted_by = {what for what, _socket, expected in listening if expected}
    heard: set[str] = set()
    end = time.monotonic() + PATIENCE
    # A subscription takes a while to come about; what was published before is not heard.
    while not wanted_by <= heard and time.monotonic() < end:
        heard |= hear(stage, listening, 0.2)
    heard |= hear(stage, listening, SETTLE_SECONDS)
    for what, socket, expected in listening:
        tally.note((what in heard) is expected, f"subscription of {what}: {what in heard}")
        socket.disable_monitor()
        socket.close(0)


def hear(stage: Stage, listening: list[tuple[str, zmq.Socket, bool]], seconds: float) -> set[str]:
    """Let something be published for each host; return who has heard anything of requests."""
    for host in (OWN, OTHER):
        stage.clone(host)
    time.sleep(seconds)
    heard = set()
    for what, socket, _expected in listening:
        while socket.poll(0):
            if len(socket.recv_multipart()) > 1:
                heard.add(what)
    return heard
