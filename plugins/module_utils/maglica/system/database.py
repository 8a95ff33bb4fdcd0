# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SQLite file that has committed what it was given, or raises JournalFailed with the cause."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from ..model.errors import JournalFailed
from .locks import Lock


class Database:
    """The SQLite file at ``path``, made there (mode 0600) when it is missing.

    What was committed survives any crash: WAL with synchronous=FULL syncs the log with each commit
    (https://www.sqlite.org/pragma.html#pragma_synchronous). What is deleted is overwritten, in the
    log by ``wipe_log``.

    Each of ``migrations`` takes its schema one version up; those that have not run yet do so. A
    file of a later version is refused. ``patience`` is how many seconds to wait for another process
    that writes; of those that open it ``exclusive`` there is one at a time, by a lock beside the
    file: others may read it meanwhile, to take a copy. Belongs to one thread.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        patience: float,
        *,
        exclusive: bool = False,
    ) -> None:
        self.path = path
        self._lock = _lock(path) if exclusive else None
        # A process that was killed before it wiped the log has left them to the next one.
        self._secrets_in_log = True
        try:
            with self._errors("open"):
                _create(path)
                self._db = sqlite3.connect(path, timeout=patience, isolation_level=None)
        except BaseException:
            self._unlock()
            raise
        try:
            self._prepare(migrations)
        except BaseException:
            self._db.close()
            self._unlock()
            raise

    def _prepare(self, migrations: Sequence[Sequence[str]]) -> None:
        with self._errors("open"):
            self._db.row_factory = sqlite3.Row
            # What a disk has spoilt of one row is no error of all that are read with it.
            self._db.text_factory = _text
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > len(migrations):
            raise JournalFailed(
                f"journal {self.path} has schema version {found}; this worker knows up to"
                f" {len(migrations)}: install the newer version again"
            )
        if found < len(migrations):
            self._migrate(migrations)

    def close(self) -> None:
        with self._errors("close"):
            self._db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._errors("read"):
            return self._db.execute(statement, values).fetchall()

    def rows(self, statement: str, *values: Any) -> Iterator[sqlite3.Row]:
        """Yield the rows of a query one by one: what is not asked for is not read."""
        with self._errors("read"):
            yield from self._db.execute(statement, values)

    def change(self, statement: str, *values: Any) -> int:
        """Run a statement; return how many rows it changed."""
        with self._errors("write"):
            return self._db.execute(statement, values).rowcount

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def begin(self) -> None:
        """Keep what is changed from here until it is committed or rolled back."""
        self.change("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make everything since ``begin`` durable; on JournalFailed nothing of it is."""
        self.change("COMMIT")

    def rollback(self) -> None:
        """Take back everything since ``begin``."""
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if self._db.in_transaction:
            self.change("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[None]:
        """Commit what the block changes, all of it or (after an error) nothing."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def secrets_deleted(self) -> None:
        """Note that the log may still hold secrets that a change has taken away."""
        self._secrets_in_log = True

    def wipe_log(self) -> None:
        """Empty the write-ahead log if it may hold secrets; left for later while it is in use."""
        if self._secrets_in_log:
            with self._errors("checkpoint"):
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._secrets_in_log = bool(busy)

    def _migrate(self, migrations: Sequence[Sequence[str]]) -> None:
        with self.write():
            # Another process may have been faster.
            ((found,),) = self.read("PRAGMA user_version")
            for statement in chain.from_iterable(migrations[found:]):
                self.change(statement)
            self.change(f"PRAGMA user_version = {max(found, len(migrations))}")

    @contextmanager
    def _errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise JournalFailed(f"cannot {act} the journal {self.path}: {error}") from error


def _text(read: bytes) -> str:
    return read.decode("utf-8", "backslashreplace")


def lock_path(path: Path) -> Path:
    """Return the file whose lock says that somebody has the file ``path`` for itself."""
    return path.with_name(f"{path.name}.lock")


def _lock(path: Path) -> Lock:
    act = f"cannot open the journal {path}"
    try:
        # A folder that is missing is a mistake, and none to be made.
        path.parent.stat()
        return Lock(lock_path(path), wait=False)
    except BlockingIOError as error:
        raise JournalFailed(f"{act}: another process has it open") from error
    except OSError as error:
        raise JournalFailed(f"{act}: {error.strerror}") from error


def _create(path: Path) -> None:
    """Make the file readable for its owner only, which SQLite would not; it holds secrets.

    A file that is there is not opened: closing it would drop the locks that another connection of
    this process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2), and the journal would
    be taken away from under it.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    # Its name is to be on the disk as well.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
