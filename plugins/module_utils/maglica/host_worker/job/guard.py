# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that nothing of a job outlives the worker that started it.

A job starts programs (qemu-img, an appliance's QEMU) that would go on writing when the worker is
killed. So each job has a guard: the first process of the job's process group, which waits for the
worker's end of a pipe to close and then kills the group. It holds no lock that a hung job could
keep.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1


def fork(life: int) -> None:
    """Go on in a new process; the calling one stays behind as its guard and never returns.

    ``life`` is the reading end of a pipe whose other end only the worker has. The caller leads a
    process group of its own and has started no thread yet.
    """
    guard = os.getpid()
    job = os.fork()
    if job:
        os._exit(_watch(job, life))
    os.close(life)
    # Should the guard be killed alone, the job goes with it, and the worker kills the rest.
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != guard:
        os._exit(1)


def _watch(job: int, life: int) -> int:
    threading.Thread(target=_kill_group_at_end, args=(life,), daemon=True).start()
    _other, status = os.waitpid(job, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _kill_group_at_end(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)
