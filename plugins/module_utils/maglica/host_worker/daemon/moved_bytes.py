# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells a job that works without a word (a long copy) from one that hangs, by the bytes it moves.

Time on the CPU would not do: an appliance whose kernel spins has plenty of it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


def moved_bytes(group: int) -> int:
    """Return how many bytes the processes of a process group have read and written so far.

    Those of processes that have ended since the last call are missing, so that the sum may shrink.
    See proc(5), /proc/pid/stat and /proc/pid/io.
    """
    total = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                stat = (process / "stat").read_text(encoding="ascii", errors="replace")
                # The second field, a name in brackets, may itself have spaces and brackets.
                if int(stat.rpartition(")")[2].split()[2]) == group:
                    total += _moved_by(process)
    return total


def _moved_by(process: Path) -> int:
    lines = (process / "io").read_text(encoding="ascii").splitlines()
    values = dict(line.split(": ") for line in lines)
    return int(values["rchar"]) + int(values["wchar"])
