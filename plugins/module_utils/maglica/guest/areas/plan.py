# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas: files of a base that each clone fills by writing to its disk, with no file system opened.

Each has a fixed size and, on the base, a fill that occurs nowhere else, by which it is found. Pure.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Union

from ..clone_plan import AUTHORIZED_KEYS, HOSTNAME, HOSTS, MACHINE_ID
from ..edits import Edit, Write
from ..facts import Area, Extent, GuestFacts
from ..inodes import resized
from ..network import families

# No file system that is used here places a file's bytes at less.
SECTOR = 512
FILL_LENGTH = 16
# A sector's first characters: those that all have in common, then those that are its own.
_HEAD = 2 * FILL_LENGTH
# A name has at most 253 characters. machine-id(5) has 32 digits and the end of a line.
_SIZES = {HOSTNAME: 254, MACHINE_ID: 33}
# What a block has nearly everywhere: a file that lies in one can have the size of its content.
_BLOCK = 4096
# Bytes to have for what may be longer in a clone than in the sample that is laid out.
_ROOM = {HOSTS: 512, AUTHORIZED_KEYS: 4096, **families.room()}
# What must fit into one block at least, else the file gets all its room and more blocks.
_LEAST_ROOM = 512
# Read as a whole by some: `cat /etc/hostname`.
_WITHOUT_COMMENTS = (HOSTNAME, MACHINE_ID)
# What a comment says that fills the rest of a file; the longest that fits.
_ROOM_WORDS = (
    "# This line fills the room that was kept for this file. It can be removed.",
    "# (room kept for this file)",
    "#",
)
# An SSH host key, of RSA with 3072 bits, with a comment of 70 characters.
_KEY_ROOM = {"rsa_key": 3072, "rsa_key.pub": 1024, "_key": 1024, "_key.pub": 512}


@dataclass(frozen=True)
class Hit:
    """A sector with the common start of a fill: where it lies, and its bytes."""

    drive: int
    offset: int
    place: int
    content: bytes


@dataclass(frozen=True)
class Patch:
    """Bytes to write to disk number ``drive`` of a clone."""

    drive: int
    offset: int
    content: bytes = field(repr=False)


def new_fill() -> str:
    """Return what the fill of a new base's areas begins with: 16 random hexadecimal digits."""
    return secrets.token_hex(FILL_LENGTH // 2)


def area_for(file: Write, random_seed: str | None) -> Area:
    """Return the area, not yet placed, for files like ``file``, which is a sample of a clone's."""
    return Area(file.path, _size(file, random_seed))


def _size(file: Write, random_seed: str | None) -> int:
    if file.path == random_seed:
        return SECTOR
    if file.path in _SIZES:
        return _SIZES[file.path]
    room = _ROOM.get(file.path)
    if room is None:
        room = next((_KEY_ROOM[end] for end in _KEY_ROOM if file.path.endswith(end)), SECTOR)
    if len(file.content) + room > _BLOCK >= len(file.content) + _LEAST_ROOM:
        return _BLOCK
    return -(-(len(file.content) + room) // SECTOR) * SECTOR


def fill(start: str, area: Area) -> bytes:
    """Return what an area holds on the base; ``start`` are 16 random hexadecimal digits."""
    return b"".join(_sectors(start, area))


def _sectors(start: str, area: Area) -> Iterable[bytes]:
    for offset in range(0, area.size, SECTOR):
        length = min(SECTOR, area.size - offset)
        own = hashlib.shake_128(f"{start} {area.path} {offset}".encode()).hexdigest(SECTOR)
        yield (start + own)[: length - 1].encode("ascii") + b"\n"


def located(facts: GuestFacts, hits: Iterable[Hit]) -> tuple[Area, ...]:
    """Return the areas with their places; none at all when one can't be written with certainty.

    That is when a sector of the fill is not there exactly once: the file system compresses,
    encrypts or mirrors, or keeps short files elsewhere.
    """
    places: dict[bytes, list[Hit]] = {}
    for hit in hits:
        places.setdefault(hit.content[:_HEAD], []).append(hit)
    found = []
    for area in facts.areas:
        extents: list[Extent] = []
        for sector in _sectors(facts.fill, area):
            candidates = places.get(sector[:_HEAD], [])
            if len(candidates) != 1 or not candidates[0].content.startswith(sector):
                return ()
            _append(extents, candidates[0], len(sector))
        found.append(replace(area, extents=tuple(extents)))
    return tuple(found)


def usable(areas: tuple[Area, ...]) -> tuple[Area, ...]:
    """Return the areas, or none when a file that has no comments can't have its size."""
    lacking = [area for area in areas if area.path == HOSTNAME and area.inode is None]
    return () if lacking else areas


def _append(extents: list[Extent], hit: Hit, length: int) -> None:
    """Add a sector, to the last extent if it goes on where that ends."""
    last = extents[-1] if extents else None
    if last and hit.drive == last.drive:
        ends = (last.offset + last.length, last.place + last.length)
        if (hit.offset, hit.place) == ends:
            extents[-1] = replace(last, length=last.length + length)
            return
    extents.append(Extent(hit.drive, hit.offset, length, hit.place))


def patches(facts: GuestFacts, edits: Sequence[Edit]) -> Union[tuple[Patch, ...], str]:
    """Return what to write to a clone's disks so that all edits are made, or why that can't be."""
    if not facts.areas:
        return "the base has no areas"
    files = {edit.path: edit.content for edit in edits if isinstance(edit, Write)}
    known = {area.path for area in facts.areas}
    if len(files) < len(edits) or not files.keys() <= known:
        return "not all of it has an area"
    if known - files.keys():
        return "an area would keep its fill"
    made: list[Patch] = []
    for area in facts.areas:
        content = _whole(files[area.path], area)
        if content is None:
            return f"{area.path} does not fit its area of {area.size} bytes"
        if area.inode and (at := area.inode.extent):
            made.append(Patch(at.drive, at.offset, resized(area.inode, len(files[area.path]))))
        for extent in area.extents:
            made.append(Patch(extent.drive, extent.offset, content[: extent.length]))
            content = content[extent.length :]
    return tuple(made)


def _whole(content: bytes, area: Area) -> bytes | None:
    """Return what is written to an area's blocks for a file with that content, if it can be."""
    room = area.size - len(content)
    if room < 0:
        return None
    if area.inode:
        # Beyond the end of a file its block has zeros.
        return content.ljust(area.size, b"\0")
    if room and (area.path in _WITHOUT_COMMENTS or content[-1:] not in (b"", b"\n")):
        return None
    return content + filler(room)


def filler(room: int) -> bytes:
    """Return a comment that is one line of ``room`` bytes, or an empty line for one byte."""
    words = next((text for text in _ROOM_WORDS if len(text) < room), "")
    return words.ljust(room - 1).encode("ascii") + b"\n" if room else b""
