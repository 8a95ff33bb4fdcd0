# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits how many disks are copied into one pool at once, by all jobs of the host together.

More than a few copies at a time make one disk slower, not faster.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from ..errors import JournalFailed

AT_ONCE = 2
FOLDER = "copies"
_PAUSE = 0.1


@contextmanager
def slot(state_dir: Path, pool: str, alive: Callable[[], None]) -> Iterator[None]:
    """Hold one of the pool's slots during the block; wait for one, calling ``alive`` meanwhile.

    The kernel frees a slot when its holder is gone. Raises JournalFailed when there can't be any.
    """
    descriptor = _taken(state_dir, pool)
    while descriptor is None:
        time.sleep(_PAUSE)
        alive()
        descriptor = _taken(state_dir, pool)
    try:
        yield
    finally:
        os.close(descriptor)


def _taken(state_dir: Path, pool: str) -> int | None:
    """Return the open file of a free slot, locked; None if all are taken."""
    folder = state_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(AT_ONCE):
            # A pool's name may have characters that a file's name can't.
            path = folder / f"{pool.encode().hex()[:200]}.{number}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return descriptor
    except OSError as error:
        raise JournalFailed(f"cannot lock {folder}: {error.strerror}") from error
    return None
