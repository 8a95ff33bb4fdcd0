# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes, by flock(2): each is a file, and free when its holder is gone."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..model.errors import JournalFailed

# How often one that waits tells of it, in seconds.
_AGAIN = 0.2


class Lock:
    """The lock that is the file ``path``, made with its folder where these are missing.

    It is held alone until ``close``, or until it is shared. With ``wait`` false it raises
    BlockingIOError when somebody holds it; ``waiting`` is called again and again while that is so,
    and what it raises goes on as it is. All of it raises JournalFailed, which names the file, when
    there can't be such a file, or its file system can't lock it.
    """

    def __init__(
        self, path: Path, *, wait: bool = True, waiting: Callable[[], None] | None = None
    ) -> None:
        self._path = path
        self._waiting = waiting
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
        waiting = self._waiting
        if waiting is None or operation & fcntl.LOCK_NB:
            self._lock(operation)
        elif not self._try(operation):
            self._wait(operation, waiting)

    def _lock(self, operation: int) -> None:
        with self._errors("lock"):
            fcntl.flock(self._descriptor, operation)

    def _try(self, operation: int) -> bool:
        try:
            self._lock(operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self, operation: int, waiting: Callable[[], None]) -> None:
        """Wait in a thread: who only looks now and then would come after all others who wait."""
        failures: list[JournalFailed] = []

        def wait() -> None:
            try:
                self._lock(operation)
            except JournalFailed as error:
                failures.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        while thread.is_alive():
            waiting()
            thread.join(_AGAIN)
        if failures:
            raise failures[0]

    @contextmanager
    def _errors(self, act: str) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            raise JournalFailed(f"cannot {act} {self._path}: {error.strerror}") from error


@contextmanager
def held(
    path: Path, *, wait: bool = True, waiting: Callable[[], None] | None = None
) -> Iterator[Lock]:
    """Hold a lock during the block."""
    lock = Lock(path, wait=wait, waiting=waiting)
    try:
        yield lock
    finally:
        lock.close()
