# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request's job announces before it does it, so that it can be undone."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...model.errors import JournalFailed
from ...system.database import Database

CREATE = (
    """CREATE TABLE intents (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        request_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL)""",
    "CREATE INDEX intents_of_request ON intents (request_id, seq)",
)


class Effect(str, enum.Enum):
    """A kind of side effect; the act of each has its undoer beside it."""

    VOLUME = "volume"
    FILE = "file"
    DOMAIN = "domain"
    # A disk's content copied from the base below it, and the guest's pause at the end of that.
    PULL = "pull"
    PAUSE = "pause"
    # A disk attached to a vm, and named in its metadata.
    DISK = "disk"
    # A guest shut down that is to be started again.
    SHUTDOWN = "shutdown"
    # The definition of a vm that may be restarted for what is changed in it.
    CHANGE = "change"
    BASE = "base"
    # The throw-away overlays of a look into an original image.
    LOOK = "look"
    # A file that comes from elsewhere to be an image: what has come is gone on with.
    FETCH = "fetch"
    # The definition of an image's domain, or another one of it.
    IMAGE = "image"
    # A domain and what is its own taken away; the only one that is gone on with, not undone.
    REMOVAL = "removal"


@dataclass(frozen=True)
class Intent:
    """A side effect that a request's job announced before it began it."""

    seq: int
    kind: Effect
    data: dict[str, Any]


class Intents:
    """The part of the journal about what is announced."""

    _db: Database

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
        return tuple(_intent(*row) for row in rows)

    def announced(self) -> tuple[Intent, ...]:
        """Return the intents of all requests."""
        return tuple(_intent(*row) for row in self._db.read("SELECT seq, kind, data FROM intents"))

    def forget(self, request_id: str, but: Collection[Effect] = ()) -> None:
        """Drop a request's intents: all of them are undone, or the request is done.

        Those of the kinds ``but`` stay announced.
        """
        with self._db.write():
            if not but:
                self._forget(request_id)
            for intent in self.intents(request_id) if but else ():
                if intent.kind not in but:
                    self._db.change("DELETE FROM intents WHERE seq = ?", intent.seq)

    def _forget(self, request_id: str) -> None:
        self._db.change("DELETE FROM intents WHERE request_id = ?", request_id)


def _intent(seq: int, kind: str, data: str) -> Intent:
    # It is not left out: what it names is protected by it, and is to be undone.
    try:
        return Intent(seq, Effect(kind), json.loads(data))
    except (ValueError, TypeError) as error:
        raise JournalFailed(f"the journal's intent {seq} is unreadable: {error}") from error
