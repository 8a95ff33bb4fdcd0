# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's part about requests: each as this host knows it, until its result is told."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...model.errors import EntryUnreadable, MessageInvalid
from ...model.moment import Moment
from ...model.plain import plain
from ...model.request import Failure, Phase, Request, State
from ...model.vm import Domain
from ...system.log_fields import about
from ...wire import records
from .intents import Intents

_log = logging.getLogger(__name__)

# Which journal of a client worker has been told of all requests.
TOLD_TO = "CREATE TABLE told_to (at INTEGER PRIMARY KEY CHECK (at = 0), journal TEXT NOT NULL)"
CREATE = (
    """CREATE TABLE requests (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        ending TEXT,
        open INTEGER NOT NULL,
        reported INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX requests_to_do ON requests (seq) WHERE open = 1 OR reported = 0",
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


class RequestRecords(Intents):
    """The part of the journal about requests, whose ends depend on what they have announced.

    ``unreadable`` is what can't be read of those that have not ended, by their ids.
    """

    unreadable: dict[str, str]
    _named: set[str]

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
        """Return what is known of one request, or None. Raises EntryUnreadable."""
        rows = self._rows("id = ?", request_id)
        return self._entry(*rows[0]) if rows else None

    def known(self, request_id: str) -> Entry | None:
        """Return what can be read of one request; what can't is logged."""
        return next(iter(self._readable(self._rows("id = ?", request_id))), None)

    def open(self) -> tuple[Entry, ...]:
        """Return the requests that have not ended, the oldest first, without those that are
        ``unreadable`` then.
        """
        self.unreadable.clear()
        return self._readable(self._rows("open = 1"), self.unreadable)

    def open_ids(self) -> list[str]:
        """Return the ids of all requests that have not ended, the oldest first."""
        return [row["id"] for row in self._rows("open = 1")]

    def unreported(self) -> tuple[Entry, ...]:
        """Return the requests that have ended and whose result must still be told; what of them
        can't be read is logged.
        """
        return self._readable(self._rows("open = 0 AND reported = 0"))

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
        vm: Domain | None = None,
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
            kept = tuple(phases)[-records.MAX_PHASES :]
            result = {"failure": failure, "vm": _tellable(vm), "phases": kept}
            self._change(request_id, state=state, phase=None, **result)
        self._db.wipe_log()
        return True

    def reported(self, request_id: str) -> None:
        """Note that the client worker has the result, or knows nothing of the request."""
        with self._db.write():
            self._db.change(
                "UPDATE requests SET reported = 1 WHERE id = ? AND open = 0", request_id
            )

    def tell_anew(self, client_worker_journal: str, own: str) -> bool:
        """Note that this journal of the client worker is to have all results; tell whether it is
        another one than before: then all are to be told once more, but those of ``own`` requests.
        """
        known = self._db.read("SELECT journal FROM told_to")
        if known and known[0][0] == client_worker_journal:
            return False
        with self._db.write():
            self._db.change("INSERT OR REPLACE INTO told_to VALUES (0, ?)", client_worker_journal)
            self._db.change(
                "UPDATE requests SET reported = 0 WHERE open = 0 AND "  # noqa: S608 - own words
                f"{_read('$.who')} != ?",
                own,
            )
        return True

    def prune(self, before: float) -> int:
        """Remove reported requests that ended before a time (seconds since 1970).

        Returns how many.
        """
        with self._db.write():
            return self._db.change(
                "DELETE FROM requests WHERE open = 0 AND reported = 1"  # noqa: S608
                f" AND {_read('$.updated')} < ?",
                Moment(before).iso,
            )

    def _rows(self, where: str, *values: Any) -> list[sqlite3.Row]:
        return self._db.read(
            "SELECT id, request, attempts, ending, reported FROM requests"  # noqa: S608
            f" WHERE {where} ORDER BY seq",
            *values,
        )

    def _readable(
        self, rows: Iterable[sqlite3.Row], left_out: dict[str, str] | None = None
    ) -> tuple[Entry, ...]:
        """Return the entries of these rows; what can't be read is left out, and logged once."""
        found = []
        for row in rows:
            try:
                found.append(self._entry(*row))
            except EntryUnreadable as error:
                if left_out is not None:
                    left_out[row["id"]] = str(error)
                if row["id"] not in self._named:
                    self._named.add(row["id"])
                    with about(row["id"]):
                        _log.error("%s", error)
        return tuple(found)

    def _entry(self, each: str, text: str, attempts: int, ending: str, reported: int) -> Entry:
        try:
            request = records.read_request(json.loads(text))
            return Entry(request, attempts, State(ending) if ending else None, bool(reported))
        except (ValueError, TypeError, RecursionError, MessageInvalid) as error:
            raise EntryUnreadable(
                f"journal {self._db.path}: request {each} is unreadable: {error}"
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
        request = replace(entry.request, updated=Moment(time.time()), **fields)
        if request.state.ended and request.spec != request.spec.without_secrets():
            request = replace(request, spec=request.spec.without_secrets())
            self._db.secrets_deleted()
        self._db.change(
            "UPDATE requests SET request = ?, open = ? WHERE id = ?",
            _json(request),
            not request.state.ended,
            request_id,
        )


def _read(path: str) -> str:
    """Return what is at ``path`` of a request, in SQL: nothing, if that can't be read."""
    return f"CASE WHEN json_valid(request) THEN json_extract(request, '{path}') END"


def _tellable(vm: Domain | None) -> Domain | None:
    """Return as much of a vm as a message can tell: the end of its request must get through.

    Others may have given its definition more, or what can't be read again, which would stop the
    worker.
    """
    for shown in (vm, vm and vm.without_details()):
        told = plain(shown)
        try:
            if len(json.dumps(told)) > records.MAX_VM_BYTES:
                raise MessageInvalid(f"it is longer than {records.MAX_VM_BYTES} bytes")
            return shown and records.vm.read(told, "vm")
        except MessageInvalid as error:
            _log.warning("a vm is kept without what can't be told of it: %s", error)
    return None


def _json(request: Request) -> str:
    return json.dumps(plain(request))
