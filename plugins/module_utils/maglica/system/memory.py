# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a service's processes when there is no memory left, by its limit or at all.

See cgroups(7) and proc(5); where there are none of their files, nothing is known and nothing said.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self")
# Of -1000 (never) to 1000; what a service or a vm has is 0.
_FIRST = "500"


def be_first_to_end() -> None:
    """Have the kernel end this process, or what it starts, before services and vms."""
    with contextlib.suppress(OSError):
        (_OWN / "oom_score_adj").write_text(_FIRST, encoding="ascii")


class Kills:
    """How many processes beside this one the kernel ends for want of memory, from now on."""

    def __init__(self) -> None:
        self._before = _count()

    def told(self) -> str:
        """Return what is to be added to the cause of a failure: nothing, if there were none."""
        count = _count() - self._before
        if count <= 0:
            return ""
        return (
            f" (meanwhile the kernel has ended {count} of the worker's processes, as no memory was"
            " left: see host_worker_memory_max, and how much the host has free)"
        )


def _count() -> int:
    """Return how many processes of this one's control group the kernel has ended for it so far."""
    with contextlib.suppress(OSError, ValueError):
        lines = (_OWN / "cgroup").read_text(encoding="utf-8").splitlines()
        group = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), "")
        events = (_CGROUPS / group / "memory.events").read_text(encoding="ascii")
        return int(dict(line.split() for line in events.splitlines()).get("oom_kill", 0))
    return 0
