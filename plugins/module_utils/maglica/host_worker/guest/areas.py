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

from .ifupdown import INTERFACES, RESOLV_CONF, RULES
from .model import Area, Edit, Extent, GuestFacts, Write
from .plan import AUTHORIZED_KEYS, HOSTNAME, HOSTS, MACHINE_ID

# No file system that is used here places a file's bytes at less.
SECTOR = 512
FILL_LENGTH = 16
# A sector's first characters: those that all have in common, then those that are its own.
_HEAD = 2 * FILL_LENGTH
# machine-id(5) is read as a whole: it has 32 digits and the end of a line, nothing else.
_SIZES = {HOSTNAME: 128, MACHINE_ID: 33}
# Bytes to have for what may be longer in a clone than in the sample that is laid out.
_ROOM = {HOSTS: 512, INTERFACES: 2048, RULES: 1024, RESOLV_CONF: 512, AUTHORIZED_KEYS: 4096}
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
        content = _padded(files[area.path], area.size)
        if content is None:
            return f"{area.path} does not fit its area of {area.size} bytes"
        for extent in area.extents:
            made.append(Patch(extent.drive, extent.offset, content[: extent.length]))
            content = content[extent.length :]
    return tuple(made)


def _padded(content: bytes, length: int) -> bytes | None:
    """Return a text with empty lines at its end, or bytes that are as long as they must be."""
    is_text = not content or content.endswith(b"\n")
    if len(content) > length or (len(content) < length and not is_text):
        return None
    return content.ljust(length, b"\n")
