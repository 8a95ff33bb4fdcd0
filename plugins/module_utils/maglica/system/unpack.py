# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpacks files of strangers: xz, gzip and zstd, told by how they begin and not by their names.

The distributions' own programs do it, in a process under limits: what is in such a file never meets
a decoder in this one, and members that are joined, padding and garbage behind the last are taken
as everywhere else (gzip passes over garbage, the others refuse it).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..model.errors import DependencyMissing, ImageUnsupported, NoRoom, StorageFailed
from ..model.text import one_line, short
from .programs import environment, limited

# How much of a file tells what it is.
HEAD = 6
# Bytes that decoders may use for what they have to remember: xz -9 needs 65 MiB, zstd's largest
# usual window is 128 MiB. What needs more was made for no reason but this one.
_MEMORY_MIB = 256
# Seconds of processor time, and those for each GiB: ten times what xz takes on a slow machine.
_CPU, _CPU_GIB = 600, 300
_CHUNK = 1 << 20
# Holes are as fine as this: what is less is not worth a piece of its own.
_BLOCK = 64 << 10
_ZEROS = bytes(_CHUNK)
# <linux/fcntl.h>; Python names it since 3.10.
_F_SETPIPE_SZ = 1031
_MAX_SAID = 4096


@dataclass(frozen=True)
class Packing:
    """A way of packing: ``words`` is the command line that unpacks its input to its output.

    ``passes`` are the ends of the program that are none in error.
    """

    name: str
    begins: tuple[bytes, ...]
    words: tuple[str, ...]
    passes: tuple[int, ...] = (0,)


PACKINGS = (
    Packing(
        "xz",
        (b"\xfd7zXZ\0",),
        ("xz", "-d", "-c", "-q", "--threads=1", f"--memlimit-decompress={_MEMORY_MIB}MiB"),
    ),
    # It warns of garbage behind the last member, and ends with 2.
    Packing("gzip", (b"\x1f\x8b",), ("gzip", "-d", "-c"), passes=(0, 2)),
    # A file may begin with a frame to be skipped, as those of pzstd do: RFC 8878, section 3.1.2.
    Packing(
        "zstd",
        (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),
        ("zstd", "-d", "-c", "-q", f"--memory={_MEMORY_MIB}MB"),
    ),
)


def packing(path: Path) -> Packing | None:
    """Return how a file is packed, or None if it is not. Raises StorageFailed."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from error
    found = (each for each in PACKINGS if any(head.startswith(begin) for begin in each.begins))
    return next(found, None)


def unpack(
    path: Path, how: Packing, target: Path, most: int, progress: Callable[[int, int], None]
) -> int:
    """Unpack ``path`` into the file ``target``, at most ``most`` bytes; return how many.

    What is zero becomes holes; whatever ``target`` had is gone. ``progress`` is told how many bytes
    of ``path`` are done, of how many. All is on the disk when this returns. Raises
    ImageUnsupported for what can't be unpacked or is longer, NoRoom, StorageFailed,
    DependencyMissing; the caller removes what was written then.
    """
    if shutil.which(how.words[0]) is None:
        raise DependencyMissing(f"this host lacks the program {how.words[0]}, to unpack {path}")
    with ExitStack() as stack:
        source = stack.enter_context(_opened(path, os.O_RDONLY))
        output = stack.enter_context(_opened(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        said = os.memfd_create("said")
        stack.callback(os.close, said)
        process = stack.enter_context(_started(how, source, said, most))
        # Before that, if there is an error here: it would wait for its reader.
        stack.callback(process.kill)
        length = os.fstat(source).st_size

        def moved() -> None:
            # The program reads by the same open file, so that this is how far it has come.
            progress(min(os.lseek(source, 0, os.SEEK_CUR), length), length)

        size = _write(process, output, most, path, moved)
        if process.wait() not in how.passes:
            raise ImageUnsupported(f"{path} can't be unpacked: {_words(said, process.returncode)}")
        _finish(output, size, target)
    return size


def _write(
    process: subprocess.Popen[bytes], output: int, most: int, path: Path, moved: Callable[[], None]
) -> int:
    """Write what a program says, with holes; return how much that was."""
    size = 0
    while chunk := _next(process):
        if size + len(chunk) > most:
            raise ImageUnsupported(
                f"{path} can't be unpacked: it has more than the {most} bytes that it may have"
            )
        try:
            write_data(output, chunk, size)
        except OSError as error:
            failure = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFailed
            raise failure(f"{path} can't be unpacked: {error.strerror}") from error
        size += len(chunk)
        moved()
    return size


def _next(process: subprocess.Popen[bytes]) -> bytes:
    """Return as much as is written at once; less, or nothing, at the end."""
    return process.stdout.read(_CHUNK) if process.stdout else b""


def write_data(output: int, chunk: bytes, place: int) -> None:
    """Write those blocks of a chunk that are not zero, each run of them at once. Raises OSError."""
    if chunk == _ZEROS[: len(chunk)]:
        return
    begin: int | None = None
    for block in range(0, len(chunk), _BLOCK):
        part = chunk[block : block + _BLOCK]
        is_hole = part == _ZEROS[: len(part)]
        if not is_hole and begin is None:
            begin = block
        elif is_hole and begin is not None:
            _pwrite(output, chunk[begin:block], place + begin)
            begin = None
    if begin is not None:
        _pwrite(output, chunk[begin:], place + begin)


def _pwrite(output: int, data: bytes, place: int) -> None:
    while data:
        written = os.pwrite(output, data, place)
        data, place = data[written:], place + written


def _finish(output: int, size: int, target: Path) -> None:
    try:
        # The last block may be a hole.
        os.ftruncate(output, size)
        os.fsync(output)
    except OSError as error:
        raise StorageFailed(f"{target} can't be written: {error.strerror}") from error


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StorageFailed(f"{path} can't be opened: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _started(how: Packing, source: int, said: int, most: int) -> subprocess.Popen[bytes]:
    cpu = _CPU + _CPU_GIB * (most >> 30)
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            limited(how.words, cpu),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment(),
        )
    except OSError as error:
        raise StorageFailed(f"{how.words[0]} can't be run: {error}") from error
    with contextlib.suppress(OSError):
        # It is only faster.
        fcntl.fcntl(process.stdout.fileno() if process.stdout else -1, _F_SETPIPE_SZ, _CHUNK)
    return process


def _words(said: int, returncode: int) -> str:
    """Return what a program said of why it ended."""
    lines = os.pread(said, _MAX_SAID, 0).decode("utf-8", "replace").split("\n")
    text = "; ".join(line.strip() for line in lines if line.strip())
    return one_line(short(text, 300)) if text else f"the program ended with {returncode}"
