# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's connection: silence, restarts, keys, and what stands between."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from maglica.model import errors
from maglica.model.request import Request, State
from maglica.wire import exchange, keys, sockets
from maglica.wire.client import Client
from support.client_worker import eventually
from support.ports import LOOPBACK, free_port
from support.wire_server import WireServer, script

from .conftest import REQUEST, reply

# Longer than a busy machine makes anything take that is not waited for.
LONG = 20.0
# What becomes of a connection: it is closed at once, or nothing is ever said on it. Any other bytes
# are said, then it is closed.
DROPPED = b""
SILENT = None


class Forwarder:
    """A TCP forwarder on ``port``.

    The first connections fare as ``left`` says, the others reach ``to``.
    """

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


def test_silence_is_told_after_all_attempts(server: WireServer) -> None:
    server.answer = script([])
    start = time.monotonic()
    with (
        Client(server.config(), reply_timeout=1.0, attempts=3) as client,
        pytest.raises(errors.PeerSilent, match="is connected but does not answer"),
    ):
        client.status(REQUEST.id)
    assert time.monotonic() - start >= 3
    assert len(server.heard) >= 2


def test_nobody_there_is_told_apart_from_silence(server: WireServer) -> None:
    config = server.config(request_port=free_port())
    with (
        Client(config, reply_timeout=0.2, attempts=2) as client,
        pytest.raises(errors.PeerSilent, match="can't be reached"),
    ):
        client.status(REQUEST.id)


def test_a_client_worker_that_is_not_there_is_told_soon(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "STARTS_WITHIN", 0.5)
    config = server.config(request_port=free_port())
    start = time.monotonic()
    with (
        Client(config, reply_timeout=LONG) as client,
        pytest.raises(errors.PeerSilent, match=r"listens at port .*`systemctl status maglica-clie"),
    ):
        client.status(REQUEST.id)
    assert 0.5 <= time.monotonic() - start < LONG


def test_a_name_without_an_address_is_told_at_once(server: WireServer) -> None:
    start = time.monotonic()
    with (
        Client(server.config(address="nowhere.invalid"), reply_timeout=LONG) as client,
        pytest.raises(
            errors.PeerSilent, match=r"nowhere\.invalid has no address \(.*configuration"
        ),
    ):
        client.status(REQUEST.id)
    assert time.monotonic() - start < exchange.STARTS_WITHIN


def test_a_client_worker_that_starts_later_is_found(server: WireServer) -> None:
    server.stop()
    threading.Timer(0.8, server.start).start()
    with Client(server.config(), reply_timeout=5.0, attempts=10) as client:
        assert client.status(REQUEST.id) == REQUEST


@pytest.mark.alone
def test_a_restart_while_waiting_is_outlasted_at_once(server: WireServer) -> None:
    def restart() -> None:
        server.stop()
        server.answer = lambda message: reply(replace(REQUEST, state=State.DONE, version=2))
        server.start()

    server.answer = script([reply(REQUEST)])
    threading.Timer(0.5, restart).start()
    start = time.monotonic()
    with Client(server.config(), reply_timeout=LONG) as client:
        assert client.wait(REQUEST.id, 60).state is State.DONE
    assert time.monotonic() - start < LONG


@pytest.mark.alone
def test_a_key_that_is_not_allowed_is_refused_quickly(server: WireServer) -> None:
    server.allowed.clear()
    start = time.monotonic()
    with (
        Client(server.config(), reply_timeout=LONG) as client,
        pytest.raises(errors.AccessDenied, match="refuses the public key"),
    ):
        client.status(REQUEST.id)
    assert time.monotonic() - start < LONG
    assert server.heard == []


def test_a_key_that_is_allowed_later_works_with_the_same_client(server: WireServer) -> None:
    allowed = set(server.allowed)
    server.allowed.clear()
    with Client(server.config()) as client:
        with pytest.raises(errors.AccessDenied):
            client.status(REQUEST.id)
        server.allowed |= allowed
        assert client.status(REQUEST.id) == REQUEST


