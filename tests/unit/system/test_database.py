# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from maglica.model.errors import JournalFailed
from maglica.system.database import Database

MIGRATIONS = (("CREATE TABLE words (word TEXT)",),)
SECRET = "confidential" * 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "words.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path, MIGRATIONS, 0.1)) as opened:
        yield opened


def words(database: Database) -> list[str]:
    return [word for (word,) in database.read("SELECT word FROM words ORDER BY word")]


def test_only_its_owner_may_read_it(database: Database, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_block_is_committed_whole_or_not_at_all(database: Database, path: Path) -> None:
    with database.write():
        database.change("INSERT INTO words VALUES ('kept')")
    text = f"cannot write the journal {path}: no such table"
    with pytest.raises(JournalFailed, match=text), database.write():
        database.change("INSERT INTO words VALUES ('lost')")
        database.change("INSERT INTO lines VALUES ('wrong')")
    with pytest.raises(KeyError), database.write():
        database.change("INSERT INTO words VALUES ('lost, too')")
        raise KeyError
    assert words(database) == ["kept"]
    assert not database.in_transaction


def test_another_process_that_writes_is_waited_for(database: Database, path: Path) -> None:
    with closing(Database(path, MIGRATIONS, 0.1)) as other, database.write():
        assert words(other) == []
        with pytest.raises(JournalFailed, match=r"cannot write .*: database is locked"):
            other.begin()


@pytest.mark.parametrize("is_new", [True, False])
def test_one_of_its_own_is_for_one_process(path: Path, is_new: bool) -> None:
    if not is_new:
        Database(path, MIGRATIONS, 0.1).close()
    with closing(Database(path, MIGRATIONS, 0.1, exclusive=True)) as database:
        with pytest.raises(JournalFailed, match=f"open .* {path}: another process has it open"):
            Database(path, MIGRATIONS, 0.1, exclusive=True)
        assert words(database) == []


def test_secrets_are_wiped_as_soon_as_nobody_reads_the_log(database: Database, path: Path) -> None:
    database.wipe_log()
    with database.write():
        database.change("INSERT INTO words VALUES (?)", SECRET)
    with database.write():
        database.change("DELETE FROM words")
    database.wipe_log()
    assert is_found(path)
    database.secrets_deleted()
    with closing(Database(path, MIGRATIONS, 0.1)) as other:
        other._db.execute("BEGIN")
        assert words(other) == []
        database.wipe_log()
        assert is_found(path)
        other._db.execute("COMMIT")
    database.wipe_log()
    assert not is_found(path)


def test_secrets_that_a_process_left_when_it_was_killed_are_wiped_by_the_next(path: Path) -> None:
    child = os.fork()
    if not child:
        killed = Database(path, MIGRATIONS, 0.1)
        with killed.write():
            killed.change("INSERT INTO words VALUES (?)", SECRET)
        with killed.write():
            killed.change("DELETE FROM words")
        killed.secrets_deleted()
        os._exit(0)
    os.waitpid(child, 0)
    with closing(Database(path, MIGRATIONS, 0.1)) as following:
        assert is_found(path)
        following.wipe_log()
        assert not is_found(path)


def is_found(path: Path) -> bool:
    return any(SECRET.encode() in each.read_bytes() for each in path.parent.iterdir())
