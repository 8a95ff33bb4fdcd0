# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker's journal: every accepted request and what the hosts said last, in SQLite.

One transaction may hold the work of many messages; the caller replies after its commit. Every
failure is a JournalFailed (system/database.py).
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..model.errors import EntryUnreadable, MessageInvalid
from ..model.moment import Moment
from ..model.plain import plain
from ..model.request import HostReport, Request, Spec, State
from ..system.database import Database
from ..system.log_fields import about
from ..wire import records

logger = logging.getLogger(__name__)

# Each script takes the schema one version up; user_version counts the ones that have run.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE requests (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            digest TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            spec TEXT NOT NULL,
            who TEXT NOT NULL,
            host TEXT,
            parent TEXT,
            peer TEXT,
            created REAL NOT NULL,
            state TEXT NOT NULL,
            version INTEGER NOT NULL,
            updated REAL NOT NULL,
            detail TEXT NOT NULL,
            revision INTEGER NOT NULL)""",
        "CREATE INDEX requests_by_state ON requests (state, seq)",
        "CREATE INDEX requests_by_change ON requests (state, revision)",
        "CREATE INDEX requests_by_name ON requests (name, seq)",
        "CREATE INDEX requests_by_name_and_change ON requests (name, revision)",
        "CREATE INDEX requests_by_age ON requests (updated)",
        """CREATE TABLE aliases (
            id TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            request TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE) WITHOUT ROWID""",
        "CREATE INDEX aliases_by_request ON aliases (request)",
        "CREATE TABLE hosts (name TEXT PRIMARY KEY, seen REAL NOT NULL, report TEXT NOT NULL)",
        # The last revision when something was pruned, which may have taken it along.
        "CREATE TABLE pruned (at INTEGER PRIMARY KEY CHECK (at = 0), revision INTEGER NOT NULL)",
    ),
    (
        # Which journal this is. One that is new, or the copy of an earlier one, is learning: hosts
        # know of requests and vms of which it does not. ``copied`` is when it was made as a copy.
        """CREATE TABLE life (
            at INTEGER PRIMARY KEY CHECK (at = 0),
            id TEXT NOT NULL,
            learning INTEGER NOT NULL,
            copied REAL)""",
        "INSERT INTO life SELECT 0, lower(hex(randomblob(16))),"
        " NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'requests'), NULL",
    ),
)

_PLAIN = frozenset(
    {"id", "kind", "who", "host", "parent", "peer", "created", "state", "version", "updated"}
)
_DETAILS = ("phase", "phases", "cancelling", "failure", "vm", "done", "total")
BUSY_SECONDS = 2.0
# What reading a spoilt row may raise.
_SPOILT = (ValueError, TypeError, OverflowError, RecursionError, MessageInvalid)


def digest(spec: Spec, parent: str | None = None, peer: str | None = None) -> str:
    """Return what tells whether two submits ask for the same, secrets included."""
    return hashlib.sha256(_json([spec.verb, spec, parent, peer]).encode()).hexdigest()


class Journal:
    """An open journal. Changes come between ``begin`` and ``commit`` or ``rollback``."""

    def __init__(self, database: Database) -> None:
        self.path = database.path
        self._db = database
        # Grows by one with each change of a request.
        self.revision: int = self._db.read(
            "SELECT ifnull(max(revision), 0) FROM"
            " (SELECT revision FROM requests UNION ALL SELECT revision FROM pruned)"
        )[0][0]
        self._committed = self.revision
        # The open requests that can't be read: what is wrong with them, by their names.
        self.unreadable: dict[str, str] = {}
        self._skipped: set[str] = set()
        # What hosts know it by, and whether it is learning; since the last commit, too.
        ((known_by, learning, copied),) = self._db.read("SELECT id, learning, copied FROM life")
        self.id: str = known_by
        self._copied: float | None = copied
        self._learning = self._was_learning = bool(learning)

    @classmethod
    def open(cls, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> Journal:
        """Open the file ``path``, make it (mode 0600) if it is missing, and migrate its schema.

        Raises JournalFailed, also when another process has it open: a second worker on the same
        file would answer from memory that does not know of the first.
        """
        return cls(Database(path, migrations, BUSY_SECONDS, exclusive=True))

    def close(self) -> None:
        self._db.close()

    def begin(self) -> None:
        self._db.begin()

    def commit(self) -> None:
        """Make everything since ``begin`` durable; on JournalFailed nothing of it is."""
        self._db.commit()
        self._committed, self._was_learning = self.revision, self._learning

    def rollback(self) -> None:
        """Take back everything since ``begin``."""
        self.revision, self._learning = self._committed, self._was_learning
        self._db.rollback()

    def add(self, request: Request, content: str) -> None:
        """Keep a new request; ``content`` is its digest, against which a repetition is held."""
        self._db.change(
            "INSERT INTO requests (id, digest, kind, name, spec, who, host, parent, peer, created,"
            " state, version, updated, detail, revision)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            request.id,
            content,
            request.kind,
            request.name,
            _json(request.spec),
            request.who,
            request.host,
            request.parent,
            request.peer,
            request.created,
            *self._moving(request),
        )

    def update(self, request: Request) -> None:
        """Keep the request's new state; its secrets are wiped when it has ended."""
        self._db.change(
            "UPDATE requests SET state = ?, version = ?, updated = ?, detail = ?, revision = ?"
            " WHERE id = ?",
            *self._moving(request),
            request.id,
        )
        if request.state.ended:
            spec = _json(request.spec.without_secrets())
            self._db.change("UPDATE requests SET spec = ? WHERE id = ?", spec, request.id)
            self._db.secrets_deleted()

    def add_alias(self, alias: str, content: str, request_id: str) -> None:
        """Let ``alias``, the id of a submit that joined ``request_id``, stand for that request."""
        self._db.change("INSERT INTO aliases VALUES (?, ?, ?)", alias, content, request_id)

    def find(self, request_id: str) -> tuple[str, str] | None:
        """Return the request's own id and the digest submitted under ``request_id``, or None."""
        rows = self._db.read("SELECT id, digest FROM requests WHERE id = ?", request_id)
        rows += self._db.read("SELECT request, digest FROM aliases WHERE id = ?", request_id)
        return (rows[0][0], rows[0][1]) if rows else None

    def get(self, request_id: str) -> Request | None:
        """Return the request with that id of its own, or None. Raises EntryUnreadable."""
        rows = self._db.read("SELECT * FROM requests WHERE id = ?", request_id)
        return self._request(rows[0]) if rows else None

    def standing(self, request_id: str) -> tuple[str, str | None, str] | None:
        """Return id, host and state of the request that ``request_id`` stands for, or None: no more
        of it is read.
        """
        found = self.find(request_id)
        rows = self._db.read(
            "SELECT id, host, state FROM requests WHERE id = ?", found[0] if found else request_id
        )
        return (rows[0]["id"], rows[0]["host"], rows[0]["state"]) if rows else None

    def open_requests(self) -> Iterator[Request]:
        """Yield the requests that have not ended, in the order in which they were accepted; those
        that can't be read go to ``unreadable``.
        """
        query = "SELECT * FROM requests WHERE state IN ('queued', 'sent', 'running') ORDER BY seq"
        found = self._readable(self._db.read(query), self.unreadable)
        return (request for _row, request in found)

    def ended_since(self, moment: float) -> Iterator[Request]:
        """Yield the requests that have ended after ``moment``."""
        query = "SELECT * FROM requests INDEXED BY requests_by_age WHERE updated > ? ORDER BY seq"
        found = self._readable(self._db.read(query, moment))
        return (request for _row, request in found if request.state.ended)

    def newest(
        self, states: Iterable[State], limit: int, name: str | None, before: str | None = None
    ) -> Iterator[Request]:
        """Yield at most ``limit`` requests in one of ``states``, the newest first. Each is read
        when it is asked for: it may be long.

        ``name``: only those about the vm of that name; ``before``: only those that are older than
        the request of this id (of one that was forgotten, nothing is).
        """
        narrowed, values = "", []
        if name is not None:
            narrowed += " AND name = ?"
            values.append(name)
        if before is not None:
            narrowed += " AND seq < (SELECT seq FROM requests WHERE id = ?)"
            values.append(before)
        query = f"SELECT * FROM requests WHERE state = ?{narrowed} ORDER BY seq DESC"  # noqa: S608 - of our own words only
        found = [self._db.rows(query, state.value, *values) for state in frozenset(states)]
        newest = heapq.merge(*found, key=lambda row: row["seq"], reverse=True)
        readable = (request for _row, request in self._readable(newest))
        return itertools.islice(readable, limit)

    def changed_since(
        self, revision: int, states: Iterable[State], limit: int, name: str | None
    ) -> Iterator[tuple[int, Request]]:
        """Yield at most ``limit`` requests in one of ``states`` that have changed since
        ``revision``, each with the revision of its last change, in that order.
        """
        # A vm has few requests; without a word SQLite would go through those of all.
        by, narrowed, values = "requests_by_change", "", []
        if name is not None:
            by, narrowed, values = "requests_by_name_and_change", " AND name = ?", [name]
        query = (
            f"SELECT * FROM requests INDEXED BY {by}"  # noqa: S608 - of our own words only
            f" WHERE state = ? AND revision > ?{narrowed} ORDER BY revision"
        )
        found = [
            self._db.rows(query, state.value, revision, *values) for state in frozenset(states)
        ]
        first = heapq.merge(*found, key=lambda row: row["revision"])
        readable = ((row["revision"], request) for row, request in self._readable(first))
        return itertools.islice(readable, limit)

    def prune(self, before: float, limit: int) -> int:
        """Forget at most ``limit`` requests that ended before ``before``; return how many."""
        # Without a word SQLite would go through all that have ended.
        count = self._db.change(
            "DELETE FROM requests WHERE seq IN (SELECT seq FROM requests INDEXED BY requests_by_age"
            " WHERE updated < ? AND state IN ('done', 'failed', 'cancelled') LIMIT ?)",
            before,
            limit,
        )
        if count:
            self._db.change("INSERT OR REPLACE INTO pruned VALUES (0, ?)", self.revision)
        return count

    def keep_host(self, name: str, seen: float, report: HostReport) -> None:
        """Keep what a host said last."""
        self._db.change("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?)", name, seen, _json(report))

    def forget_host(self, name: str) -> None:
        self._db.change("DELETE FROM hosts WHERE name = ?", name)

    def hosts(self) -> list[tuple[str, float, HostReport]]:
        """Return name, time and report of every host that was kept.

        One that can't be read is left out, and logged: the host's next hello says all of it anew.
        """
        found = []
        for name, seen, text in self._db.read("SELECT name, seen, report FROM hosts"):
            try:
                found.append((name, seen, _report(name, text)))
            except _SPOILT as error:
                with about(host=name):
                    logger.warning("journal %s: host %s is unreadable: %s", self.path, name, error)
        return found

    def is_learning(self) -> bool:
        """Tell whether it is new, or a copy, and no clone was placed by it yet."""
        return self._learning

    def copied(self) -> float | None:
        """Return when it was made as a copy, as long as it is learning; None if it was not."""
        return self._copied if self._learning else None

    def learnt(self) -> None:
        """Note that it knows what the hosts know."""
        self._db.change("UPDATE life SET learning = 0 WHERE learning = 1")
        self._learning = False

    def wipe_log(self) -> None:
        """Empty the write-ahead log if it may still hold secrets of requests that have ended."""
        self._db.wipe_log()

    def _moving(self, request: Request) -> tuple[Any, ...]:
        self.revision += 1
        detail = {name: getattr(request, name) for name in _DETAILS}
        state, version, updated = request.state.value, request.version, request.updated
        return state, version, updated, _json(detail), self.revision

    def _readable(
        self, rows: Iterable[sqlite3.Row], left_out: dict[str, str] | None = None
    ) -> Iterator[tuple[sqlite3.Row, Request]]:
        """Yield the rows with their requests; what can't be read is left out, and logged once."""
        for row in rows:
            try:
                yield row, self._request(row)
            except EntryUnreadable as error:
                if left_out is not None:
                    left_out[row["name"]] = str(error)
                if row["id"] not in self._skipped:
                    self._skipped.add(row["id"])
                    with about(row["id"]):
                        # Not the error, whose frames would keep the query open.
                        logger.error("%s", str(error))

    def _request(self, row: sqlite3.Row) -> Request:
        values = {name: row[name] for name in row.keys() if name in _PLAIN}  # noqa: SIM118
        try:
            values.update({name: Moment(row[name]).iso for name in ("created", "updated")})
            values["spec"] = json.loads(row["spec"])
            values.update(json.loads(row["detail"]))
            return records.read_request(values)
        except _SPOILT as error:
            raise EntryUnreadable(
                f"journal {self.path}: request {row['id']} is unreadable: {error}"
            ) from error


def _report(name: str, text: str) -> HostReport:
    report: HostReport = records.report(json.loads(text), f"report of {name}")
    return report


def _json(value: Any) -> str:
    return json.dumps(plain(value), separators=(",", ":"), sort_keys=True)
