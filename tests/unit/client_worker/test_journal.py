# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's contract, on real SQLite files."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.client_worker.journal import MIGRATIONS, Journal, digest
from maglica.model.errors import JournalFailed
from maglica.model.request import (
    DomainSummary,
    Failure,
    HostReport,
    Nic,
    Phase,
    Request,
    State,
    new_request_id,
)
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec
from maglica.verbs.start import StartSpec
from maglica.verbs.stop import StopSpec
from support.reports import base

SECRET = "$6$saltsaltsalt$0123456789abcdef"
LIBRARY = Path(__file__).resolve().parents[3] / "plugins" / "module_utils"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal.open(path)
    yield journal
    journal.close()


def clone(name: str = "vm0", **fields: object) -> Request:
    spec = CloneSpec(name, "deb", interfaces=(Nic("default", addresses=("192.0.2.7/24",)),))
    spec = replace(spec, root_password=SECRET, ssh_authorized_keys=("ssh-rsa " + "A" * 40,))
    request = Request(new_request_id(), spec, host="kvm0", who="admin", created=5.0)
    return replace(request, updated=5.0, **fields)


def add(journal: Journal, *requests: Request) -> None:
    journal.begin()
    for request in requests:
        journal.add(request, digest(request.spec))
    journal.commit()


def update(journal: Journal, request: Request) -> None:
    journal.begin()
    journal.update(request)
    journal.commit()


def test_a_request_comes_back_as_it_was(journal: Journal) -> None:
    request = clone()
    stop = Request(new_request_id(), StopSpec("vm0", new_request_id(), "kvm0", True))
    add(journal, request, stop)
    assert journal.get(request.id) == request
    assert journal.get(stop.id) == stop
    assert list(journal.open_requests()) == [request, stop]
    running = replace(
        request,
        state=State.RUNNING,
        version=3,
        updated=7.0,
        phase="copy",
        phases=(Phase("base", 1.5),),
        cancelling=True,
    )
    update(journal, running)
    assert journal.get(request.id) == running


def test_an_ended_request_has_no_secrets(journal: Journal, path: Path) -> None:
    request = clone()
    add(journal, request)
    assert SECRET.encode() in everything(path)
    vm = Domain("vm0", new_request_id(), "kvm0", "running", active=True)
    update(journal, replace(request, state=State.DONE, vm=vm))
    found = journal.get(request.id)
    assert found is not None
    assert (found.vm, found.spec) == (vm, request.spec.without_secrets())
    assert list(journal.open_requests()) == []
    journal.wipe_log()
    assert SECRET.encode() not in everything(path)


def everything(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_only_the_owner_may_read_it(journal: Journal, path: Path) -> None:
    add(journal, clone())
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def test_find_by_own_id_and_alias(journal: Journal) -> None:
    request, alias = clone(), new_request_id()
    add(journal, request)
    content = digest(request.spec)
    assert journal.find(request.id) == (request.id, content)
    assert journal.find(alias) is None
    journal.begin()
    journal.add_alias(alias, "other", request.id)
    journal.commit()
    assert journal.find(alias) == (request.id, "other")
    assert journal.get(alias) is None


def test_digest_knows_secrets_and_kinds() -> None:
    spec = clone().spec
    assert isinstance(spec, CloneSpec)
    vm = ("vm0", new_request_id(), "kvm0")
    assert digest(spec) == digest(replace(spec))
    assert digest(spec) != digest(replace(spec, root_password=None))
    assert digest(StartSpec(*vm)) != digest(StopSpec(*vm))


def test_rollback_takes_all_back(journal: Journal) -> None:
    kept, dropped = clone(), clone("vm1")
    add(journal, kept)
    journal.begin()
    journal.add(dropped, "x")
    journal.update(replace(kept, state=State.RUNNING))
    journal.rollback()
    assert journal.get(kept.id) == kept
    assert journal.get(dropped.id) is None


def test_newest_by_state_and_name(journal: Journal) -> None:
    requests = [clone(f"vm{number % 2}") for number in range(6)]
    add(journal, *requests)
    update(journal, replace(requests[4], state=State.FAILED, failure=Failure("x", "y")))
    ids = [request.id for request in requests]

    def found(states: set[State], limit: int, name: str | None = None) -> list[int]:
        return [ids.index(request.id) for request in journal.newest(states, limit, name)]

    assert found(set(State), 3) == [5, 4, 3]
    assert found({State.QUEUED}, 3) == [5, 3, 2]
    assert found({State.FAILED}, 3) == [4]
    assert found(set(State), 9, "vm1") == [5, 3, 1]
    assert found(set(State), 9, "vm9") == []


def test_prune_forgets_what_has_ended_long_ago(journal: Journal) -> None:
    old_open, old, older, new = clone(), clone("vm1"), clone("vm2"), clone("vm3")
    add(journal, old_open, old, older, new)
    journal.begin()
    journal.add_alias("alias", "x", old.id)
    journal.commit()
    update(journal, replace(old, state=State.DONE, updated=20.0))
    update(journal, replace(older, state=State.CANCELLED, updated=10.0))
    update(journal, replace(new, state=State.DONE, updated=40.0))
    assert [request.id for request in journal.ended_since(15.0)] == [old.id, new.id]
    journal.begin()
    assert journal.prune(30.0, 1) == 1
    assert journal.prune(30.0, 10) == 1
    assert journal.prune(30.0, 10) == 0
    journal.commit()
    assert [r.id for r in journal.newest(set(State), 9, None)] == [new.id, old_open.id]
    assert journal.find("alias") is None


def test_hosts_are_kept(journal: Journal, path: Path) -> None:
    domain = DomainSummary("vm0", new_request_id(), True, True, True, 2, 512, 7)
    report = HostReport(cpus=2, domains=(domain,), bases=(base("deb"),), problem="slow")
    journal.begin()
    journal.keep_host("kvm0", 3.0, HostReport())
    journal.keep_host("kvm0", 4.0, report)
    journal.keep_host("kvm1", 5.0, report)
    journal.forget_host("kvm1")
    journal.commit()
    assert journal.hosts() == [("kvm0", 4.0, report)]


def test_a_second_process_is_refused(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maglica.client_worker.journal.BUSY_SECONDS", 0.1)
    with pytest.raises(
        JournalFailed, match=r"journal .*/journal.sqlite: another process has it open"
    ):
        Journal.open(path)


def test_schema_migrates_and_keeps_what_is_there(path: Path) -> None:
    request = clone()
    old = Journal.open(path)
    add(old, request)
    old.close()
    newer = (*MIGRATIONS, ("ALTER TABLE requests ADD COLUMN tag TEXT DEFAULT 'none'",))
    new = Journal.open(path, newer)
    assert new.get(request.id) == request
    new.close()
    Journal.open(path, newer).close()
    with pytest.raises(JournalFailed, match="has schema version 3; this worker knows up to 2"):
        Journal.open(path)


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    Journal.open(path).close()
    broken = (*MIGRATIONS, ("CREATE TABLE tags (name TEXT)", "CREATE TABLE requests (id TEXT)"))
    with pytest.raises(JournalFailed, match="already exists"):
        Journal.open(path, broken)
    Journal.open(path).close()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.mkdir(), "unable to open"),
        (lambda path: path.write_bytes(b"no database" * 1000), "file is not a database"),
        (lambda path: path.parent.rmdir(), "No such file or directory"),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, make, text: str) -> None:
    make(path)
    with pytest.raises(JournalFailed, match=f"journal {path}: .*{text}"):
        Journal.open(path)


