# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the library's client asks for, and what it makes of answers."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from maglica.model import errors
from maglica.model.moment import Moment
from maglica.model.plain import plain
from maglica.model.request import Failure, HostReport, HostStatus, Placement, Request, State
from maglica.wire import features
from maglica.wire.client import Client
from maglica.wire.frames import VERSION, Message
from support.wire_server import WireServer, script

from .conftest import REQUEST, SPEC, reply


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
    with Client(server.config(), reply_timeout=2.0) as client:
        assert client.submit(SPEC) == REQUEST
    assert len(server.heard) == 3
    assert server.heard[0] == server.heard[1] == server.heard[2]


def test_a_late_reply_is_not_taken_for_the_next_one(server: WireServer) -> None:
    other = replace(REQUEST, id="ffffffff-6a3f-4b0e-9d5c-1f2a3b4c5d6e")
    held = threading.Event()

    def answer(message: Message) -> Message:
        if len(server.heard) == 1:
            held.wait(60)
        return reply(REQUEST if message.body["ids"] == [REQUEST.id] else other)

    server.answer = answer
    with Client(server.config(), reply_timeout=4.0, attempts=1) as client:
        with pytest.raises(errors.PeerSilent):
            client.status(REQUEST.id)
        held.set()
        assert client.status(other.id) == other


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
    with (
        Client(server.config()) as client,
        pytest.raises(errors.MessageInvalid, match="valid name"),
    ):
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


def test_one_host_is_one_question(server: WireServer) -> None:
    status = [HostStatus(f"kvm{n}", True, Moment(1.5), 1.0, HostReport()) for n in (1, 10)]
    server.answer = script([Message("hosts", {"hosts": plain(status)})] * 3)
    with Client(server.config()) as client:
        assert client.host("kvm10") == status[1]
        assert client.host("kvm11") is None
        assert client.host("k") is None
    asked = [message.body.get("after") for message in server.heard]
    assert asked == ["kvm1", "kvm1", None]


def test_one_host_is_found_behind_others_that_fill_a_page(server: WireServer) -> None:
    status = [HostStatus(f"kvm1{n}", True, Moment(1.5), 1.0, HostReport()) for n in range(3)]
    pages = [Message("hosts", {"hosts": plain([each]), "more": True}) for each in status]
    server.answer = script([*pages, *pages[:2]])
    with Client(server.config()) as client:
        assert client.host("kvm12") == status[2]
        assert client.host("kvm1") is None
    asked = [message.body.get("after") for message in server.heard]
    assert asked == ["kvm1", "kvm10", "kvm11", "kvm"]


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
        "features": list(features.OWN),
    }
    assert server.heard[1].body["dry_run"]


def test_an_answer_that_has_none_of_more_does_not_go_on_for_ever(server: WireServer) -> None:
    server.answer = lambda message: Message("requests", {"requests": [], "more": True})
    with (
        Client(server.config()) as client,
        pytest.raises(errors.MessageInvalid, match="has no request"),
    ):
        client.wait_all([REQUEST.id], 0)
    assert len(server.heard) == 1
