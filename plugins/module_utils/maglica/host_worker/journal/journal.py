# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host worker's memory: requests, what jobs are about to do, bases and looks (SQLite).

Every method that writes has committed to the disk when it returns. The worker, its reporter and
each job have a Journal of their own on the same file; one belongs to the thread that made it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...model.errors import JournalFailed, MessageInvalid
from ...model.plain import plain
from ...model.request import Failure, Phase, Request, State, Vm
from ...system.database import Database
from ...wire import records
from .intents import Effect, Intent
from .looks import CREATE, Looks

FILE_NAME = "host_worker.sqlite"
PATIENCE_SECONDS = 10.0
# Each script takes the schema one version up; user_version counts the ones that have run.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE requests (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            request TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            ending TEXT,
            open INTEGER NOT NULL,
            reported INTEGER NOT NULL DEFAULT 0)""",
        "CREATE INDEX requests_to_do ON requests (seq) WHERE open = 1 OR reported = 0",
        """CREATE TABLE intents (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            request_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL)""",
        "CREATE INDEX intents_of_request ON intents (request_id, seq)",
        """CREATE TABLE bases (
            id TEXT PRIMARY KEY,
            image TEXT NOT NULL,
            image_uuid TEXT NOT NULL,
            version TEXT NOT NULL,
            state TEXT NOT NULL,
            pool TEXT NOT NULL,
            disks TEXT NOT NULL,
            facts TEXT,
            created REAL NOT NULL)""",
    ),
    (CREATE,),
)


@dataclass(frozen=True)
class Entry:
    """A request as this host knows it.

    ``ending`` is the state that an open request gets as soon as what it has left is undone: from
    then on its job only undoes. ``attempts`` counts the jobs that died while they ran it.
    """

    request: Request
    attempts: int = 0
    ending: State | None = None
    reported: bool = False

    @property
    def id(self) -> str:
        return self.request.id


# The states of a base.
MAKING, READY = "making", "ready"


@dataclass(frozen=True)
class Base:
    """A base as journaled; ``disks`` has by disk target the volume's name, path, format, bytes."""

    id: str
    image: str
    image_uuid: str
    version: str
    state: str
    pool: str
    disks: dict[str, dict[str, Any]]
    facts: dict[str, Any] | None = None
    created: float = 0.0


