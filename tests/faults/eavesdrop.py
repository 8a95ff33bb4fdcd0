# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners of valid keys try to hear what is published for another host, during real traffic.

They subscribe to its topic and to every prefix of it, before and after a connection was lost, as
often as they like, and with an unsubscription in between. What passes on the wire is recorded, too.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import zmq
from maglica.model.request import Request
from maglica.wire import sockets
from maglica.wire.frames import topic
from maglica.wire.keys import KeyPair
from support.client_worker import LONG_PATIENCE, Host, eventually
from support.figures import Figure, at_least, at_most, control
from support.tap import Tap

from .frame import Run
from .stage import Stage, roomy, staged

# The one that is spied upon, and one whose name begins alike.
VICTIM, LIKE = "kvm1", "kvm10"
SECRET = "$6$eavesdrop$0123456789abcdef"
SETTLE_SECONDS = 0.4


def figures(run: Run) -> Iterator[Figure]:
    rounds = 3 if run.short else 30
    with staged(run.folder / "real", VICTIM, LIKE, "spy") as stage:
        found = listen(stage, rounds)
        run.say(f"{found}")
        bytes_seen, in_clear = record(stage)
    how = f"{found.spies} subscriptions by {found.keys} keys, {found.published} published"
    yield at_most("eavesdropper: messages seen", found.seen, 0, how)
    yield at_least("eavesdropper: heard by the host itself", found.heard, found.published, how)
    how = f"a name and a secret in {bytes_seen} bytes of both ports"
    yield at_most("on the wire in clear text", in_clear, 0, how)
    with staged(run.folder / "open", VICTIM, LIKE, "spy", protection="subscriptions") as stage:
        found = listen(stage, 1, are_let_in=True)
    yield control("eavesdropper: messages seen", found.seen, "without the check of subscriptions")
    with staged(run.folder / "plain", VICTIM, insecure=True) as stage:
        bytes_seen, in_clear = record(stage)
    yield control("on the wire in clear text", in_clear, f"without CURVE, {bytes_seen} bytes")
    for protection in ("", "revocation"):
        with staged(run.folder / f"gone{protection}", VICTIM, protection=protection) as stage:
            seen = revoked(stage)
        figure = "messages seen after the key was removed"
        if protection:
            yield control(figure, seen, "with the connections of removed keys kept")
        else:
            yield at_most(figure, seen, 0, "10 published; open subscription and open wait")


@dataclass(frozen=True)
class Listened:
    """How many spies there were, and what they and the hosts themselves heard."""

    spies: int
    keys: int
    published: int
    heard: int
    seen: int


def wanted() -> list[bytes]:
    """Return what spies subscribe to."""
    whole = topic(VICTIM)
    prefixes = [whole[:length] for length in range(len(whole) + 1)]
    more = [whole + b"MGL2", b"\0", b"\1" + whole, whole.upper(), LIKE.encode(), topic(LIKE)]
    return [*prefixes, *more]


def listen(stage: Stage, rounds: int, are_let_in: bool = False) -> Listened:
    """Publish to two hosts while others listen; return who heard what.

    Those who are let in must have got there before it begins.
    """
    pairs = [stage.hosts["spy"].keys, stage.peer("observer", "eve").keys, stage.admin.keys]
    pairs.append(stage.peer("client", VICTIM).keys)
    with Tap(stage.worker.where.publish_port) as tap:
        spies = [_spy(stage, pair, tap.port, each) for pair in pairs for each in wanted()]
        victims = [stage.hosts[name] for name in (VICTIM, LIKE)]
        if are_let_in:
            # A subscription takes a while to come about; what was published before nobody hears.
            eventually(lambda: stage.clone(LIKE) and any(spy.poll(20) for spy in spies))
        heard, seen, requests = 0, 0, []
        for turn in range(rounds):
            time.sleep(SETTLE_SECONDS)
            for victim in victims:
                victim.hello(roomy())
            sent = [stage.clone(victim.name, root_password=SECRET) for victim in victims]
            for victim, request in zip(victims, sent):
                heard += _hears(victim, request)
            requests += sent
            time.sleep(SETTLE_SECONDS)
            seen += sum(map(_count, spies))
            if turn % 3 == 0:
                tap.cut()
            elif turn % 3 == 1:
                _again(spies)
            # Subscribed when nobody else is, or when another one has gone.
            elif turn % 6 == 2:
                for victim in victims:
                    victim.deaf()
                    victim.listen()
    for spy in spies:
        spy.close(0)
    return Listened(len(spies), len(pairs), len(requests), heard, seen)


