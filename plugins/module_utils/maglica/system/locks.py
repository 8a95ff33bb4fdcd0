# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes, by flock(2): each is a file, and free when its holder is gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..model.errors import JournalFailed


class Lock:
    """The lock that is the file ``path``, made with its folder where these are missing.

    It is held alone until ``close``, or until it is shared. With ``wait`` false it raises
    BlockingIOError when somebody holds it. All of it raises JournalFailed, which names the file,
    when there can't be such a file, or its file system can't lock it.
    """

    def __init__(self, path: Path, *, wait: bool = True) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with self._errors("lock"):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(path, flags, 0o600)
        try:
            self._flock(fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._descriptor)

    def share(self) -> None:
        """Hold it together with others; between, somebody else may have held it alone."""
        self._flock(fcntl.LOCK_SH)

    def own(self) -> None:
        """Hold it alone again; between, somebody else may have done so."""
        self._flock(fcntl.LOCK_EX)

    def touch(self) -> None:
        """Set the time of the file's last change to now."""
        with self._errors("touch"):
            os.utime(self._descriptor)

    def _flock(self, operation: int) -> None:
        with self._errors("lock"):
            fcntl.flock(self._descriptor, operation)

    @contextmanager
    def _errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise JournalFailed(f"cannot {act} {self._path}: {error.strerror}") from error


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[Lock]:
    """Hold a lock during the block."""
    lock = Lock(path, wait=wait)
    try:
        yield lock
    finally:
        lock.close()
