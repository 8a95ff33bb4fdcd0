# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's part about bases: which there are, or are being made, and what they consist of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ...guest.cloud_init.facts import SeedFacts
from ...guest.facts import GuestFacts
from ...model.errors import JournalFailed
from ...model.request import Customize
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
        created REAL NOT NULL,
        way TEXT NOT NULL,
        seed TEXT,
        owns INTEGER NOT NULL)""",
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
    """A base as journaled, for one ``way`` to customize its clones; while it is made, that may be
    ``auto`` still.

    As soon as it is ready, ``facts`` are those of its guest if that is ``offline``, ``seed`` if it
    is ``cloud-init``. ``owns``: its disks are volumes of its own; else they are those that keep
    what the image came as, which are the image's.
    """

    id: str
    image: str
    image_uuid: str
    version: str
    state: str
    pool: str
    disks: tuple[BaseDisk, ...] = ()
    facts: GuestFacts | None = None
    created: float = 0.0
    way: Customize = Customize.OFFLINE
    seed: SeedFacts | None = None
    owns: bool = True


_COLUMNS = "id, image, image_uuid, version, state, pool, disks, facts, created, way, seed, owns"


class Bases:
    """The part of the journal about bases."""

    _db: Database

    def add_base(self, base: Base) -> None:
        """Note a base, before its first volume is made."""
        with self._db.write():
            self._db.change(
                f"INSERT INTO bases ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                base.id,
                base.image,
                base.image_uuid,
                base.version,
                base.state,
                base.pool,
                json.dumps([asdict(disk) for disk in base.disks]),
                _json(base.facts),
                base.created or time.time(),
                base.way.value,
                _json(base.seed),
                base.owns,
            )

    def update_base(
        self,
        base_id: str,
        *,
        state: str,
        facts: GuestFacts | None = None,
        seed: SeedFacts | None = None,
        way: Customize | None = None,
    ) -> None:
        """Note a base's new state ("making" or "ready") and what is known of its guest.

        ``way`` is which one it is for, if that came out meanwhile.
        """
        with self._db.write():
            self._db.change(
                "UPDATE bases SET state = ?, facts = ?, seed = ?, way = COALESCE(?, way)"
                " WHERE id = ?",
                state,
                _json(facts),
                _json(seed),
                None if way is None else way.value,
                base_id,
            )

    def bases(self, image_uuid: str | None = None) -> tuple[Base, ...]:
        """Return all bases, or those of one image, the oldest first."""
        rows = self._db.read(
            f"SELECT {_COLUMNS} FROM bases"  # noqa: S608
            " WHERE ?1 IS NULL OR image_uuid = ?1 ORDER BY created, id",
            image_uuid,
        )
        return tuple(map(_base, rows))

    def remove_base(self, base_id: str) -> None:
        """Drop a base, after its volumes are gone."""
        with self._db.write():
            self._db.change("DELETE FROM bases WHERE id = ?", base_id)


def _json(known: GuestFacts | SeedFacts | None) -> str | None:
    return None if known is None else json.dumps(known.to_json())


def _base(row: Iterable[Any]) -> Base:
    base_id, image, image_uuid, version, state, pool, *rest = row
    disks, facts, created, way, seed, owns = rest
    try:
        return Base(
            base_id,
            image,
            image_uuid,
            version,
            state,
            pool,
            disks=tuple(BaseDisk(**disk) for disk in json.loads(disks)),
            facts=None if facts is None else GuestFacts.from_json(json.loads(facts)),
            created=created,
            way=Customize(way),
            seed=None if seed is None else SeedFacts.from_json(json.loads(seed)),
            owns=bool(owns),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise JournalFailed(f"the journal's base {base_id} is unreadable: {error!r}") from error
