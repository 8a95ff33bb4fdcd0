# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from maglica.model import errors
from maglica.model.moment import Moment
from maglica.model.plain import plain
from maglica.model.request import Failure, HostReport, HostStatus, Placement, Request, State
from maglica.verbs.clone import CloneSpec
from maglica.wire import keys, sockets
from maglica.wire.client import Client
from maglica.wire.frames import VERSION, Message
from support.client_worker import eventually
from support.forwarder import DROPPED, SILENT, Forwarder
from support.ports import free_port
from support.wire_server import WireServer, script

SPEC = CloneSpec(name="vm0.example.jp", image="debian12.original")
REQUEST = Request(id="0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e", spec=SPEC, who="me")

# Longer than a busy machine makes anything take that is not waited for.
LONG = 20.0


def reply(request: Request) -> Message:
    return Message("requests", {"requests": [plain(request)]})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WireServer]:
    made = WireServer(tmp_path, lambda message: reply(REQUEST))
    made.start()
    yield made
    made.stop()


def test_submit_keeps_the_given_id(server: WireServer) -> None:
    with Client(server.config()) as client:
        assert client.submit(SPEC, REQUEST.id) == REQUEST
    assert server.heard[0].body["requests"][0]["id"] == REQUEST.id


def test_submit_makes_a_new_id_each_time(server: WireServer) -> None:
    with Client(server.config()) as client:
        client.submit(SPEC)
        client.submit(SPEC)
    assert server.heard[0].body["requests"] != server.heard[1].body["requests"]


def test_retries_have_the_same_body(server: WireServer) -> None:
    server.answer = script([None, None, reply(REQUEST)])
    with Client(server.config(), reply_timeout=0.3) as client:
        assert client.submit(SPEC) == REQUEST
    assert len(server.heard) == 3
    assert server.heard[0] == server.heard[1] == server.heard[2]


def test_a_late_reply_is_not_taken_for_the_next_one(server: WireServer) -> None:
    other = replace(REQUEST, id="ffffffff-6a3f-4b0e-9d5c-1f2a3b4c5d6e")
    held = threading.Event()

    def answer(message: Message) -> Message:
        if len(server.heard) == 1:
            held.wait(5)
        return reply(REQUEST if message.body["ids"] == [REQUEST.id] else other)

    server.answer = answer
    with Client(server.config(), reply_timeout=0.3, attempts=1) as client:
        with pytest.raises(errors.PeerSilent):
            client.status(REQUEST.id)
        held.set()
        assert client.status(other.id) == other


def test_silence_is_told_after_all_attempts(server: WireServer) -> None:
    server.answer = script([])
    start = time.monotonic()
    with (
        Client(server.config(), reply_timeout=0.2, attempts=3) as client,
        pytest.raises(errors.PeerSilent, match="is connected but does not answer"),
    ):
        client.status(REQUEST.id)
    assert time.monotonic() - start >= 0.6
    assert len(server.heard) >= 2


def test_nobody_there_is_told_apart_from_silence(server: WireServer) -> None:
    config = server.config(request_port=free_port())
    with (
        Client(config, reply_timeout=0.2, attempts=2) as client,
        pytest.raises(errors.PeerSilent, match="can't be reached"),
    ):
        client.status(REQUEST.id)


def test_a_client_worker_that_starts_later_is_found(server: WireServer) -> None:
    server.stop()
    threading.Timer(0.8, server.start).start()
    with Client(server.config(), reply_timeout=0.5, attempts=10) as client:
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
        Client(server.config(public_key=other), reply_timeout=0.2, attempts=3) as client,
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
    monkeypatch.setattr(sockets, "HANDSHAKE_TIMEOUT", 100)
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


@pytest.mark.parametrize("cls", errors.CLASSES, ids=lambda cls: cls.code)
def test_error_codes_become_classes(server: WireServer, cls: type[errors.MaglicaError]) -> None:
    server.answer = script([Message("error", {"code": cls.code, "text": "kvm0: no"})])
    with Client(server.config()) as client, pytest.raises(errors.MaglicaError) as caught:
        client.status(REQUEST.id)
    assert caught.type is cls
    assert str(caught.value) == "kvm0: no"