class Journal:
    """The journal in the folder ``state_dir``: made when it is missing, migrated when it is old.

    A write waits for other processes' writes, at most ``patience`` seconds.
    """

    def __init__(
        self,
        state_dir: str | Path,
        patience: float = PATIENCE_SECONDS,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
    ) -> None:
        self._db = Database(Path(state_dir) / FILE_NAME, migrations, patience)
        self.looks = Looks(self._db)

    def close(self) -> None:
        self._db.close()

    def probe(self) -> None:
        """Write something that changes nothing, to learn whether that is possible."""
        with self._db.write():
            self._db.change(f"PRAGMA user_version = {len(MIGRATIONS)}")

    # --- requests

    def accept(self, requests: Iterable[Request]) -> None:
        """Take in requests, all in one commit; those that are known already stay as they are."""
        with self._db.write():
            for request in requests:
                running = replace(request, state=State.RUNNING, cancelling=False, phases=())
                self._db.change(
                    "INSERT OR IGNORE INTO requests (id, request, open) VALUES (?, ?, 1)",
                    request.id,
                    _json(running),
                )

    def entry(self, request_id: str) -> Entry | None:
        """Return what is known of one request, or None."""
        return next(iter(self._entries("id = ?", request_id)), None)

    def open(self) -> tuple[Entry, ...]:
        """Return the requests that have not ended, the oldest first."""
        return self._entries("open = 1")

    def unreported(self) -> tuple[Entry, ...]:
        """Return the requests that have ended and whose result must still be told."""
        return self._entries("open = 0 AND reported = 0")

    def cancel(self, request_id: str) -> None:
        """Let an open request end as cancelled as soon as it is undone."""
        with self._db.write():
            self._doom([request_id], State.CANCELLED, None)

    def died(self, request_ids: Sequence[str], failure: Failure, limit: int) -> None:
        """Count a job that ended without a result for these requests.

        At ``limit`` a request is to be undone and to end with ``failure``.
        """
        with self._db.write():
            for entry in map(self.entry, request_ids):
                if entry is None or entry.request.state.ended:
                    continue
                attempts = entry.attempts + 1
                self._db.change("UPDATE requests SET attempts = ? WHERE id = ?", attempts, entry.id)
                if attempts >= limit:
                    self._doom([entry.id], State.FAILED, failure)

    def end(
        self,
        request_id: str,
        state: State,
        *,
        failure: Failure | None = None,
        vm: Vm | None = None,
        phases: Iterable[Phase] = (),
    ) -> bool:
        """Commit a request's result; return whether it has ended with that.

        ``phases`` are those of its last run.
        A request that is done forgets its intents. One that is not, and has intents left, does not
        end yet: its next job undoes them. A request that has ended stays as it ended.
        """
        with self._db.write():
            entry = self.entry(request_id)
            if entry is None or entry.request.state.ended:
                return entry is not None
            if state is State.DONE:
                self._forget(request_id)
            elif self.intents(request_id):
                self._doom([request_id], state, failure)
                return False
            elif entry.ending is not None:
                state, failure = entry.ending, entry.request.failure
            result = {"failure": failure, "vm": vm, "phases": tuple(phases)}
            self._change(request_id, state=state, phase=None, **result)
        self._db.wipe_log()
        return True

    def reported(self, request_id: str) -> None:
        """Note that the client worker has the result, or knows nothing of the request."""
        with self._db.write():
            self._db.change(
                "UPDATE requests SET reported = 1 WHERE id = ? AND open = 0", request_id
            )

    def prune(self, before: float) -> int:
        """Remove reported requests that ended before a time (seconds since 1970).

        Returns how many.
        """
        with self._db.write():
            return self._db.change(
                "DELETE FROM requests WHERE open = 0 AND reported = 1"
                " AND json_extract(request, '$.updated') < ?",
                before,
            )

    # --- intents

    def intend(self, request_id: str, kind: Effect, data: dict[str, Any]) -> None:
        """Announce a side effect; to be called before it begins."""
        with self._db.write():
            self._db.change(
                "INSERT INTO intents (request_id, kind, data) VALUES (?, ?, ?)",
                request_id,
                kind.value,
                json.dumps(data),
            )

    def intents(self, request_id: str) -> tuple[Intent, ...]:
        """Return a request's intents in the order in which they were announced."""
        rows = self._db.read(
            "SELECT seq, kind, data FROM intents WHERE request_id = ? ORDER BY seq", request_id
        )
        return tuple(Intent(seq, Effect(kind), json.loads(data)) for seq, kind, data in rows)

    def announced(self) -> tuple[Intent, ...]:
        """Return the intents of all requests."""
        rows = self._db.read("SELECT seq, kind, data FROM intents")
        return tuple(Intent(seq, Effect(kind), json.loads(data)) for seq, kind, data in rows)

    def forget(self, request_id: str) -> None:
        """Drop a request's intents: all of them are undone, or the request is done."""
        with self._db.write():
            self._forget(request_id)

    # --- bases

    def add_base(self, base: Base) -> None:
        """Note a base, before its first volume is made."""
        with self._db.write():
            self._db.change(
                "INSERT INTO bases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                base.id,
                base.image,
                base.image_uuid,
                base.version,
                base.state,
                base.pool,
                json.dumps(base.disks),
                None if base.facts is None else json.dumps(base.facts),
                base.created or time.time(),
            )

    def update_base(self, base_id: str, *, state: str, facts: dict[str, Any] | None) -> None:
        """Note a base's new state ("making" or "ready") and the facts of its guest."""
        with self._db.write():
            self._db.change(
                "UPDATE bases SET state = ?, facts = ? WHERE id = ?",
                state,
                None if facts is None else json.dumps(facts),
                base_id,
            )

    def bases(self, image_uuid: str | None = None) -> tuple[Base, ...]:
        """Return all bases, or those of one image, the oldest first."""
        rows = self._db.read(
            "SELECT id, image, image_uuid, version, state, pool, disks, facts, created FROM bases"
            " WHERE ?1 IS NULL OR image_uuid = ?1 ORDER BY created, id",
            image_uuid,
        )
        return tuple(map(_base, rows))

    def remove_base(self, base_id: str) -> None:
        """Drop a base, after its volumes are gone."""
        with self._db.write():
            self._db.change("DELETE FROM bases WHERE id = ?", base_id)

    # --- inside

    def _entries(self, where: str, *values: Any) -> tuple[Entry, ...]:
        rows = self._db.read(
            "SELECT id, request, attempts, ending, reported FROM requests"  # noqa: S608
            f" WHERE {where} ORDER BY seq",
            *values,
        )
        return tuple(
            Entry(self._request(each, text), attempts, ending and State(ending), bool(reported))
            for each, text, attempts, ending, reported in rows
        )

    def _request(self, request_id: str, text: str) -> Request:
        try:
            return records.read_request(json.loads(text))
        except (ValueError, MessageInvalid) as error:
            raise JournalFailed(
                f"journal {self._db.path}: request {request_id} is unreadable: {error}"
            ) from error

    def _doom(self, request_ids: Iterable[str], state: State, failure: Failure | None) -> None:
        for request_id in request_ids:
            self._db.change(
                "UPDATE requests SET ending = ? WHERE id = ? AND open = 1",
                state.value,
                request_id,
            )
            self._change(request_id, failure=failure)

    def _change(self, request_id: str, **fields: Any) -> None:
        entry = self.entry(request_id)
        if entry is None or entry.request.state.ended:
            return
        request = replace(entry.request, updated=time.time(), **fields)
        if request.state.ended and request.spec != request.spec.without_secrets():
            request = replace(request, spec=request.spec.without_secrets())
            self._db.secrets_deleted()
        self._db.change(
            "UPDATE requests SET request = ?, open = ? WHERE id = ?",
            _json(request),
            not request.state.ended,
            request_id,
        )

    def _forget(self, request_id: str) -> None:
        self._db.change("DELETE FROM intents WHERE request_id = ?", request_id)


def _json(request: Request) -> str:
    return json.dumps(plain(request))


def _base(row: Iterable[Any]) -> Base:
    base_id, image, image_uuid, version, state, pool, disks, facts, created = row
    known = None if facts is None else json.loads(facts)
    return Base(base_id, image, image_uuid, version, state, pool, json.loads(disks), known, created)