def test_another_server_key_than_the_configured_one_gets_nothing_and_is_named(
    server: WireServer, tmp_path: Path
) -> None:
    """libzmq can't tell it from a client worker that is about to start: it is asked again."""
    other = keys.make(tmp_path / "other.key").public.decode()
    with (
        Client(server.config(public_key=other), reply_timeout=1.0, attempts=2) as client,
        pytest.raises(errors.PeerSilent, match="does not have the public_key that is in the conf"),
    ):
        client.status(REQUEST.id)
    assert server.heard == []


def test_connections_that_a_forwarder_drops_are_made_again(server: WireServer) -> None:
    """As many as come about while the client worker behind it starts anew."""
    with (
        Forwarder(server.port, [DROPPED] * 6) as forwarder,
        Client(server.config(request_port=forwarder.port)) as client,
    ):
        assert client.status(REQUEST.id) == REQUEST
        assert forwarder.left == []


def test_a_wait_outlasts_connections_that_come_to_nothing(server: WireServer) -> None:
    done = replace(REQUEST, state=State.DONE, version=2)
    server.answer = script([reply(REQUEST), reply(done)])
    with Forwarder(server.port, []) as forwarder:

        def cut(_seen: Request) -> None:
            forwarder.left += [DROPPED] * 6
            forwarder.cut()

        with Client(server.config(request_port=forwarder.port)) as client:
            assert client.wait(REQUEST.id, 60, cut) == done


def test_what_speaks_something_else_for_a_while_is_outlasted(server: WireServer) -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".ljust(200)
    with (
        Forwarder(server.port, [busy] * 4) as forwarder,
        Client(server.config(request_port=forwarder.port)) as client,
    ):
        assert client.status(REQUEST.id) == REQUEST
        assert forwarder.left == []


def test_a_connection_that_ends_before_anything_is_sent(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeroMQ has nowhere to send to then, and would wait for ever."""
    with (
        Forwarder(server.port, [b"HTTP/1.1 503 Service Unavailable".ljust(200)]) as forwarder,
        Client(server.config(request_port=forwarder.port)) as client,
    ):
        link = client._connect()
        eventually(lambda: link.monitor.poll(0) and not link.socket.poll(0, zmq.POLLOUT))
        monkeypatch.setattr(client, "_connect", lambda: link)
        assert client._attempt([b"1", b"status", b"{}"], 5) is None


def test_a_client_worker_that_stands_still_is_outlasted(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with SIGSTOP: its kernel accepts connections, and no handshake goes on."""
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT", 400)
    with (
        Forwarder(server.port, [SILENT] * 5) as forwarder,
        Client(server.config(request_port=forwarder.port)) as client,
    ):
        assert client.status(REQUEST.id) == REQUEST
        assert forwarder.left == []


def test_a_client_without_curve_is_refused(server: WireServer) -> None:
    """Which end of the connection finds it out first is chance: it may take some connections."""
    with (
        Client(server.config(insecure=True)) as client,
        pytest.raises(errors.AccessDenied, match="is insecure set on one side only"),
    ):
        client.status(REQUEST.id)
    assert server.heard == []


def test_nothing_stays_after_the_client(server: WireServer) -> None:
    before = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _turn in range(5):
        with Client(server.config()) as client:
            client.status(REQUEST.id)
    assert threading.active_count() == before
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 2


@pytest.mark.parametrize(
    "changes",
    [{"insecure": True, "address": "192.0.2.1"}, {"public_key": None}],
    ids=["plain to another machine", "no public key"],
)
def test_an_unsafe_connection_is_not_made_and_nothing_hangs(
    server: WireServer, changes: dict[str, object]
) -> None:
    with Client(server.config(**changes)) as client, pytest.raises(errors.ConfigInvalid):
        client.status(REQUEST.id)