def test_an_error_is_not_asked_again(server: WireServer) -> None:
    server.answer = script([Message("error", {"code": "no_room", "text": "full"})])
    with Client(server.config()) as client, pytest.raises(errors.NoRoom):
        client.submit(SPEC)
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    "answer",
    [
        [b"MGL9", b"ok", b"{}"],
        [VERSION, b"ok"],
        [VERSION, b"ok", b"{}"],
        [VERSION, b"requests", b"{}"],
        [VERSION, b"requests", b"[" * 100000],
        [b"\xff"] * 100,
        [VERSION, b"submit", b"{}"],
    ],
    ids=["version", "frames", "other type", "field", "deep", "many", "question"],
)
def test_an_answer_that_makes_no_sense_is_refused(server: WireServer, answer: list[bytes]) -> None:
    server.answer = script([answer])
    with Client(server.config()) as client:
        with pytest.raises(errors.MessageInvalid):
            client.status(REQUEST.id)
        server.answer = script([reply(REQUEST)])
        assert client.status(REQUEST.id) == REQUEST


def test_bad_input_is_refused_before_it_is_sent(server: WireServer) -> None:
    with Client(server.config()) as client, pytest.raises(errors.MessageInvalid, match="no name"):
        client.submit(replace(SPEC, name="../etc/passwd"))
    assert server.heard == []


def test_wait_asks_for_what_is_newer_and_tells_each_version(server: WireServer) -> None:
    failed = Failure("no_room", "kvm0: pool default is full")
    steps = [
        replace(REQUEST, version=1),
        replace(REQUEST, version=3, state=State.RUNNING, phase="copy"),
        replace(REQUEST, version=3, state=State.RUNNING, phase="copy"),
        replace(REQUEST, version=4, state=State.FAILED, failure=failed),
    ]
    server.answer = script(map(reply, steps))
    seen: list[Request] = []
    with Client(server.config()) as client:
        assert client.wait(REQUEST.id, 60, seen.append) == steps[3]
    assert seen == [steps[0], steps[1], steps[3]]
    assert [message.body["requests"][0]["version"] for message in server.heard] == [0, 1, 3, 3]
    assert {message.body["wait_s"] for message in server.heard} <= {29, 30}


def test_wait_ends_with_its_timeout(server: WireServer) -> None:
    server.answer = lambda message: time.sleep(message.body["wait_s"]) or reply(REQUEST)
    start = time.monotonic()
    with (
        Client(server.config()) as client,
        pytest.raises(errors.RequestTimeout, match="is still queued after 2 s; it goes on"),
    ):
        client.wait(REQUEST.id, 2)
    assert time.monotonic() - start >= 2


def test_wait_for_no_time_looks_once(server: WireServer) -> None:
    server.answer = script([reply(replace(REQUEST, state=State.DONE))])
    with Client(server.config()) as client:
        assert client.wait(REQUEST.id, 0).state is State.DONE
    assert [message.body["wait_s"] for message in server.heard] == [0]


def test_hosts_come_page_by_page(server: WireServer) -> None:
    status = [HostStatus(f"kvm{n}", True, Moment(1.5), 1.0, HostReport()) for n in range(3)]

    def answer(message: Message) -> Message:
        first = (
            [entry.host for entry in status].index(message.body["after"]) + 1
            if ("after" in message.body)
            else 0
        )
        page = plain(status[first : first + 1])
        return Message("hosts", {"hosts": page, "more": first < 2})

    server.answer = answer
    with Client(server.config()) as client:
        assert client.hosts() == tuple(status)
    assert len(server.heard) == 3


def test_list_plan_and_cancel(server: WireServer) -> None:
    server.answer = script(
        [
            Message("requests", {"requests": [plain(REQUEST)]}),
            Message("placements", {"placements": [{"host": "kvm0", "load": 0.25}]}),
            reply(replace(REQUEST, cancelling=True)),
        ]
    )
    with Client(server.config()) as client:
        assert client.list([State.QUEUED], 5, name="vm0.example.jp") == (REQUEST,)
        assert client.plan(SPEC) == Placement("kvm0", 0.25)
        assert client.cancel(REQUEST.id).cancelling
    assert [message.type for message in server.heard] == ["list", "submit", "cancel"]
    assert server.heard[0].body == {
        "states": ["queued"],
        "limit": 5,
        "name": "vm0.example.jp",
        "features": ["progress_counts"],
    }
    assert server.heard[1].body["dry_run"]


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


def test_an_answer_that_has_none_of_more_does_not_go_on_for_ever(server: WireServer) -> None:
    server.answer = lambda message: Message("requests", {"requests": [], "more": True})
    with (
        Client(server.config()) as client,
        pytest.raises(errors.MessageInvalid, match="has no request"),
    ):
        client.wait_all([REQUEST.id], 0)
    assert len(server.heard) == 1
