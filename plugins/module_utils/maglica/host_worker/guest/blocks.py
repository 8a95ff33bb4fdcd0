# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for areas on a base's disks, and writes to those of clones, with no file system opened."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

from ...errors import GuestUnreadable, StorageFailed
from .appliance import Drive
from .areas import SECTOR, Hit, Patch, fill
from .model import GuestFacts

_CHUNK = 16 << 20
# qemu-io and qemu-img need a second; they read a header that this host made.
_SECONDS = 60
_ENV = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

log = logging.getLogger(__name__)


def hits(drives: Sequence[Drive], start: str, alive: Callable[[], None]) -> Iterator[Hit]:
    """Yield all sectors on a base's disks (qcow2 without backing files) that begin with ``start``.

    All that is allocated is read, once. Raises StorageFailed.
    """
    mark = start.encode("ascii")
    for number, drive in enumerate(drives):
        try:
            with Path(drive.path).open("rb") as file:
                for extent in _allocated(drive.path):
                    yield from _search(file.fileno(), number, extent, mark, alive)
        except OSError as error:
            raise StorageFailed(f"{drive.path} can't be searched: {error.strerror}") from error


def _allocated(path: str) -> list[dict[str, Any]]:
    """Return what of a qcow2 file's disk lies in the file, and where."""
    output = _run(["qemu-img", "map", "-f", "qcow2", "--output=json", path])
    entries = json.loads(output)
    return [entry for entry in entries if entry["data"] and "offset" in entry]


def _search(
    descriptor: int, drive: int, extent: dict[str, Any], mark: bytes, alive: Callable[[], None]
) -> Iterator[Hit]:
    begin, end = extent["offset"], extent["offset"] + extent["length"]
    for place in range(begin, end, _CHUNK):
        data = os.pread(descriptor, min(_CHUNK, end - place), place)
        at = data.find(mark)
        while at >= 0:
            offset = extent["start"] + place + at - begin
            if offset % SECTOR == 0:
                yield Hit(drive, offset, place + at, data[at : at + SECTOR])
            at = data.find(mark, at + 1)
        alive()


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
                if content != fill(facts.fill, area):
                    log.warning("the area for %s on %s is not as made", area.path, drives[0].path)
                    return False
    except (OSError, IndexError) as error:
        log.warning("the areas on %s can't be read: %s", drives[0].path, error)
        return False
    return True


def write(drives: Sequence[Drive], patches: Sequence[Patch]) -> None:
    """Write to a clone's disks; it is on them when this returns.

    What is written is handed over in memory: it has private keys. Raises GuestUnreadable.
    """
    for number, drive in enumerate(drives):
        mine = [patch for patch in patches if patch.drive == number]
        if mine:
            _write(drive, mine)


def _write(drive: Drive, patches: Sequence[Patch]) -> None:
    command = ["qemu-io", "-f", drive.format, "-t", "writeback"]
    with ExitStack() as stack:
        descriptors = []
        for patch in patches:
            descriptor = os.memfd_create("maglica")
            stack.callback(os.close, descriptor)
            os.write(descriptor, patch.content)
            descriptors.append(descriptor)
            source = f"-s /dev/fd/{descriptor}"
            command += ["-c", f"write -q {source} {patch.offset} {len(patch.content)}"]
        try:
            words = _run([*command, drive.path], descriptors)
        except StorageFailed as error:
            raise GuestUnreadable(f"{drive.path} can't be written to: {error}") from error
    # qemu-io says what went wrong, and ends well all the same in older versions.
    if words.strip():
        raise GuestUnreadable(f"{drive.path} can't be written to: {_last_line(words)}")


def _run(command: Sequence[str], descriptors: Sequence[int] = ()) -> str:
    """Return what a program printed; raises StorageFailed when it failed."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=descriptors,
            env=_ENV,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageFailed(f"{command[0]} can't be run: {error}") from error
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace") or output
        raise StorageFailed(f"{command[0]}: {_last_line(words) or done.returncode}")
    return output


def _last_line(text: str) -> str:
    return next(iter(reversed(text.strip().splitlines())), "")[:300]
