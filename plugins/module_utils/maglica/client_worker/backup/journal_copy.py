# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the client worker's journal, taken while it runs.

A copy of the files alone would lack what lies in the write-ahead log, or half of it. Each copy is a
journal of its own name and is learning, so that whichever client worker begins with it first hears
from the hosts what they have done since.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...model.errors import JournalFailed
from ...model.sizes import about
from ..journal import MIGRATIONS

# A writer is waited for so many seconds; it needs milliseconds.
_PATIENCE = 30.0
# No journal has as many changes between a backup and its end: what changes after a restore has
# later numbers than all that whoever follows the changes has seen.
_REVISIONS = 1 << 32


@dataclass(frozen=True)
class Summary:
    """What a journal has. ``newest`` is when a request has changed last, 0 if none has."""

    requests: int
    open: int
    newest: float
    # Whether a request was ever accepted, be it forgotten since.
    is_used: bool


def copy(source: Path, target: Path) -> Summary:
    """Make a copy of the journal ``source``, which may be in use, as the new file ``target``.

    Raises JournalFailed; then there is none.
    """
    try:
        _need_room(source, target.parent)
        with closing(sqlite3.connect(_uri(source), uri=True, timeout=_PATIENCE)) as database:
            database.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            _check(database, source)
            _mark(database)
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return summary(target)
    except (OSError, sqlite3.Error) as error:
        target.unlink(missing_ok=True)
        raise JournalFailed(f"cannot copy the journal {source}: {error}") from error
    except JournalFailed:
        target.unlink(missing_ok=True)
        raise


def check(path: Path) -> Summary:
    """Look whether a copy can be a client worker's journal. Raises JournalFailed."""
    try:
        with closing(sqlite3.connect(_uri(path), uri=True)) as database:
            _check(database, path)
        return summary(path)
    except sqlite3.Error as error:
        raise JournalFailed(f"cannot use the journal {path}: {error}") from error


def summary(path: Path) -> Summary:
    """Return what a journal has, which may be in use. Raises sqlite3.Error."""
    with closing(sqlite3.connect(_uri(path), uri=True, timeout=_PATIENCE)) as database:
        ((requests, newest),) = database.execute(
            "SELECT count(*), ifnull(max(updated), 0) FROM requests"
        )
        ((still_open,),) = database.execute(
            "SELECT count(*) FROM requests WHERE state IN ('queued', 'sent', 'running')"
        )
        used = database.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'requests'").fetchall()
        return Summary(requests, still_open, newest, bool(used))


@contextmanager
def as_owner(journal: Path) -> Iterator[None]:
    """Be, if this is root, whose the journal's folder is: SQLite makes files beside a journal, and
    who may write there may have put links there.
    """
    try:
        owner = journal.parent.stat()
    except OSError as error:
        raise JournalFailed(f"cannot read the journal {journal}: {error.strerror}") from error
    if os.geteuid() != 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _uri(path: Path) -> str:
    # Never made by looking at it.
    return f"{path.absolute().as_uri()}?mode=rw"


def _need_room(source: Path, folder: Path) -> None:
    """Raise JournalFailed where a copy and a backup of it would not fit."""
    log = source.with_name(f"{source.name}-wal")
    size = source.stat().st_size + (log.stat().st_size if log.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < 2 * size + _REVISIONS // 256:
        raise JournalFailed(
            f"cannot copy the journal {source}: {folder} has {about(free)} free, and a backup of"
            f" {about(size)} needs twice as much for a while, and 16 MiB to spare"
        )


def _check(database: sqlite3.Connection, path: Path) -> None:
    answers = [row[0] for row in database.execute("PRAGMA integrity_check(10)")]
    if answers != ["ok"]:
        raise JournalFailed(f"the journal {path} is damaged: {'; '.join(answers)}")
    ((version,),) = database.execute("PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise JournalFailed(
            f"the journal {path} has schema version {version}, and this version of the client"
            f" worker knows up to {len(MIGRATIONS)}: install a newer one first (deploy)"
        )
    if version < len(MIGRATIONS):
        raise JournalFailed(
            f"the journal {path} has schema version {version}, and this version of the client"
            f" worker has {len(MIGRATIONS)}: let it run with this version first (deploy); a backup"
            " is restored by the version that made it, and upgraded then"
        )


def _mark(database: sqlite3.Connection) -> None:
    database.execute("BEGIN")
    database.execute(
        "UPDATE life SET id = lower(hex(randomblob(16))), learning = 1, copied = ?", (time.time(),)
    )
    database.execute(
        "INSERT OR REPLACE INTO pruned SELECT 0, ? + ifnull(max(revision), 0) FROM"
        " (SELECT revision FROM requests UNION ALL SELECT revision FROM pruned)",
        (_REVISIONS,),
    )
    database.execute("COMMIT")
