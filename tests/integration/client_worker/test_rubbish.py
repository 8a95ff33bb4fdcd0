# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no message: it is refused, and whoever else speaks is served as before."""

from __future__ import annotations

import signal

import pytest
import zmq
from maglica.wire.frames import MAX_FRAME
from support.client_worker import Peer, Worker, eventually

RUBBISH = [
    [],
    [b""],
    [b"MGL2"],
    [b"MGL2", b"status", b"{}", b"more"],
    [b"MGL9", b"status", b"{}"],
    [b"MGL2", b"\xff\xfe", b"{}"],
    [b"MGL2", b"shutdown", b"{}"],
    [b"MGL2", b"__class__", b"{}"],
    [b"MGL2", b"status", b"["],
    [b"MGL2", b"status", b"[" * 100000],
    [b"MGL2", b"status", b'{"id": 1, "id": 2}'],
    [b"MGL2", b"status", b'{"id": NaN}'],
    [b"MGL2", b"status", b'{"id": ' + b"9" * 5000 + b"}"],
    [b"MGL2", b"status", b'{"id": "../../etc/passwd"}'],
    [b"MGL2", b"status", b'{"other": 1}'],
    [b"MGL2", b"status", '{"id": "\N{RIGHT-TO-LEFT OVERRIDE}"}'.encode()],
    [b"MGL2", b"list", b"{}" + b" " * (MAX_FRAME - 2)],
    [b"MGL2"] + [b"x"] * 2000,
    [b"MGL2", b"status" * 40000, b"{}" + b" " * (MAX_FRAME - 100)],
]


@pytest.mark.parametrize("frames", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_gets_a_reply(worker: Worker, client: Peer, frames: list[bytes]) -> None:
    client.connect().send_multipart(frames or [b""])
    answer, body = client.receive()
    if frames[1:2] != [b"list"]:
        assert (answer, body["code"]) == ("error", "message_invalid")
    assert client.ask("hosts")[0] == "hosts"
    if answer == "error":
        assert worker.process is not None
        worker.process.send_signal(signal.SIGUSR1)
        eventually(lambda: "rejected so far: " in worker.log)
        assert " 1" in worker.log.rsplit("rejected so far: ", 1)[1]


def test_oversize_frame_ends_the_connection_only(worker: Worker, client: Peer) -> None:
    other = worker.peer("client", "other")
    other.connect().send_multipart([b"MGL2", b"status", b" " * (MAX_FRAME + 100)])
    with pytest.raises(TimeoutError):
        other.receive(0.5)
    assert client.ask("hosts")[0] == "hosts"
    assert other.ask("hosts")[0] == "hosts"


def test_without_a_delimiter(worker: Worker, client: Peer) -> None:
    assert client.keys is not None
    dealer = worker.context.socket(zmq.DEALER)
    dealer.curve_secretkey, dealer.curve_publickey = client.keys.secret, client.keys.public
    dealer.curve_serverkey = worker.keys.public
    dealer.connect(f"tcp://127.0.0.1:{worker.ports[1]}")
    dealer.send_multipart([b"MGL2", b"hosts", b"{}"])
    assert dealer.poll(60000)
    assert b"message_invalid" in dealer.recv_multipart()[-1]
    dealer.send_multipart([b"call-7", b"", b"MGL2", b"hosts", b"{}"])
    assert dealer.poll(60000)
    assert dealer.recv_multipart()[:4] == [b"call-7", b"", b"MGL2", b"hosts"]
    dealer.close(0)
