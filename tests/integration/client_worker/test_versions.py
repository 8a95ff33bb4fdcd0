# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers of other versions and features at one client worker, over real sockets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from maglica.config.config import Config, Library
from maglica.host_worker.daemon.client_worker_link import ClientWorkerLink as Link
from maglica.model.errors import MessageInvalid
from maglica.wire import features, keys
from maglica.wire.client import Client
from maglica.wire.frames import Message
from support.client_worker import Host, Peer, Worker, eventually
from support.reports import report
from support.wire_server import WireServer

OLD_ANSWER = [
    b"MGL1",
    b"error",
    b'{"code":"message_invalid","text":"protocol version b\'MGL2\', this side speaks b\'MGL1\'"}',
]
REFUSAL = (
    "version 1 of the protocol (MGL1) was sent, and this side speaks version 2 (MGL2) only: update"
    " the side that is older, all parts of a cloud must be of one release of maglica.cloud"
)


def old(peer: Peer, kind: bytes, body: dict[str, object]) -> tuple[bytes, bytes, dict[str, str]]:
    """Say something in version 1, and return the answer's frames."""
    peer.connect().send_multipart([b"MGL1", kind, json.dumps(body).encode()])
    version, answered, text = peer.connect().recv_multipart()
    return version, answered, json.loads(text)


def test_version_1_is_refused_in_a_way_that_it_can_read_and_logged_once(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    for _turn in range(3):
        for peer, kind in ((client, b"list"), (kvm0, b"hello")):
            version, answered, body = old(peer, kind, {})
            assert (version, answered) == (b"MGL1", b"error")
            assert body == {"code": "message_invalid", "text": REFUSAL}
    assert worker.log.count(f"client admin is refused: {REFUSAL}") == 1
    assert worker.log.count(f"host {kvm0.name} is refused: {REFUSAL}") == 1
    # With the right version the same connections go on.
    assert client.ask("list")[0] == "requests"
    kvm0.hello()


def test_a_later_version_is_refused_in_words_that_it_can_show(
    worker: Worker, client: Peer, kvm0: Host
) -> None:
    said = REFUSAL.replace("version 1 of the protocol (MGL1)", "b'MGL3'")
    for peer, kind in ((client, b"list"), (kvm0, b"hello")):
        peer.connect().send_multipart([b"MGL3", kind, b"{}"])
        assert peer.receive() == ("error", {"code": "message_invalid", "text": said})
    assert worker.log.count(f"is refused: {said}") == 2


@pytest.fixture
def old_server(tmp_path: Path) -> WireServer:
    """A client worker of version 1."""
    server = WireServer(tmp_path, lambda _message: OLD_ANSWER)
    server.start()
    yield server
    server.stop()


def test_a_client_says_that_the_client_worker_is_older(old_server: WireServer) -> None:
    with (
        Client(old_server.config()) as client,
        pytest.raises(MessageInvalid) as error,
    ):
        client.list()
    where = f"tcp://127.0.0.1:{old_server.port}"
    assert str(error.value) == f"from the client worker at {where}: {REFUSAL}"
    assert len(old_server.heard) == 1


def test_a_host_worker_logs_once_that_the_client_worker_is_older(
    old_server: WireServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = keys.read(tmp_path / "library.key")
    where = old_server.config().need_client_worker()
    link = Link(pair, where, "kvm0")
    try:
        for turn in range(1, 4):

            def asked(turn: int = turn) -> bool:
                now = time.monotonic()
                link.tick(now)
                if link.can_send():
                    link.send(Message("hello", {}), now)
                assert link.reply(now) is None
                return len(old_server.heard) >= turn and not link.is_busy

            eventually(asked)
    finally:
        link.close()
    assert caplog.text.count(f"from the client worker: {REFUSAL}; trying again") == 1


def test_clients_with_and_without_a_feature_work_together(
    worker: Worker, kvm0: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.grant("client", "admin")
    (key,) = worker.folder.glob("client.admin.*.key")
    config = Config(worker.config_file, worker.where, library=Library(key))
    with Client(config) as new, Client(config) as other:
        asker = worker.peer("client", "asker")
        kvm0.hello(report())
        request = asker.clone("vm0.example.jp")
        kvm0.heard_request()
        kvm0.tell("ack", request)
        kvm0.tell("progress", request, phase="copy", phases=[], done=3, total=9)
        known = new.status(request.id)
        assert (known.done, known.total) == (3, 9)
        monkeypatch.setattr(features, "OWN", ())
        known = other.status(request.id)
        assert (known.phase, known.done, known.total) == ("copy", None, None)
        (listed,) = other.list()
        assert listed.total is None
        # What the client worker itself said is no more than what the old one can read.
        answer = asker.ask("status", ids=[request.id])[1]["requests"][0]
        assert answer.total is None
