# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's part about bases: which there are, or are being made, and what they consist of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ...guest.facts import GuestFacts
from ...model.errors import JournalFailed
from ...system.database import Database

CREATE = (
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
)

# The states of a base.
MAKING, READY = "making", "ready"


@dataclass(frozen=True)
class BaseDisk:
    """The volume of a base that is the disk ``target`` of its image."""

    target: str
    name: str
    path: str
    format: str


@dataclass(frozen=True)
class Base:
    """A base as journaled; ``facts`` are those of its guest, as soon as it is ready."""

    id: str
    image: str
    image_uuid: str
    version: str
    state: str
    pool: str
    disks: tuple[BaseDisk, ...] = ()
    facts: GuestFacts | None = None
    created: float = 0.0


class Bases:
    """The part of the journal about bases."""

    _db: Database

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
                json.dumps([asdict(disk) for disk in base.disks]),
                _json(base.facts),
                base.created or time.time(),
            )

    def update_base(self, base_id: str, *, state: str, facts: GuestFacts | None) -> None:
        """Note a base's new state ("making" or "ready") and the facts of its guest."""
        with self._db.write():
            self._db.change(
                "UPDATE bases SET state = ?, facts = ? WHERE id = ?",
                state,
                _json(facts),
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


def _json(facts: GuestFacts | None) -> str | None:
    return None if facts is None else json.dumps(facts.to_json())


def _base(row: Iterable[Any]) -> Base:
    base_id, image, image_uuid, version, state, pool, disks, facts, created = row
    try:
        made = tuple(BaseDisk(**disk) for disk in json.loads(disks))
        known = None if facts is None else GuestFacts.from_json(json.loads(facts))
    except (ValueError, TypeError, KeyError) as error:
        raise JournalFailed(f"the journal's base {base_id} is unreadable: {error!r}") from error
    return Base(base_id, image, image_uuid, version, state, pool, made, known, created)
