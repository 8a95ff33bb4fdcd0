# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells a client worker whose journal does not know its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from maglica.host_worker.daemon import messages as notes
from maglica.host_worker.daemon.outbox import Note
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, State
from maglica.wire import messages as schema
from support.reports import clone

from .test_outbox import greeted

UNKNOWN = "request_unknown"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path)) as opened:
        yield opened


def request(name: str, who: str = "alice") -> Request:
    asked = clone(name)
    return Request(asked["id"], asked["spec"], host="kvm0", who=who)


def test_what_is_unknown_is_told_wholly_once() -> None:
    outbox = greeted()
    outbox.tells_lost = True
    for kind in ("ack", "result"):
        getattr(outbox, kind)("r")
        assert not outbox.settle(Note(kind, "r"), UNKNOWN, 1.0)
        assert not outbox.is_all_told
        assert outbox.next(1.0) == Note(kind, "r", whole=True)
        assert outbox.settle(Note(kind, "r", whole=True), UNKNOWN, 1.0)
        assert outbox.is_all_told


def test_one_that_does_not_take_it_in_is_told_no_more() -> None:
    outbox = greeted()
    outbox.result("r")
    assert outbox.settle(Note("result", "r"), UNKNOWN, 1.0)
    assert outbox.is_all_told


def test_a_new_journal_is_to_have_all_results(journal: Journal) -> None:
    ended, own, going = request("vm0"), request("vm1", "host worker"), request("vm2")
    journal.accept([ended, own, going])
    for each in (ended, own):
        journal.end(each.id, State.CANCELLED)
        journal.reported(each.id)
    assert journal.tell_anew("first", "host worker")
    assert [entry.id for entry in journal.unreported()] == [ended.id]
    journal.reported(ended.id)
    assert not journal.tell_anew("first", "host worker")
    assert journal.unreported() == ()
    assert journal.tell_anew("second", "host worker")
    assert [entry.id for entry in journal.unreported()] == [ended.id]


def test_the_request_is_in_the_message(journal: Journal) -> None:
    asked = request("vm0")
    journal.accept([asked])
    entry = journal.entry(asked.id)
    assert entry is not None
    told = schema.asked("ack", notes.ack("kvm0", asked.id, entry.request).body)["request"]
    assert (told.id, told.spec, told.who) == (asked.id, asked.spec, "alice")
    journal.end(asked.id, State.CANCELLED)
    entry = journal.entry(asked.id)
    assert entry is not None
    for tell in (notes.result, notes.refused):
        body = schema.asked("result", tell("kvm0", entry.request, True).body)
        assert body["request"].spec == asked.spec
        assert "request" not in tell("kvm0", entry.request).body
