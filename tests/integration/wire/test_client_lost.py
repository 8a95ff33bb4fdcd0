# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that waits for what the client worker has lost with its journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from maglica.model import errors
from maglica.model.request import Request, State
from maglica.wire import client as client_file
from maglica.wire import waiting
from maglica.wire.client import Client
from maglica.wire.frames import Message
from support.wire_server import WireServer, script

from .conftest import REQUEST, SPEC, reply

OTHER = replace(REQUEST, id="ffffffff-6a3f-4b0e-9d5c-1f2a3b4c5d6e")
DONE = replace(REQUEST, state=State.DONE, version=2)


def error(code: str) -> Message:
    return Message("error", {"code": code, "text": "kvm0: no"})


def unknown(request: Request) -> Message:
    entry = {"id": request.id, "code": "request_unknown", "text": "lost"}
    return Message("requests", {"requests": [], "errors": [entry]})


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (client_file, waiting):
        monkeypatch.setattr(file, "AGAIN", 0.0)


@pytest.fixture
def client(server: WireServer) -> Iterator[Client]:
    with Client(server.config()) as opened:
        yield opened


def said(server: WireServer) -> list[str]:
    return [message.type for message in server.heard]


def test_a_client_worker_that_is_learning_is_asked_again(
    server: WireServer, client: Client
) -> None:
    server.answer = script([error("not_ready"), error("not_ready"), reply(REQUEST)])
    assert client.submit(SPEC, REQUEST.id) == REQUEST
    assert server.heard[0] == server.heard[2]


def test_it_is_not_asked_for_ever(
    server: WireServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_file, "MAX_SILENCE", 0.0)
    server.answer = script([error("not_ready")])
    with pytest.raises(errors.NotReady):
        client.plan(SPEC)


def test_what_was_lost_is_handed_in_again_with_its_id(server: WireServer, client: Client) -> None:
    server.answer = script([reply(REQUEST), unknown(REQUEST), reply(REQUEST), reply(DONE)])
    client.submit(SPEC, REQUEST.id)
    assert client.wait(REQUEST.id, 10) == DONE
    assert said(server) == ["submit", "wait", "submit", "wait"]
    assert server.heard[0].body["requests"] == server.heard[2].body["requests"]


@pytest.mark.parametrize("code", ["not_ready", "host_down"])
def test_what_can_not_be_handed_in_yet_may_be_told_by_its_host(
    server: WireServer, client: Client, code: str
) -> None:
    server.answer = script([reply(REQUEST), unknown(REQUEST), error(code), reply(DONE)])
    client.submit(SPEC, REQUEST.id)
    assert client.wait(REQUEST.id, 10) == DONE


def test_what_joins_another_then_is_found_by_both_ids(server: WireServer, client: Client) -> None:
    done = replace(OTHER, state=State.DONE)
    server.answer = script([reply(REQUEST), unknown(REQUEST), reply(OTHER), reply(done)])
    client.submit(SPEC, REQUEST.id)
    assert client.wait_all([REQUEST.id], 10) == {REQUEST.id: done, OTHER.id: done}


def test_what_is_refused_then_is_an_error(server: WireServer, client: Client) -> None:
    refused = [unknown(REQUEST), error("no_room")]
    server.answer = script([reply(REQUEST), *refused, *refused])
    client.submit(SPEC, REQUEST.id)
    with pytest.raises(errors.NoRoom):
        client.wait(REQUEST.id, 10)


def test_what_another_has_handed_in_is_unknown(server: WireServer, client: Client) -> None:
    server.answer = script([unknown(REQUEST)])
    with pytest.raises(errors.RequestUnknown, match="lost"):
        client.wait(REQUEST.id, 10)


def test_what_stays_lost_is_an_error_when_the_time_is_over(
    server: WireServer, client: Client
) -> None:
    server.answer = script([reply(REQUEST), unknown(REQUEST), error("not_ready")])
    client.submit(SPEC, REQUEST.id)
    with pytest.raises(errors.RequestUnknown):
        client.wait(REQUEST.id, 0)
