# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would not fit in a message: texts that came in one can take three times the room in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.dispatch import Incoming
from maglica.model.plain import plain
from maglica.model.request import Request, State, User, new_request_id
from maglica.model.vm import Disk, Interface
from maglica.wire.frames import MAX_FRAME, VERSION, Message, encode
from support.reports import base, clone, image, report, vm

if TYPE_CHECKING:
    from .conftest import Cell

PEER = (b"peer", b"")
WIDE = "\u00e9"
LONG = Disk(WIDE * 40, source=WIDE * 1000)
CROWDED = Interface("52:54:00:00:00:01", WIDE * 200, (WIDE * 60,) * 64)


def longest_vm(request: Request) -> Any:
    return replace(
        vm(request),
        interfaces=(CROWDED,) * 64,
        disks=(LONG,) * 64,
        ssh_host_keys=("ssh-rsa " + "A" * 8000,) * 8,
        tags=(WIDE * 80,) * 64,
    )


def ended(cell: Cell) -> Request:
    """A clone that ended with the longest texts that the schema allows."""
    request = cell.clone("vm0", ssh_authorized_keys=("ssh-ed25519 " + "A" * 8000,) * 64)
    body = {"state": "failed", "failure": {"code": "error", "text": WIDE * 2000}}
    phases = [{"name": WIDE * 40, "seconds": 1.0}] * 64
    told = {"host": "kvm0", "id": request.id, "phases": phases, "vm": longest_vm(request)}
    # As UTF-8, which a client in another language may send unescaped.
    text = json.dumps(plain({**told, **body}), separators=(",", ":"), ensure_ascii=False)
    frames = [VERSION, b"result", text.encode()]
    [(_peer, answer)] = cell.engine.handle([Incoming(PEER, None, frames)]).replies
    assert answer.type == "ok", answer
    return request


def test_a_result_that_is_too_long_to_show_loses_the_long_part_of_its_vm(cell: Cell) -> None:
    cell.hello()
    older = cell.clone("older")
    request = ended(cell)
    for kind, body in (
        ("status", {"id": request.id}),
        ("cancel", {"id": request.id}),
        ("wait", {"id": request.id, "version": 0, "wait_s": 1}),
    ):
        [(_peer, answer)] = cell.send(kind, **body).replies
        assert encode(answer)
        shown = answer.body["requests"][0]["vm"]
        assert (shown["name"], shown["uuid"]) == ("vm0", vm(request).uuid)
        assert (shown["interfaces"], shown["disks"], shown["ssh_host_keys"]) == ([], [], [])
    for before, shown_id in (({}, request.id), ({"before": request.id}, older.id)):
        page = cell.ask("list", **before)[1]
        assert ([each.id for each in page["requests"]], page["more"]) == ([shown_id], not before)
    watched = [{"id": request.id, "version": 0}]
    [found] = cell.ask("wait", requests=watched, wait_s=1)[1]["requests"]
    assert found.state is State.FAILED


def test_what_is_too_long_to_be_shown_is_not_accepted(cell: Cell) -> None:
    cell.hello()
    keys = ("ssh-ed25519 " + "A" * 8000,) * 64
    body = clone("vm0", ssh_authorized_keys=keys, user=User("bob", ssh_authorized_keys=keys[:40]))
    for more in ({}, {"dry_run": True}):
        answer = cell.ask("submit", requests=[body], **more)[1]
        assert answer["code"] == "message_invalid"
        assert "vm0: its spec is longer than 768 KiB" in answer["text"]


def test_a_result_that_can_be_shown_is_kept_whole(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    made = replace(vm(request), interfaces=(CROWDED,), disks=(LONG,))
    cell.ask("result", host="kvm0", id=request.id, state="done", vm=made)
    assert cell.ask("status", id=request.id)[1]["request"].vm == made


def test_a_welcome_has_room_for_all_that_is_to_be_cancelled(cell: Cell) -> None:
    cell.hello("kvm0", report(image(memory_mib=16, disk_bytes=0), memory_free_mib=1 << 30))
    key = "ssh-ed25519 " + "A" * 4000
    requests = [
        cell.clone(f"vm{number}", ssh_authorized_keys=(key,), memory_mib=16)
        for number in range(260)
    ]
    held = {request.id: "running" for request in requests}
    cell.hello("kvm0", None, **held)
    for request in requests:
        assert cell.ask("cancel", id=request.id)[1]["request"].cancelling
    [(_peer, welcome)] = cell.send("hello", host="kvm0", report=report(), requests=[]).replies
    assert len(welcome.body["cancel"]) == 260
    assert encode(welcome)


def test_a_host_that_is_too_long_to_show_does_not_hide_the_others(cell: Cell) -> None:
    wide = report(
        *[image(name=WIDE * 400, uuid=new_request_id()) for _turn in range(400)],
        bases=[base(WIDE * 200, pool=WIDE * 200) for _turn in range(700)],
        networks=(WIDE * 200,) * 256,
    )
    cell.context.hosts.hear("kvm0", wide, cell.now, cell.now)
    cell.hello("kvm1")
    first = cell.ask("hosts")[1]
    assert [each.host for each in first["hosts"]] == ["kvm0"]
    assert first["more"]
    told = first["hosts"][0].report
    assert len(told.networks) == 256
    assert 0 < len(told.domains) < 400
    assert len(encode(Message("hosts", cell.send("hosts").replies[0][1].body))[2]) <= MAX_FRAME
    assert [each.host for each in cell.ask("hosts", after="kvm0")[1]["hosts"]] == ["kvm1"]


def test_a_wait_reads_no_more_ended_requests_than_its_answer_shows(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello()
    keys = ("ssh-ed25519 " + "A" * 8000,) * 9
    made = [cell.clone(f"vm{n}", ssh_authorized_keys=keys, memory_mib=16) for n in range(3)]
    for request in made:
        cell.ask("result", host="kvm0", id=request.id, state="cancelled")
    read: list[str] = []
    get = cell.journal.get
    monkeypatch.setattr(cell.journal, "get", lambda each: read.append(each) or get(each))
    watched = [{"id": request.id, "version": 0} for request in made for _turn in range(300)]
    body = cell.ask("wait", requests=watched, wait_s=30)[1]
    assert [each.id for each in body["requests"]] == [made[0].id]
    assert body["more"]
    assert read == [made[0].id]


def test_an_answer_has_a_hundred_hosts_at_most(cell: Cell) -> None:
    names = [f"kvm{number:03}" for number in range(150)]
    cell.context.hosts.know(names)
    first = cell.ask("hosts")[1]
    assert ([each.host for each in first["hosts"]], first["more"]) == (names[:100], True)
    rest = cell.ask("hosts", after=names[99])[1]
    assert ([each.host for each in rest["hosts"]], rest["more"]) == (names[100:], False)
