# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal's part about looks at images: what was found, so that it is not looked for again."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...guest.facts import Seen
from ...system.database import Database

CREATE = (
    """CREATE TABLE looks (
        image_uuid TEXT PRIMARY KEY,
        image TEXT NOT NULL,
        version TEXT NOT NULL,
        inspection INTEGER NOT NULL,
        answer TEXT NOT NULL,
        made REAL NOT NULL)""",
)


@dataclass(frozen=True)
class Look:
    """What a look at one version of an image found, by the rules of one version of the inspection.

    ``made`` is when, in seconds since 1970. ``seen`` is what is known of its guest; where nothing
    can be told of it, ``code`` and ``reason`` are those of the error.
    """

    image_uuid: str
    image: str
    version: str
    inspection: int
    made: float
    code: str | None = None
    reason: str | None = None
    seen: Seen | None = None


class Looks:
    """The newest look at each image, in the journal's ``database``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def keep(self, look: Look, images: Collection[str]) -> None:
        """Note a look, in the place of an older one, and forget those at other than ``images``.

        ``images`` are UUIDs.
        """
        seen = None if look.seen is None else look.seen.to_json()
        answer = json.dumps({"code": look.code, "reason": look.reason, "seen": seen})
        values = (look.image, look.version, look.inspection, answer, look.made)
        with self._db.write():
            for gone in {each.image_uuid for each in self.all()}.difference(images):
                self._db.change("DELETE FROM looks WHERE image_uuid = ?", gone)
            self._db.change(
                "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?)", look.image_uuid, *values
            )

    def all(self) -> tuple[Look, ...]:
        """Return what is known, sorted by the names of the images. One that can't be read is none:
        its image is looked at again.
        """
        rows = self._db.read(
            "SELECT image_uuid, image, version, inspection, made, answer FROM looks ORDER BY image"
        )
        return tuple(look for look in (_look(*row) for row in rows) if look is not None)

    def at(self, image_uuid: str) -> Look | None:
        """Return what is known of one image."""
        return next((look for look in self.all() if look.image_uuid == image_uuid), None)

    def forget(self, image: str, uuid: str | None = None) -> int:
        """Drop what is known of an image, by its name; with ``uuid`` also what was found before it
        got that name. Return of how many that was.
        """
        with self._db.write():
            return self._db.change(
                "DELETE FROM looks WHERE image = ? OR image_uuid = ?", image, uuid
            )


def _look(*row: Any) -> Look | None:
    *known, answer = row
    try:
        said = json.loads(answer)
        said["seen"] = None if said["seen"] is None else Seen.from_json(said["seen"])
        return Look(*known, **said)
    except (ValueError, TypeError, KeyError):
        return None