def test_an_unreadable_request_is_named(journal: Journal, path: Path) -> None:
    request = clone()
    add(journal, request)
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE requests SET state = 'lost'")
    connection.commit()
    connection.close()
    again = Journal.open(path)
    with pytest.raises(JournalFailed, match=f"request {request.id} is unreadable: request.state"):
        again.get(request.id)
    again.close()


@pytest.mark.parametrize("spoilt", ["{", '{"cpus": -1}', '{"cpus": 1, "since": 2}'])
def test_an_unreadable_host_is_left_out(
    journal: Journal, path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    for name in ("kvm0", "kvm1"):
        journal.keep_host(name, 7.0, HostReport(cpus=4))
    journal._db.change("UPDATE hosts SET report = ? WHERE name = 'kvm0'", spoilt)
    names = [name for name, _seen, _report in journal.hosts()]
    assert names == ["kvm1"]
    assert f"journal {path}: host kvm0 is unreadable" in caplog.text


def test_a_full_disk_accepts_nothing_and_loses_nothing(journal: Journal, path: Path) -> None:
    """The limit on a file's size stands for the disk's: SQLite meets it in a write, too."""
    kept = clone()
    add(journal, kept)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = max(file.stat().st_size for file in path.parent.iterdir()) + 8192
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(JournalFailed, match=f"journal {path}: "):
            add(journal, *(clone(f"vm{number}") for number in range(1, 200)))
        journal.rollback()
        assert [request.id for request in journal.open_requests()] == [kept.id]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    late = clone("late")
    add(journal, late)
    assert [request.id for request in journal.open_requests()] == [kept.id, late.id]


KILLED = """
import os, sys
from pathlib import Path
from maglica.client_worker.journal import Journal
from maglica.model.request import Request, new_request_id
from maglica.verbs.clone import CloneSpec
journal = Journal.open(Path(sys.argv[1]))
while True:
    journal.begin()
    request = Request(new_request_id(), CloneSpec("vm0", "deb"))
    journal.add(request, "x")
    journal.commit()
    os.write(1, request.id.encode() + b"\\n")
"""


def test_what_was_committed_survives_kill(path: Path) -> None:
    acknowledged: set[str] = set()
    for _turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        )
        assert process.stdout is not None
        with process:
            lines = [process.stdout.readline() for _turn in range(40)]
            process.kill()
            lines += process.stdout.readlines()
        acknowledged |= {line.decode().strip() for line in lines if line.endswith(b"\n")}
    journal = Journal.open(path)
    found = {request.id for request in journal.open_requests()}
    journal.close()
    assert acknowledged and acknowledged <= found
    # At most the one that was not told yet.
    assert len(found - acknowledged) <= 5


def test_changes_are_counted_on_when_the_last_was_pruned(journal: Journal, path: Path) -> None:
    ended = clone(state=State.DONE)
    add(journal, clone(), ended)
    journal.begin()
    journal.update(ended)
    assert journal.prune(30.0, 10) == 1
    journal.commit()
    assert journal.revision == 3
    journal.close()
    assert Journal.open(path).revision == 3


def test_changes_that_are_taken_back_are_not_counted(journal: Journal, path: Path) -> None:
    add(journal, clone())
    journal.begin()
    journal.add(clone(), "content")
    journal.rollback()
    # As when something breaks behind a commit.
    journal.rollback()
    assert journal.revision == 1
    journal.close()
    assert Journal.open(path).revision == 1
