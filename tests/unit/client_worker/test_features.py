# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verbs, and fields of their specs and of domains, that came later: only those who have named the
feature of one are told of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.model.reported import ReportedDomain
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.clone import CLONE
from maglica.verbs.tag import TAG, TagSpec
from maglica.wire import features
from support.reports import report, showing

from .conftest import Cell

VM = vm_uuid(new_request_id())
TOO_OLD = (
    "on host kvm0: its host worker is too old: it does not know of later; run maglica.cloud.deploy"
    " for it again"
)


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the verb tag, and a field of clones and of domains, have come with a feature."""
    monkeypatch.setitem(table._BY_NAME, "tag", replace(TAG, feature="later"))
    monkeypatch.setitem(table._BY_NAME, "clone", replace(CLONE, later={"tags": "later"}))
    monkeypatch.setitem(features._OF_DOMAIN, "later", ("tags",))


def tag() -> dict[str, Any]:
    spec = TagSpec("vm0", VM, "kvm0", ("web",))
    return {"id": new_request_id(), "kind": "tag", "spec": spec}


def hello(cell: Cell, *known: str) -> dict[str, Any]:
    kind, body = cell.ask("hello", host="kvm0", report=report(), requests=[], features=list(known))
    assert kind == "welcome", body
    return body


def accept(cell: Cell) -> Request:
    kind, body = cell.ask("submit", requests=[tag()], features=["later"])
    assert kind == "requests", body
    request: Request = body["requests"][0]
    return request


def test_a_host_whose_worker_is_older_is_not_asked_for_it(cell: Cell) -> None:
    hello(cell, "progress_counts")
    refusal = {"code": "version_too_old", "text": f"cannot tag vm0 {TOO_OLD}"}
    assert cell.ask("submit", **tag()) == ("error", refusal)
    assert cell.ask("submit", requests=[tag()], dry_run=True) == ("error", refusal)
    # Nor for a clone that says something which is new.
    kind, error = cell.plan("vm1", tags=["web"])
    assert (kind, error["code"]) == ("error", "version_too_old")
    assert "host kvm0: its host worker is too old" in error["text"]
    assert cell.plan("vm1")[0] == "placements"
    assert cell.clone("vm1").host == "kvm0"
    hello(cell, "later")
    assert cell.plan("vm2", tags=["web"])[0] == "placements"
    assert accept(cell).state is State.QUEUED


def test_the_version_of_a_worker_is_named(cell: Cell) -> None:
    worker = {"version": "0.2.0", "instance": new_request_id()}
    cell.ask("hello", host="kvm0", report=report(), requests=[], worker=worker)
    assert "its host worker, of version 0.2.0, is too old" in cell.ask("submit", **tag())[1]["text"]


def test_a_host_that_has_not_spoken_since_the_start_may_know_of_it_yet(cell: Cell) -> None:
    hello(cell, "later")
    cell.engine.tick()
    cell.reopen()
    kind, error = cell.ask("submit", **tag())
    assert (kind, error["code"]) == ("error", "not_ready")
    hello(cell, "later")
    assert accept(cell).state is State.QUEUED


def test_a_host_that_gets_an_older_worker_is_not_told_of_what_was_accepted(cell: Cell) -> None:
    hello(cell, "later")
    accepted = accept(cell)
    cell.reopen()
    assert hello(cell)["requests"] == ()
    cell.engine.subscribed("kvm0")
    outcome = cell.send("status", ids=[accepted.id], features=["later"])
    assert outcome.publications == []
    (told,) = hello(cell, "later")["requests"]
    assert told.id == accepted.id


def test_a_client_that_is_older_sees_no_request_that_it_does_not_know(cell: Cell) -> None:
    hello(cell, "later")
    accepted = accept(cell)
    clone = cell.clone("vm1", tags=["web"])
    ((_peer, listed),) = cell.send("list").replies
    (shown,) = listed.body["requests"]
    assert (shown["id"], "tags" in shown["spec"]) == (clone.id, False)
    kind, error = cell.ask("status", id=accepted.id)
    assert (kind, error["code"]) == ("error", "version_too_old")
    assert f"request {accepted.id} is to tag vm0, which only a later version" in error["text"]
    ((_peer, listed),) = cell.send("list", features=["later"]).replies
    assert [each["kind"] for each in listed.body["requests"]] == ["clone", "tag"]
    assert listed.body["requests"][0]["spec"]["tags"] == ["web"]


def test_fields_of_a_domain_go_to_those_only_who_know_of_them(cell: Cell) -> None:
    shown = ReportedDomain("vm0", VM, "kvm0", "running", active=True, made=True, tags=("web",))
    said = showing(report(), [shown])
    assert cell.ask("hello", host="kvm0", report=said, requests=[], shown=[shown])[0] == "welcome"
    for known, tags in (((), ()), (("later",), ("web",))):
        (found,) = cell.ask("domains", features=list(known))[1]["domains"]
        assert found.tags == tags
