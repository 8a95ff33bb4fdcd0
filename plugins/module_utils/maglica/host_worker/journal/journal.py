# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host worker's memory: requests, what jobs are about to do, bases and looks (SQLite).

Every method that writes has committed to the disk when it returns. The worker, its reporter and
each job have a Journal of their own on the same file; one belongs to the thread that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...system.database import Database
from . import bases, intents, looks, requests

FILE_NAME = "host_worker.sqlite"
PATIENCE_SECONDS = 10.0
# Each script takes the schema one version up; user_version counts the ones that have run.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (*requests.CREATE, *intents.CREATE, *bases.CREATE, *looks.CREATE),
    (requests.TOLD_TO,),
)


class Journal(requests.RequestRecords, bases.Bases):
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
        self.unreadable, self._named = {}, set()
        self.looks = looks.Looks(self._db)

    def close(self) -> None:
        self._db.close()

    def wipe_log(self) -> None:
        """Empty the write-ahead log of secrets that a process which was killed has left in it."""
        self._db.wipe_log()

    def probe(self) -> None:
        """Write something that changes nothing, to learn whether that is possible."""
        with self._db.write():
            self._db.change(f"PRAGMA user_version = {len(MIGRATIONS)}")
