# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a host: prints as JSON what is there, and all that a job may have left."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import libvirt

STATE = Path("/var/lib/maglica-host-worker")
POOL = Path("/var/lib/libvirt/images")
# Where libguestfs keeps its sockets and files, and jobs the keys that they make.
SCRATCH = ("/tmp/libguestfs*", "/run/user/0/libguestfs*", "/run/libguestfs*", f"{STATE}/keys/*")


def is_held(path: Path) -> bool:
    """Tell whether somebody has the lock; a file alone is none."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def programs() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        program = text.partition(" ")[0].rpartition("/")[2]
        if program == "qemu-img" or (program.startswith("qemu-system") and "guestfsd.sock" in text):
            yield text[:200]


def look() -> dict[str, list[str]]:
    database = sqlite3.connect(STATE / "host_worker.sqlite", timeout=10)

    def rows(query: str) -> list[str]:
        return [row[0] for row in database.execute(query)]

    disks = [json.loads(text) for text in rows("SELECT disks FROM bases")]
    locks = [path for name in ("locks", "bases") for path in (STATE / name).glob("*")]
    scratch = [path for pattern in SCRATCH for path in Path("/").glob(pattern.lstrip("/"))]
    return {
        "domains": [each.name() for each in libvirt.open("qemu:///system").listAllDomains()],
        "files": [path.name for path in POOL.iterdir()],
        "bases": [disk["name"] for base in disks for disk in base],
        "unready": rows("SELECT id FROM bases WHERE state != 'ready'"),
        "intents": rows("SELECT kind || ' ' || data FROM intents"),
        "open": rows("SELECT id FROM requests WHERE open = 1"),
        "locks": [str(path) for path in locks if is_held(path)],
        "programs": list(programs()),
        "scratch": [str(path) for path in scratch],
        "sound": rows("PRAGMA integrity_check"),
    }


if __name__ == "__main__":
    print(json.dumps(look()))
