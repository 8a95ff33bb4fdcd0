# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for areas on a base's disks, and writes to those of clones, with no file system opened."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Callable

from ...model.errors import StorageFailed
from ...system.programs import environment, limited
from ..appliance.appliance import Drive
from ..facts import Area, Extent, GuestFacts
from .plan import SECTOR, Hit, Patch, fill

_CHUNK = 16 << 20
# qemu-io needs a second; it reads headers that this host made.
_SECONDS = 60
# As many guests by one qemu-io, so that the files that are open stay few.
_TOGETHER = 16
_PROMPT = "qemu-io> "

# What of a disk lies in its file, in bytes: where on the disk, where in the file, and how long.
Piece = tuple[int, int, int]
Maps = Sequence[Sequence[Piece]]

log = logging.getLogger(__name__)


def hits(
    drives: Sequence[Drive], maps: Maps, start: str, alive: Callable[[], None]
) -> Iterator[Hit]:
    """Yield all sectors on a base's disks that begin with ``start``; ``maps`` say where these lie.

    All that is allocated is read, once. Raises StorageFailed.
    """
    mark = start.encode("ascii")
    for number, (drive, pieces) in enumerate(zip(drives, maps)):
        try:
            with Path(drive.path).open("rb") as file:
                for piece in pieces:
                    yield from _search(file.fileno(), number, piece, mark, alive)
        except OSError as error:
            raise StorageFailed(f"{drive.path} can't be searched: {error.strerror}") from error


def _search(
    descriptor: int, drive: int, piece: Piece, mark: bytes, alive: Callable[[], None]
) -> Iterator[Hit]:
    start, begin, length = piece
    end = begin + length
    for place in range(begin, end, _CHUNK):
        data = os.pread(descriptor, min(_CHUNK, end - place), place)
        at = data.find(mark)
        while at >= 0:
            offset = start + place + at - begin
            if offset % SECTOR == 0:
                yield Hit(drive, offset, place + at, data[at : at + SECTOR])
            at = data.find(mark, at + 1)
        alive()


def confirmed(drives: Sequence[Drive], maps: Maps, areas: Iterable[Area]) -> tuple[Area, ...]:
    """Return the areas with the places of their inodes: of those that are where they should be.

    Raises StorageFailed.
    """
    found = []
    for area in areas:
        extent = area.inode and _inode_of(area, maps)
        inode = None
        if area.inode and extent and _reads(drives[extent.drive], extent) == area.inode.content:
            inode = replace(area.inode, extent=extent)
        found.append(replace(area, inode=inode))
    return tuple(found)


def _inode_of(area: Area, maps: Maps) -> Extent | None:
    """Return where an area's inode lies if all of the disk's file system lies together."""
    first = area.extents[0]
    if area.inode is None or len(area.extents) != 1:
        return None
    begin, length = first.offset + area.inode.distance, len(area.inode.content) // 2
    for start, place, size in maps[first.drive]:
        if start <= begin and begin + length <= start + size:
            return Extent(first.drive, begin, length, place + begin - start)
    return None


def _reads(drive: Drive, extent: Extent) -> str:
    try:
        with Path(drive.path).open("rb") as file:
            return os.pread(file.fileno(), extent.length, extent.place).hex()
    except OSError as error:
        raise StorageFailed(f"{drive.path} can't be searched: {error.strerror}") from error


def is_untouched(drives: Sequence[Drive], facts: GuestFacts) -> bool:
    """Tell whether a base's areas still hold their fill where they are said to be."""
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(Path(drive.path).open("rb")) for drive in drives]
            for area in facts.areas:
                content = b"".join(
                    os.pread(files[extent.drive].fileno(), extent.length, extent.place)
                    for extent in area.extents
                )
                known = True
                if area.inode and (at := area.inode.extent):
                    bytes_of_it = os.pread(files[at.drive].fileno(), at.length, at.place)
                    known = bytes_of_it.hex() == area.inode.content
                if not known or content != fill(facts.fill, area):
                    log.warning("the area for %s on %s is not as made", area.path, drives[0].path)
                    return False
    except (OSError, IndexError) as error:
        log.warning("the areas on %s can't be read: %s", drives[0].path, error)
        return False
    return True


class Writer:
    """Writes to clones' disks by qemu-io, which is started at once and needed later.

    A context manager; what was started and not needed is ended.
    """

    def __init__(self) -> None:
        self._ready: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Writer:
        with contextlib.suppress(OSError):
            self._ready = _start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._ready is not None:
            _end(self._ready)

    def write(self, guests: Mapping[str, Sequence[DiskPatches]]) -> dict[str, str]:
        """Write to the disks of guests; return what went wrong by their keys, "" for nothing.

        What was written is on the disks when this returns. The bytes, among them private keys, are
        handed over in memory, not in arguments or files.
        """
        results: dict[str, str] = {}
        keys = list(guests)
        for first in range(0, len(keys), _TOGETHER):
            group = {key: guests[key] for key in keys[first : first + _TOGETHER]}
            try:
                process, self._ready = self._ready or _start(), None
                results.update(_write(process, group))
            except (OSError, subprocess.TimeoutExpired) as error:
                results.update(dict.fromkeys(group, f"qemu-io can't be used: {error}"))
        return results


@dataclass(frozen=True)
class DiskPatches:
    """What to write to one disk of a guest."""

    drive: Drive
    patches: Sequence[Patch]


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        limited(["qemu-io"], _SECONDS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _write(
    process: subprocess.Popen[bytes], guests: Mapping[str, Sequence[DiskPatches]]
) -> dict[str, str]:
    with ExitStack() as stack:
        stack.callback(_end, process)
        files: list[int] = []
        commands: list[str] = []
        owners: list[str] = []
        for key, writes in guests.items():
            for write in writes:
                files.append(os.open(write.drive.path, os.O_RDWR | os.O_CLOEXEC))
                stack.callback(os.close, files[-1])
                # By number: qemu-io knows no quotes, so that a path with a space is two words.
                options = f"driver={write.drive.format},cache.no-flush=on"
                mine = [f"open -o {options} {_open_file(files[-1])}"]
                for patch in write.patches:
                    source = _in_memory(patch.content, stack)
                    mine.append(f"write -q -s {source} {patch.offset} {len(patch.content)}")
                mine.append("close")
                commands += mine
                owners += [key] * len(mine)
        output, _none = process.communicate("\n".join([*commands, ""]).encode(), _SECONDS)
        for file in files:
            os.fsync(file)
    # It prints a prompt before each command, and after it nothing unless something went wrong.
    answers = output.decode("utf-8", "replace").split(_PROMPT)[1 : len(commands) + 1]
    results = dict.fromkeys(guests, "")
    for key, answer in zip_longest(owners, answers, fillvalue="qemu-io ended early"):
        if answer.strip():
            results[key] = results[key] or _last_line(answer)
    return results


def _open_file(descriptor: int) -> str:
    return f"/proc/{os.getpid()}/fd/{descriptor}"


def _in_memory(content: bytes, stack: ExitStack) -> str:
    descriptor = os.memfd_create("maglica")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return _open_file(descriptor)


def _last_line(text: str) -> str:
    return next(iter(reversed(text.strip().splitlines())), "")[:300]
