# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sqlite3
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.guest.cloud_init.facts import SeedFacts
from maglica.guest.facts import Area, Extent, GuestFacts
from maglica.host_worker.journal.bases import Base, BaseDisk
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import FILE_NAME, MIGRATIONS, Journal
from maglica.model.errors import JournalFailed
from maglica.model.request import Customize, Failure, Phase, Request, State, new_request_id
from maglica.model.vm import Disk, Domain, Interface
from maglica.verbs.clone import CloneSpec
from maglica.verbs.stop import StopSpec

HASH = "$6$saltsalt$" + "x" * 86
FAILURE = Failure("storage_failed", "no")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path)
    yield made
    made.close()


# With 64 of them, more than a message can have.
CROWDED = Interface("52:54:00:00:00:01", None, ("\u00e9" * 60,) * 64)


def clone(name: str = "vm0.example.jp", **fields: object) -> Request:
    spec = CloneSpec(name, "debian12.original", **fields)
    return Request(new_request_id(), spec, State.SENT, host="kvm0", who="alice")


def accepted(journal: Journal, **fields: object) -> Request:
    request = clone(**fields)
    journal.accept([request])
    return request


def test_accepted_requests_are_open_in_their_order(journal: Journal, tmp_path: Path) -> None:
    requests = [clone(f"vm{number}.example.jp") for number in range(5)]
    journal.accept(requests)
    found = Journal(tmp_path).open()
    assert [entry.id for entry in found] == [request.id for request in requests]
    assert {entry.request.state for entry in found} == {State.RUNNING}
    assert found[0].request == replace(requests[0], state=State.RUNNING)


@pytest.mark.parametrize(
    ("edited", "kept"),
    [
        ({"disks": (Disk("vda", source="/images/" + "x" * 1000),)}, {"disks": ()}),
        ({"disks": (Disk("no\N{NO-BREAK SPACE}break"),)}, {"disks": ()}),
        ({"image": "no image"}, {"image": None}),
        ({"interfaces": (CROWDED,) * 64}, {"interfaces": ()}),
        ({"name": "renamed\N{NO-BREAK SPACE}"}, None),
    ],
)
def test_a_result_can_be_read_whatever_others_made_of_the_vm(
    journal: Journal, tmp_path: Path, edited: dict[str, object], kept: dict[str, object] | None
) -> None:
    request = accepted(journal)
    vm = Domain("vm0.example.jp", new_request_id(), "kvm0", "running", active=True)
    assert journal.end(request.id, State.DONE, vm=replace(vm, **edited))
    (entry,) = Journal(tmp_path).unreported()
    assert entry.request.state is State.DONE
    assert entry.request.vm == (None if kept is None else replace(vm, **kept))


def test_of_very_many_phases_the_last_are_kept(journal: Journal) -> None:
    request = accepted(journal)
    journal.end(request.id, State.DONE, phases=[Phase("undo", n) for n in range(100)])
    phases = journal.entry(request.id).request.phases
    assert (len(phases), phases[-1].seconds) == (64, 99)


def test_a_known_request_stays_as_it_is(journal: Journal) -> None:
    request = accepted(journal)
    journal.end(request.id, State.FAILED, failure=FAILURE)
    journal.accept([request, request])
    assert journal.open() == ()
    assert journal.entry(request.id).request.failure == FAILURE


def test_every_kind_of_spec_comes_back(journal: Journal) -> None:
    spec = StopSpec("vm0.example.jp", new_request_id(), "kvm0", True, 7)
    request = Request(new_request_id(), spec, State.RUNNING, host="kvm0")
    journal.accept([request])
    assert journal.entry(request.id).request == request


def test_done_keeps_the_vm_and_forgets_intents_and_secrets(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1234567890.25)
    request = accepted(journal, root_password=HASH)
    journal.intend(request.id, Effect.VOLUME, {"name": "a"})
    vm = Domain("vm0.example.jp", new_request_id(), "kvm0", "running", active=True)
    assert journal.end(request.id, State.DONE, vm=vm)
    entry = journal.entry(request.id)
    assert (entry.request.state, entry.request.vm) == (State.DONE, vm)
    assert entry.request.spec.root_password is None
    assert entry.request.updated == 1234567890.25
    assert journal.intents(request.id) == ()
    assert journal.unreported() == (entry,)


