# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of requests in one message: all are accepted or none is, and they are waited for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from maglica.model.request import State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.start import StartSpec
from support.reports import clone, image, report

if TYPE_CHECKING:
    from .conftest import Cell


def listed(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [clone(name, **fields) for name in names]


def test_a_list_is_one_commit_and_one_answer(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    commits = []
    commit = cell.journal.commit
    monkeypatch.setattr(cell.journal, "commit", lambda: commits.append(commit()))
    asked = listed("vm0", "vm1", "vm2", "vm3")
    kind, body = cell.ask("submit", requests=asked)
    assert kind == "requests"
    assert len(commits) == 1
    assert [request.id for request in body["requests"]] == [each["id"] for each in asked]
    assert [request.host for request in body["requests"]] == ["kvm0", "kvm1", "kvm0", "kvm1"]
    # Again, with one more: the requests as they stand.
    more = [*asked, *listed("vm4")]
    again = cell.ask("submit", requests=more)[1]["requests"]
    assert [request.id for request in again] == [each["id"] for each in more]
    assert [request.state for request in again] == [State.SENT] * 4 + [State.QUEUED]
    assert len(cell.context.requests.open) == 5


def test_a_list_joins_what_is_there(cell: Cell) -> None:
    cell.hello()
    there = cell.clone("vm0")
    asked = listed("vm1", "vm0")
    first, second = cell.ask("submit", requests=asked)[1]["requests"]
    assert (first.id, second.id) == (asked[0]["id"], there.id)
    assert cell.ask("status", id=asked[1]["id"])[1]["request"].id == there.id


def refused(cell: Cell, entries: list[dict[str, Any]]) -> dict[str, Any]:
    before = (cell.reserved(), dict(cell.context.requests.open))
    outcome = cell.send("submit", requests=entries)
    assert (cell.reserved(), cell.context.requests.open) == before
    assert [message.type for _peer, message in outcome.publications] == []
    ((_peer, message),) = outcome.replies
    assert message.type == "error"
    for entry in entries:
        if entry["id"] not in cell.context.requests.open:
            assert cell.ask("status", id=entry["id"])[0] == "error"
    return message.body


def test_of_a_list_all_or_none_is_accepted(cell: Cell) -> None:
    cell.hello(said=report(image(), image(name="other", uuid=vm_uuid("other"))))
    there = clone("vm9")
    cell.send("submit", **there)
    spec = StartSpec("vm0", vm_uuid("x"), "nowhere")
    cases = [
        (listed("vm0", "other", "vm1"), "name_taken", "cannot clone other from"),
        (listed("vm0", "vm1", "vm0"), "name_taken", "cannot clone vm0 .* twice in one list"),
        (listed("vm0", *(f"big{n}" for n in range(3)), memory_mib=6000), "no_room", "big"),
        ([*listed("vm0"), clone("vm1", image="none")], "image_unknown", "cannot clone vm1 from"),
        (
            [*listed("vm0"), {"id": new_request_id(), "kind": "start", "spec": spec}],
            "host_unknown",
            "cannot start vm0: no host nowhere",
        ),
        ([*listed("vm0"), clone("vm7", there["id"])], "request_conflict", there["id"]),
        (listed("vm0") * 2, "request_conflict", "twice"),
    ]
    for entries, code, text in cases:
        body = refused(cell, entries)
        assert body["code"] == code, body
        assert re.match(rf"nothing was done for {len(entries)} requests: .*{text}", body["text"])


def test_a_list_is_planned_as_it_would_be_placed(cell: Cell) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    entries = listed("vm0", "vm1", "vm2")
    kind, body = cell.ask("submit", requests=entries, dry_run=True)
    assert kind == "placements"
    assert [each.host for each in body["placements"]] == ["kvm0", "kvm1", "kvm0"]
    made_there = cell.ask("submit", requests=entries)[1]["requests"]
    assert [request.host for request in made_there] == ["kvm0", "kvm1", "kvm0"]
    again = cell.ask("submit", requests=entries, dry_run=True)[1]["placements"]
    assert [each.host for each in again] == ["kvm0", "kvm1", "kvm0"]
    body = cell.plan("vm0", "vm0")[1]
    assert body["text"].startswith("not all of 2 fit: cannot clone vm0")


def test_a_wait_for_many_is_answered_with_what_is_new(cell: Cell) -> None:
    cell.hello()
    entries = listed("vm0", "vm1", "vm2")
    cell.send("submit", requests=entries)
    waiter = (b"waiter", b"")

    def wait(*versions: int) -> list[Any]:
        watched = [{"id": e["id"], "version": v} for e, v in zip(entries, versions)]
        return cell.send("wait", waiter, requests=watched, wait_s=30).replies

    def names(replies: list[Any]) -> list[str]:
        (message,) = [message for envelope, message in replies if envelope == waiter]
        return [found["spec"]["name"] for found in message.body["requests"]]

    assert names(wait(0, 9, 0)) == ["vm0", "vm2"]
    assert wait(2, 2, 2) == []
    asked = [("ack", {"host": "kvm0", "id": entry["id"]}) for entry in entries[:2]]
    assert names(cell.handle(*asked).replies) == ["vm0", "vm1"]
    # What came before the next wait is told at once.
    assert names(wait(2, 3, 2)) == ["vm0"]
    assert wait(3, 3, 2) == []
    cell.now += 31
    assert names(cell.engine.tick().replies) == []
    # One that nobody knows hides no other, and is not waited for.
    watched = [{"id": new_request_id(), "version": 0}, {"id": entries[2]["id"], "version": 0}]
    body = cell.ask("wait", requests=watched, wait_s=1)[1]
    assert [each["code"] for each in body["errors"]] == ["request_unknown"]
    assert [each.name for each in body["requests"]] == ["vm2"]
    body = cell.ask("wait", requests=watched[:1], wait_s=30)[1]
    assert [each["id"] for each in body["errors"]] == [watched[0]["id"]]
