# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes as /proc shows them; see proc(5). One that ends meanwhile is passed over.

Where there is no /proc, there are none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
# Where in /proc/PID/stat, behind the name.
_PARENT, _GROUP = 1, 2


def children() -> list[int]:
    """Return the processes that this one has started and not waited for."""
    return [pid for pid, fields in _all() if int(fields[_PARENT]) == os.getpid()]


def arguments(pid: int) -> list[str]:
    """Return a process' command line, its name first; nothing of one that is gone."""
    with contextlib.suppress(OSError):
        return os.fsdecode((_PROC / str(pid) / "cmdline").read_bytes()).split("\0")
    return []


def moved_bytes(group: int) -> int:
    """Return how many bytes the processes of a process group have read and written so far.

    Those of processes that have ended since the last call are missing, so that the sum may shrink.
    """
    return sum(_moved_by(pid) for pid, fields in _all() if int(fields[_GROUP]) == group)


def _all() -> Iterator[tuple[int, list[str]]]:
    """Yield each process' number and the fields of its stat behind the name."""
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                # The name, in brackets, may itself have spaces and brackets.
                yield int(entry.name), stat.rpartition(")")[2].split()


def _moved_by(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        lines = (_PROC / str(pid) / "io").read_text(encoding="ascii").splitlines()
        values = dict(line.split(": ") for line in lines)
        return int(values["rchar"]) + int(values["wchar"])
    return 0
