# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SQLite file that has committed what it was given, or raises JournalFailed with the cause."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from ..model.errors import JournalFailed


class Database:
    """The SQLite file at ``path``, made there (mode 0600) when it is missing.

    Each of ``migrations`` takes its schema one version up; those that have not run yet do so. A
    file of a later version is refused. ``patience`` is how many seconds to wait for another process
    that writes. Belongs to one thread.
    """

    def __init__(self, path: Path, migrations: Sequence[Sequence[str]], patience: float) -> None:
        self.path = path
        with self._errors("open"):
            _create(path)
            self._db = sqlite3.connect(path, timeout=patience, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > len(migrations):
            raise JournalFailed(
                f"journal {path} has schema version {found}; this worker knows up to"
                f" {len(migrations)}: install the newer version again"
            )
        if found < len(migrations):
            self._migrate(migrations)

    def close(self) -> None:
        self._db.close()

    def read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self._errors("read"):
            return self._db.execute(statement, values).fetchall()

    def change(self, statement: str, *values: Any) -> int:
        """Run a statement inside ``write``; return how many rows it changed."""
        return self._db.execute(statement, values).rowcount

    @contextmanager
    def write(self) -> Iterator[None]:
        """Commit what the block changes, all of it or (after an error) nothing."""
        with self._errors("write"):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def wipe_log(self) -> None:
        """Empty the write-ahead log, which keeps deleted content; left for later while in use."""
        with self._errors("checkpoint"):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _migrate(self, migrations: Sequence[Sequence[str]]) -> None:
        with self.write():
            # Another process may have been faster.
            (found,) = self._db.execute("PRAGMA user_version").fetchone()
            for statement in chain.from_iterable(migrations[found:]):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {max(found, len(migrations))}")

    @contextmanager
    def _errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise JournalFailed(f"cannot {act} the journal {self.path}: {error}") from error


def _create(path: Path) -> None:
    """Make the file readable for its owner only, which SQLite would not; it holds secrets.

    A file that is there is not opened: closing it would drop the locks that another connection of
    this process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2), and the journal would
    be taken away from under it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