def test_secrets_are_in_no_byte_of_the_files_after_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    request = accepted(journal, root_password=HASH)
    assert any(HASH.encode() in path.read_bytes() for path in tmp_path.iterdir())
    journal.end(request.id, State.DONE)
    assert not any(HASH.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_what_has_left_something_ends_when_that_is_undone(journal: Journal) -> None:
    request = accepted(journal)
    journal.intend(request.id, Effect.VOLUME, {"name": "a"})
    assert not journal.end(request.id, State.FAILED, failure=FAILURE)
    (entry,) = journal.open()
    assert (entry.ending, entry.request.failure) == (State.FAILED, FAILURE)
    journal.forget(request.id)
    assert journal.end(request.id, State.FAILED)
    ended = journal.entry(request.id).request
    assert (ended.state, ended.failure) == (State.FAILED, FAILURE)


def test_cancelled_stays_cancelled_when_its_job_fails(journal: Journal) -> None:
    request = accepted(journal)
    journal.cancel(request.id)
    assert journal.entry(request.id).ending is State.CANCELLED
    journal.end(request.id, State.FAILED, failure=FAILURE)
    assert journal.entry(request.id).request.state is State.CANCELLED


def test_the_first_result_counts(journal: Journal) -> None:
    request = accepted(journal)
    assert journal.end(request.id, State.DONE)
    assert journal.end(request.id, State.FAILED, failure=FAILURE)
    journal.cancel(request.id)
    assert journal.entry(request.id).request.state is State.DONE
    assert journal.entry(request.id).request.failure is None


def test_a_job_that_dies_is_counted_up_to_the_limit(journal: Journal) -> None:
    one, two = accepted(journal), accepted(journal)
    journal.end(two.id, State.DONE)
    for attempt in (1, 2):
        journal.died([one.id, two.id, new_request_id()], FAILURE, 3)
        assert (journal.entry(one.id).attempts, journal.entry(one.id).ending) == (attempt, None)
    journal.died([one.id], FAILURE, 3)
    assert journal.entry(one.id).ending is State.FAILED
    assert journal.entry(one.id).request.failure == FAILURE
    assert journal.entry(two.id).attempts == 0


def test_phases(journal: Journal) -> None:
    request = accepted(journal)
    phases = (Phase("copy", 1.5), Phase("define", 0.1))
    journal.end(request.id, State.DONE, phases=phases)
    assert journal.entry(request.id).request.phases == phases


def test_reported_requests_are_pruned_by_age(journal: Journal) -> None:
    kept, told, untold = accepted(journal), accepted(journal), accepted(journal)
    for request in (told, untold):
        journal.end(request.id, State.DONE)
    journal.reported(kept.id)
    journal.reported(told.id)
    assert [entry.id for entry in journal.unreported()] == [untold.id]
    assert journal.prune(time.time() - 60) == 0
    assert journal.prune(time.time() + 60) == 1
    assert journal.entry(told.id) is None
    assert journal.entry(kept.id) is not None


def test_intents_come_back_in_their_order_and_go(journal: Journal) -> None:
    one, two = accepted(journal), accepted(journal)
    journal.intend(one.id, Effect.VOLUME, {"name": "a", "n": [1, None]})
    journal.intend(two.id, Effect.VOLUME, {})
    journal.intend(one.id, Effect.DOMAIN, {"uuid": "u"})
    found = journal.intents(one.id)
    assert [(intent.kind, intent.data) for intent in found] == [
        ("volume", {"name": "a", "n": [1, None]}),
        ("domain", {"uuid": "u"}),
    ]
    journal.forget(one.id)
    assert journal.intents(one.id) == ()
    assert len(journal.intents(two.id)) == 1


def test_bases(journal: Journal) -> None:
    disks = (BaseDisk("vda", "b", "/p/b", "qcow2"), BaseDisk("vdb", "c", "/p/c", "qcow2"))
    areas = (Area("/etc/hostname", 9, (Extent(0, 512, 9, 1024),)),)
    facts = GuestFacts((), "debian", "12", "ifupdown", "i", "", True, areas=areas)
    base = Base("1", "debian12.original", "u1", "v1", "making", "default", disks, created=5.0)
    seed = SeedFacts(("ed25519",), "debian", loses_routes6=True, grows=True)
    changes = {"way": Customize.CLOUD_INIT, "owns": False}
    other = replace(base, id="2", image_uuid="u2", created=4.0, **changes)
    journal.add_base(base)
    journal.add_base(other)
    assert journal.bases() == (other, base)
    journal.update_base("1", state="ready", facts=facts)
    assert journal.bases("u1") == (replace(base, state="ready", facts=facts),)
    journal.update_base("2", state="ready", seed=seed)
    assert journal.bases("u2") == (replace(other, state="ready", seed=seed),)
    journal.remove_base("1")
    assert journal.bases("u1") == ()


@pytest.mark.parametrize(
    ("column", "spoilt"), [("disks", "{"), ("disks", '[{"name": "b"}]'), ("facts", "{}")]
)
def test_an_unreadable_base_is_named(journal: Journal, column: str, spoilt: str) -> None:
    journal.add_base(Base("1", "debian12.original", "u1", "v1", "making", "default"))
    with journal._db.write():
        journal._db.change(f"UPDATE bases SET {column} = ?", spoilt)  # noqa: S608
    with pytest.raises(JournalFailed, match="base 1 is unreadable"):
        journal.bases()


def test_only_its_owner_may_read_it(journal: Journal, tmp_path: Path) -> None:
    accepted(journal)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_journal_of_a_later_version_is_refused(journal: Journal, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalFailed, match=r"host_worker.sqlite has schema version 99"):
        Journal(tmp_path)


def test_schema_migrates_and_keeps_what_is_there(journal: Journal, tmp_path: Path) -> None:
    request = accepted(journal)
    newer = (*MIGRATIONS, ("ALTER TABLE intents ADD COLUMN tag TEXT DEFAULT 'none'",))
    for _turn in range(2):
        migrated = Journal(tmp_path, migrations=newer)
        assert migrated.entry(request.id) == journal.entry(request.id)
        migrated.close()
    with pytest.raises(JournalFailed, match="has schema version 3; this worker knows up to 2"):
        Journal(tmp_path)


def test_a_migration_that_fails_changes_nothing(journal: Journal, tmp_path: Path) -> None:
    broken = (*MIGRATIONS, ("CREATE TABLE tags (name TEXT)", "CREATE TABLE requests (id TEXT)"))
    with pytest.raises(JournalFailed, match="already exists"):
        Journal(tmp_path, migrations=broken)
    Journal(tmp_path).close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database " * 100)
    with pytest.raises(JournalFailed, match=r"cannot open the journal .*host_worker.sqlite"):
        Journal(tmp_path)
    with pytest.raises(JournalFailed, match="cannot open"):
        Journal(tmp_path / "missing")


def test_a_write_that_fails_changes_nothing_and_says_so(journal: Journal, tmp_path: Path) -> None:
    request = accepted(journal)
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON intents BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with pytest.raises(JournalFailed, match=r"cannot write the journal .*: full"):
        journal.intend(request.id, Effect.VOLUME, {})
    assert journal.intents(request.id) == ()
    assert journal.end(request.id, State.DONE)


def test_an_unreadable_request_is_named(journal: Journal) -> None:
    request = clone()
    journal.accept([request])
    with journal._db.write():
        journal._db.change("UPDATE requests SET request = '{}'")
    with pytest.raises(JournalFailed, match=f"request {request.id} is unreadable: request"):
        journal.entry(request.id)
