# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message that fails leaves nothing: no wait, and nothing to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.model.errors import JournalFailed
from maglica.model.plain import plain
from maglica.model.request import Request, State, new_request_id
from maglica.wire import features
from support.reports import clone

if TYPE_CHECKING:
    from .conftest import Cell


def fail(*_args: Any) -> None:
    raise JournalFailed("journal x: database or disk is full")


def test_what_was_not_accepted_may_be_placed_on_another_host(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    request_id = new_request_id()
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "commit", fail)
        spec = {"name": "vm0", "image": "debian12.original", "host": "kvm0"}
        body = {"id": request_id, "kind": "clone", "spec": spec}
        assert cell.ask("submit", **body)[1]["code"] == "journal_failed"
    assert cell.clone("vm0", request_id, host="kvm1").host == "kvm1"
    assert len(cell.context.delivery) == 1


def test_what_a_host_has_told_in_vain_does_not_count(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells it again and again, as long as the disk is full, and may not run out of room."""
    cell.hello()
    told = Request(new_request_id(), clone("vm0")["spec"], State.RUNNING, "kvm0", "alice")
    body = {"host": "kvm0", "id": told.id, "request": features.known_to((), plain(told))}
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "commit", fail)
        assert cell.ask("ack", **body)[1]["code"] == "journal_failed"
    assert cell.context.told_bytes["kvm0"] == 0
    assert cell.ask("ack", **body)[0] == "ok"
    assert cell.context.told_bytes["kvm0"] > 0


def test_who_is_told_that_it_failed_does_not_wait(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello()
    request = cell.clone("vm0")
    waiter = (b"waiter", b"")
    watched = [{"id": request.id, "version": 9}]
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "commit", fail)
        (reply,) = cell.send("wait", waiter, requests=watched, wait_s=60).replies
        assert reply[1].body["code"] == "journal_failed"
    failure = plain({"code": "no_room", "text": "full"})
    told = {"host": "kvm0", "id": request.id, "state": "failed", "failure": failure}
    assert [envelope for envelope, _message in cell.send("result", **told).replies] == [
        (b"peer", b"")
    ]
