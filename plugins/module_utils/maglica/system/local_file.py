# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies a file that somebody has put on this host, and finds out its checksum on the way.

Who may ask for that need not be a user of this host: only what every user of it may read is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from ..model.errors import ImageUnsupported, NoRoom, StorageFailed
from .unpack import write_data

CHUNK = 1 << 20

# How many bytes are done, of how many.
Progress = Callable[[int, int], None]


def digest(path: str, algorithm: str, most: int, progress: Progress) -> str:
    """Return the checksum of a file of at most ``most`` bytes, by one of hashlib's algorithms.

    A file that takes nothing on its disk may claim to be so long that it is never read to its end.
    Raises ImageUnsupported for what is no file that all may read, NoRoom, StorageFailed.
    """
    with _opened(path) as source:
        _need_at_most(path, source, most)
        return _read(path, source, algorithm, progress, lambda chunk, place: None)


def head(path: str, length: int) -> bytes:
    """Return the first bytes of a file, as ``digest`` reads it."""
    with _opened(path) as source:
        found = b""
        while len(found) < length and (chunk := os.read(source, length - len(found))):
            found += chunk
        return found


def copy(path: str, target: Path, algorithm: str, most: int, progress: Progress) -> str:
    """Copy a file of at most ``most`` bytes, and return its checksum as ``digest`` does.

    What is zero becomes holes; whatever ``target`` had is gone. It is on the disk when this
    returns. Raises NoRoom, too.
    """
    with _opened(path) as source, _written(target) as output:
        size = _need_at_most(path, source, most)
        found = _read(
            path, source, algorithm, progress, lambda chunk, at: write_data(output, chunk, at)
        )
        # The last block may be a hole.
        os.ftruncate(output, size)
        os.fsync(output)
    return found


def _need_at_most(path: str, source: int, most: int) -> int:
    """Return a file's size. Raises NoRoom."""
    size = os.fstat(source).st_size
    if size > most:
        raise NoRoom(f"{path} has {size} bytes, more than the {most} that there is room for")
    return size


def _read(
    path: str,
    source: int,
    algorithm: str,
    progress: Progress,
    take: Callable[[bytes, int], None],
) -> str:
    before = os.fstat(source)
    known, size = hashlib.new(algorithm), 0
    # One that only grows would never end.
    while size <= before.st_size and (chunk := _chunk(path, source)):
        known.update(chunk)
        take(chunk, size)
        size += len(chunk)
        progress(size, before.st_size)
    if size != before.st_size or os.fstat(source).st_mtime_ns != before.st_mtime_ns:
        raise StorageFailed(f"{path} was changed while it was read")
    return known.hexdigest()


def _chunk(path: str, source: int) -> bytes:
    try:
        return os.read(source, CHUNK)
    except OSError as error:
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from error


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """Open a file that all may read, whatever its path leads through."""
    with _descriptor(path, path, os.O_PATH) as found:
        # Before it is opened for reading: a pipe would hold this process, a watchdog start.
        _check_open_to_all(path, found)
        with _descriptor(path, f"/proc/self/fd/{found}", os.O_RDONLY) as source:
            yield source


@contextlib.contextmanager
def _descriptor(path: str, opened: str, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(opened, flags | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise StorageFailed(f"{path} can't be read: {cause}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_open_to_all(path: str, found: int) -> None:
    status = os.fstat(found)
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise ImageUnsupported(f"{path} is not a file")
    # Where it lies, and not where the path leads by now: somebody may exchange a folder of it.
    real = str(Path(f"/proc/self/fd/{found}").readlink())
    if not _is_at(real, status):
        # By /proc one is led to what another process alone has mounted, or has open still.
        raise ImageUnsupported(f"{path} is not a file that everybody on this host can see")
    if not mode & stat.S_IROTH:
        raise ImageUnsupported(_closed(path, real, mode))
    for folder in Path(real).parents:
        try:
            mode = folder.stat().st_mode
        except OSError as error:
            raise StorageFailed(f"{path} can't be read: {folder}: {error.strerror}") from error
        if not mode & stat.S_IXOTH:
            raise ImageUnsupported(_closed(path, str(folder), mode))


def _is_at(path: str, status: os.stat_result) -> bool:
    try:
        there = Path(path).lstat()
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)


def _closed(path: str, where: str, mode: int) -> str:
    return (
        f"{path} is not for everybody on this host to read ({where} has the mode"
        f" {stat.S_IMODE(mode):04o}), so that it is not used"
    )


@contextlib.contextmanager
def _written(target: Path) -> Iterator[int]:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        output = os.open(target, flags, 0o600)
        try:
            yield output
        finally:
            os.close(output)
    except OSError as error:
        failure = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFailed
        raise failure(f"{target} can't be written: {error.strerror}") from error
