# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of a host's journal that can't be read stops nothing but itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from maglica.config.config import HostWorker
from maglica.guest.facts import Seen
from maglica.host_worker.daemon.open_requests import Work
from maglica.host_worker.daemon.outbox import Note
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import Journal
from maglica.host_worker.journal.looks import Look
from maglica.host_worker.main import _remains
from maglica.model.errors import EntryUnreadable, JournalFailed
from maglica.model.request import Request, State
from support.reports import clone

from ..daemon.test_outbox import greeted

# Cut off; of another form; with a byte that no text has.
SPOILT = (b"{", b"[7]", b'{"\xff"}')


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path)) as opened:
        yield opened


def accepted(journal: Journal, name: str) -> Request:
    asked = clone(name)
    request = Request(asked["id"], asked["spec"], host="kvm0", who="alice")
    journal.accept([request])
    return request


def spoil(journal: Journal, request: Request, how: bytes) -> None:
    statement = "UPDATE requests SET request = CAST(? AS TEXT) WHERE id = ?"
    journal._db.change(statement, how, request.id)


@pytest.mark.parametrize("how", SPOILT)
def test_the_start_takes_up_all_others(
    journal: Journal, tmp_path: Path, how: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ended, going, lost, stuck = (accepted(journal, f"vm{number}") for number in range(4))
    for each in (ended, lost):
        journal.end(each.id, State.CANCELLED)
    for each in (lost, stuck):
        spoil(journal, each, how)
    outbox = greeted()
    settings = HostWorker("kvm0", state_dir=tmp_path, secret_key_file=tmp_path / "key")
    work = Work(settings, tmp_path / "conf", journal, outbox)
    try:
        work.resume()
        assert list(work.open_ids) == [going.id]
        assert outbox.next(1.0) == Note("result", ended.id)
        # Told again, it is neither run nor acknowledged, and holds up no other one.
        fresh = clone("vm4")
        work.accept([stuck, lost, Request(fresh["id"], fresh["spec"], host="kvm0", who="alice")])
        assert list(work.open_ids) == [going.id, fresh["id"]]
        assert outbox.next(1.0) == Note("ack", fresh["id"])
    finally:
        work.close()
    for each in (lost, stuck):
        (said,) = [text for text in caplog.messages if each.id in text]
        assert "is unreadable" in said
        with pytest.raises(EntryUnreadable, match=each.id):
            journal.entry(each.id)
    assert list(journal.unreadable) == [stuck.id]
    # Who takes the worker away is told of it as well.
    assert _remains(tmp_path)["requests"] == [going.id, stuck.id, fresh["id"]]


@pytest.mark.parametrize("how", SPOILT)
def test_others_are_pruned_and_told_anew(journal: Journal, how: bytes) -> None:
    ended, lost = accepted(journal, "vm0"), accepted(journal, "vm1")
    for each in (ended, lost):
        journal.end(each.id, State.CANCELLED)
        journal.reported(each.id)
    spoil(journal, lost, how)
    assert journal.tell_anew("another", "host worker")
    assert [entry.id for entry in journal.unreported()] == [ended.id]
    journal.reported(ended.id)
    assert journal.prune(time.time() + 5.0) == 1


def test_an_intent_is_not_left_out(journal: Journal) -> None:
    request = accepted(journal, "vm0")
    journal.intend(request.id, Effect.FILE, {"path": "/var/x"})
    journal._db.change("UPDATE intents SET data = '{'")
    for read in (journal.announced, lambda: journal.intents(request.id)):
        with pytest.raises(JournalFailed, match="intent 1 is unreadable"):
            read()


def test_a_look_is_made_again(journal: Journal) -> None:
    for uuid in ("u1", "u2"):
        journal.looks.keep(Look(uuid, uuid, "v", 1, 5.0, seen=Seen()), ["u1", "u2"])
    journal._db.change("UPDATE looks SET answer = '{}' WHERE image_uuid = 'u1'")
    assert [look.image_uuid for look in journal.looks.all()] == ["u2"]
    assert journal.looks.at("u1") is None
