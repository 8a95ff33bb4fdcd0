# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the broker makes of frames, without sockets."""

from __future__ import annotations

import ctypes
import logging
from typing import TYPE_CHECKING

import pytest
import zmq
from maglica.client_worker.access import Table
from maglica.client_worker.broker import MAX_CORRELATION, Broker, _incoming
from maglica.client_worker.transactions import Outcome
from maglica.config.config import ClientWorker
from maglica.system.log_limit import LogLimit
from maglica.wire import sockets
from maglica.wire.frames import MAX_FRAME, Message, decode
from support.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from .conftest import Cell


class Socket:
    """Keeps what is sent; what comes is ``waiting``."""

    def __init__(self, *waiting: list[bytes]) -> None:
        self.waiting = list(waiting)
        self.sent: list[list[bytes]] = []

    def recv_multipart(self, _flags: int = 0) -> list[bytes]:
        if not self.waiting:
            raise zmq.Again
        return self.waiting.pop(0)

    def send_multipart(self, frames: list[bytes], _flags: int = 0) -> None:
        self.sent.append(frames)


@pytest.fixture
def broker(cell: Cell) -> Broker:
    where = ClientWorker("127.0.0.1")
    made = Broker(cell.engine, cell.context, where=where, bind="", keys=None, access=None)
    made._requests, made._publisher = Socket(), Socket()
    return made


def test_a_reply_that_is_too_long_becomes_an_error(broker: Broker) -> None:
    long, short = Message("ok", {"text": "x" * MAX_FRAME}), Message("ok", {})
    broker._send(
        Outcome([((b"a", b""), long), ((b"b", b""), short)], [(b"t\0", long), (b"t\0", short)])
    )
    first, second = broker._requests.sent
    assert first[:2] == [b"a", b""]
    assert decode(first[2:]).body["code"] == "message_invalid"
    assert decode(second[2:]) == short
    [[topic, *frames]] = broker._publisher.sent
    assert (topic, decode(frames)) == (b"t\0", short)


@pytest.mark.parametrize(
    ("before", "taken"),
    [
        ([b""], 3),
        ([b"four", b""], 3),
        ([b"x" * MAX_CORRELATION, b""], 3),
        ([b"x" * (MAX_CORRELATION + 1), b""], 0),
        ([b"x" * MAX_FRAME, b""], 0),
        ([], 0),
        ([b"a", b"b", b""], 0),
    ],
)
def test_the_way_back_holds_what_a_req_puts_there(before: list[bytes], taken: int) -> None:
    incoming = _incoming([b"peer", *before, b"MGL2", b"hosts", b"{}"], "key")
    assert len(incoming.frames) == taken
    assert incoming.envelope == (b"peer", *(before if taken else [b""]))


def test_strangers_are_counted_and_do_not_fill_the_log(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker._context.table = Table()
    broker._refusals = LogLimit(logging.getLogger("maglica"), lambda: 0.0)
    domain = sockets.REQUEST_DOMAIN.encode()
    broker._zap = Socket(
        *(
            [b"1.0", b"7", domain, b"192.0.2.%d" % number, b"", b"CURVE", bytes([number]) * 32]
            for number in range(100)
        )
    )
    broker._answer_zap()
    assert [frames[2] for frames in broker._zap.sent] == [b"400"] * 100
    for number in range(100):
        broker._subscribe(b"kvm%d\0" % number, "key")
    assert broker._context.rejects == {"connection": 100, "subscription": 100}
    logged = [record.getMessage() for record in caplog.records]
    assert len([text for text in logged if "refused a connection: unknown key" in text]) == 1
    assert len([text for text in logged if "refused a subscription of nobody" in text]) == 1
    assert len(logged) == 2


def test_nobody_knows_the_numbers_of_connections_ahead(cell: Cell) -> None:
    """Who chooses one of them as a routing id ends the process: libzmq asserts that it is free."""
    assert first_number(cell) != first_number(cell)


def first_number(cell: Cell) -> bytes:
    """Return the routing id of the first that connects to a client worker, insecurely."""
    # The seed that each process begins with.
    ctypes.CDLL(None).srand(1)
    where = ClientWorker(LOOPBACK, free_port(), free_port(), insecure=True)
    broker = Broker(cell.engine, cell.context, where=where, bind=LOOPBACK, keys=None, access=None)
    broker.open()
    context = sockets.context()
    link = sockets.connect_requests(context, None, where)
    link.socket.send(b"")
    assert broker._requests.poll(5000)
    number: bytes = broker._requests.recv_multipart()[0]
    link.close()
    context.destroy(0)
    broker.close()
    return number