def _spy(stage: Stage, pair: KeyPair | None, port: int, prefix: bytes) -> zmq.Socket:
    """Return an XSUB, which says what a SUB would keep to itself."""
    socket = stage.worker.context.socket(zmq.XSUB)
    if pair is not None:
        socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
        socket.curve_serverkey = stage.worker.keys.public
    socket.reconnect_ivl = 50
    socket.connect(sockets.endpoint("127.0.0.1", port))
    socket.send(b"\1" + prefix)
    return socket


def _again(spies: list[zmq.Socket]) -> None:
    """Take subscriptions back that are not one's own, and ask again, several times."""
    for spy, prefix in zip(spies, itertools.cycle(wanted())):
        for word in (b"\0", b"\1", b"\1"):
            spy.send(word + topic(VICTIM))
            spy.send(word + prefix)


def _hears(host: Host, request: Request) -> int:
    """Tell whether a host hears of its request; older ones may come again first."""
    end = time.monotonic() + LONG_PATIENCE
    while time.monotonic() < end:
        heard = host.hear(1)
        if heard and heard[0] == "request" and heard[1]["request"].id == request.id:
            return 1
    return 0


def _count(spy: zmq.Socket) -> int:
    count = 0
    while spy.poll(0):
        spy.recv_multipart()
        count += 1
    return count


def record(stage: Stage) -> tuple[int, int]:
    """Record a clone's way from a client to its host; return bytes, and what stands in them."""
    worker, host, admin = stage.worker, stage.hosts[VICTIM], stage.admin
    with ExitStack() as stack:
        asked, heard = (stack.enter_context(Tap(port)) for port in reversed(worker.ports))
        real = worker.where
        worker.where = replace(real, request_port=asked.port, publish_port=heard.port)
        for peer in (host, admin):
            peer.disconnect()
        host.deaf()
        host.listen()
        host.hello()
        request = admin.clone("confidential", host=VICTIM, memory_mib=16, root_password=SECRET)
        assert _hears(host, request)
        host.done(request)
        bytes_seen = asked.heard + heard.heard
        for peer in (host, admin):
            peer.disconnect()
        worker.where = real
    marks = (SECRET.encode(), b"confidential", VICTIM.encode())
    return len(bytes_seen), sum(bytes_seen.count(mark) for mark in marks)


def revoked(stage: Stage) -> int:
    """Take a host's first key away while it listens and a client's while it waits."""
    old = stage.hosts[VICTIM]
    new = stage.peer("host", VICTIM)
    new.hello()
    gone = stage.peer("client", "gone")
    awaited = stage.clone(VICTIM)
    # A host that has heard one listens.
    assert _hears(old, awaited)
    now = eventually(lambda: (now := gone.request("status", id=awaited.id)).version > 1 and now)
    gone.send("wait", {"id": awaited.id, "version": now.version, "wait_s": 30})
    time.sleep(SETTLE_SECONDS)
    for peer in (old, gone):
        if peer.keys is not None:
            stage.worker.revoke(peer.keys)
    # At the next message, whoever it is from.
    new.hello()
    for _turn in range(10):
        stage.clone(VICTIM, root_password=SECRET)
    new.done(awaited)
    time.sleep(SETTLE_SECONDS)
    seen = 0
    while (heard := old.hear(0.1)) is not None:
        seen += heard[0] == "request" and heard[1]["request"].id != awaited.id
    kind, _body = gone.receive()
    return seen + (kind != "error")
