# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full copies of a base's disks: shared blocks where the file system has them, else few at once.

More than a few copies into one pool at a time make its disk slower, not faster.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable

from ..model.errors import NoRoom, StorageFailed
from ..system.locks import Lock
from . import qemu_img
from .chain import QCOW2, Chain

AT_ONCE = 2
FOLDER = "copies"
_PAUSE = 0.1
# ioctl_ficlone(2): _IOW(0x94, 9, int)
_FICLONE = 0x40049409
# What file systems answer that can't, or not from there to here.
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


def copy(chain: Chain, target: str, pool: str, state_dir: Path, alive: Callable[[], None]) -> None:
    """Copy a base's disk into the empty qcow2 file ``target``, in the pool of that name.

    It is on the disk when this returns. Raises NoRoom, StorageFailed or JournalFailed.
    """
    if len(chain) == 1 and chain[0].format == QCOW2 and reflink(chain[0].path, target):
        return
    with slot(state_dir, pool, alive) as mark:

        def moved() -> None:
            mark()
            alive()

        qemu_img.copy(chain, target, moved)


def reflink(source: str, target: str) -> bool:
    """Let the file ``target`` have the content of ``source`` by sharing its blocks (copy on write).

    False, with nothing changed, where the file system can't: that is found by trying, because
    neither its name nor its version tells. Raises NoRoom or StorageFailed.
    """
    try:
        with Path(source).open("rb") as old, Path(target).open("rb+") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            except OSError as error:
                if error.errno in _CANNOT:
                    return False
                raise
            new.truncate(os.fstat(old.fileno()).st_size)
            os.fsync(new.fileno())
    except OSError as error:
        failure = NoRoom if error.errno == errno.ENOSPC else StorageFailed
        raise failure(f"{source} can't be copied to {target}: {error.strerror}") from error
    return True


@contextmanager
def slot(state_dir: Path, pool: str, alive: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Hold one of the pool's slots during the block; yield what its holder calls at each progress.

    ``alive`` is called when those make progress that are waited for, so that one which waits for
    what hangs is found to hang too. The kernel frees a slot when its holder is gone. Raises
    JournalFailed when there can't be any.
    """
    seen = _progress(state_dir, pool)
    lock = _taken(state_dir, pool)
    while lock is None:
        time.sleep(_PAUSE)
        if (now := _progress(state_dir, pool)) != seen:
            seen = now
            alive()
        lock = _taken(state_dir, pool)
    try:
        yield lock.touch
    finally:
        lock.close()


def _progress(state_dir: Path, pool: str) -> int:
    """Return when a holder of one of the pool's slots last made progress, in nanoseconds."""
    try:
        return max(path.stat().st_mtime_ns for path in _slots(state_dir, pool))
    except OSError:
        return 0


def _slots(state_dir: Path, pool: str) -> list[Path]:
    # A pool's name may have characters that a file's name can't.
    name = pool.encode().hex()[:200]
    return [state_dir / FOLDER / f"{name}.{number}" for number in range(AT_ONCE)]


def _taken(state_dir: Path, pool: str) -> Lock | None:
    """Take a free slot; None if all are taken."""
    for path in _slots(state_dir, pool):
        with suppress(BlockingIOError):
            return Lock(path, wait=False)
    return None
