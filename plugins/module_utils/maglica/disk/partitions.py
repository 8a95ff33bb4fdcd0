# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of partitions at the begin of a disk, and what to write where the disk gets larger.

GPT is that of UEFI's specification (chapter 5), the other the one of PCs' master boot record (MBR).
A stranger may have made the disk: nothing in its table is believed that has not been checked. Pure.
"""

from __future__ import annotations

import struct
import uuid
from abc import ABC, abstractmethod
from binascii import crc32
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..model.errors import DiskSizeUnsupported

SECTOR = 512
# What a reader needs of a disk: the MBR, GPT's header, and its entries, of which more are not read.
HEAD = 34 * SECTOR
PROTECTIVE = 0xEE  # the type of the MBR's entry for all of a disk with GPT
# Partitions end at a whole MiB, as they begin: in sectors.
_ALIGNMENT = 2048
_MOST_SECTORS = 0xFFFFFFFF  # what 32 bits of an MBR can say

# Status, first and last sector in the old way, with the type between, first sector, sectors.
_MBR_ENTRY = struct.Struct("<B3sB3sII")
_MBR_ENTRIES, _MBR_MARK = 446, b"\x55\xaa"
# "Further than can be said": what the old way has for a sector beyond 8 GiB.
_FAR = b"\xfe\xff\xff"
# Signature, revision, length of the header, its checksum, where it is and where the other one,
# first and last sector for partitions, with the disk's id behind.
_HEADER = struct.Struct("<8sIII4xQQQQ16x")
# Where the entries are, their number, the size of one, their checksum.
_OF_ENTRIES = struct.Struct("<QIII")
_LENGTH = _HEADER.size + _OF_ENTRIES.size
_ENTRY = struct.Struct("<16s16sQQQ72s")
_SIGNATURE, _REVISION, _ENTRIES_AT = b"EFI PART", 0x10000, 2
_ENTRY_SIZES = range(_ENTRY.size, 4097, _ENTRY.size)

EFI_SYSTEM, BIOS_BOOT = "EFI system", "BIOS boot"
_OF_GPT = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": EFI_SYSTEM,
    "21686148-6449-6e6f-744e-656564454649": BIOS_BOOT,
    "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "swap",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "LVM",
    "a19d880f-05fc-4d3b-a006-743f0f84911e": "RAID",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux",
}
_OF_MBR = {
    **dict.fromkeys((0x05, 0x0F, 0x85), "extended"),
    **{0x82: "swap", 0x83: "Linux", 0x8E: "LVM", 0xEF: EFI_SYSTEM, 0xFD: "RAID"},
}


@dataclass(frozen=True)
class Partition:
    """A partition from sector ``first`` to ``last``, and what the table says that it holds."""

    number: int
    first: int
    last: int
    holds: str

    def __str__(self) -> str:
        return f"partition {self.number} ({self.holds})"


@dataclass(frozen=True)
class Patch:
    """Bytes to write to a disk, from byte ``offset`` on."""

    offset: int
    content: bytes


@dataclass(frozen=True)
class Table(ABC):
    """A disk's table that was checked; the disk has ``sectors``.

    ``head`` are the disk's first bytes, ``partitions`` are in the order in which they lie.
    """

    head: bytes
    sectors: int
    partitions: tuple[Partition, ...]

    NAME: ClassVar[str]

    @property
    def last(self) -> Partition | None:
        """The partition that lies behind all others."""
        return self.partitions[-1] if self.partitions else None

    def grown(self, number: int, size: int) -> tuple[Patch, ...]:
        """Return what to write so that partition ``number`` fills a disk of ``size`` bytes.

        It ends at a whole MiB, but never before where it ends now. Raises DiskSizeUnsupported if it
        isn't the last one, or can't be so large.
        """
        sectors = size // SECTOR
        if sectors < self.sectors:
            raise DiskSizeUnsupported("a disk can't get smaller")
        wanted = next((each for each in self.partitions if each.number == number), None)
        if wanted is None or self.last is None:
            raise DiskSizeUnsupported(
                f"there is no partition {number} in its partition table ({self.NAME})"
            )
        if wanted != self.last:
            raise DiskSizeUnsupported(f"{self.last} lies behind its root file system on {wanted}")
        return self._written(wanted, sectors)

    @abstractmethod
    def _written(self, partition: Partition, sectors: int) -> tuple[Patch, ...]:
        """Return what to write so that the partition fills a disk of so many sectors."""


def read(head: bytes, size: int) -> Table:
    """Return the table of a disk of ``size`` bytes that begins with ``head``, of HEAD bytes.

    Raises DiskSizeUnsupported where there is none, and for one that is damaged or not understood.
    """
    sectors = size // SECTOR
    if len(head) < HEAD or size < HEAD:
        raise DiskSizeUnsupported("it is too small to have a partition table")
    if head[4096:4104] == _SIGNATURE != head[SECTOR : SECTOR + 8]:
        raise DiskSizeUnsupported("its partition table is one for sectors of 4096 bytes")
    if not has_mbr(head):
        raise DiskSizeUnsupported("it has no partition table")
    entries = list(mbr_entries(head))
    if any(entry.kind == PROTECTIVE for entry in entries):
        return _read_gpt(head, sectors, entries)
    return _read_mbr(head, sectors, entries)


# --- What is written there, before anything of it is believed


class MbrEntry(NamedTuple):
    """An entry of the MBR; ``kind`` is its type."""

    number: int
    status: int
    kind: int
    first: int
    sectors: int

    @property
    def holds(self) -> str:
        return _OF_MBR.get(self.kind, f"type {self.kind:#x}")


class GptEntry(NamedTuple):
    """An entry of GPT; ``kind`` is its type, ``flags`` are its attributes."""

    number: int
    kind: uuid.UUID
    first: int
    last: int
    flags: int

    @property
    def holds(self) -> str:
        return _OF_GPT.get(str(self.kind), f"type {self.kind}")


def has_mbr(head: bytes) -> bool:
    """Say whether a disk that begins with ``head`` has the mark of a master boot record."""
    return head[510:512] == _MBR_MARK


def mbr_entries(head: bytes) -> Iterator[MbrEntry]:
    """Yield the entries that are in use, of a disk that has an MBR."""
    for number in range(1, 5):
        at = _MBR_ENTRIES + (number - 1) * _MBR_ENTRY.size
        status, _begin, kind, _end, first, count = _MBR_ENTRY.unpack_from(head, at)
        if kind and count:
            yield MbrEntry(number, status, kind, first, count)


def gpt_entries(head: bytes) -> Iterator[GptEntry]:
    """Yield the entries that are in use, as far as they lie in ``head``; none without a header."""
    header = head[SECTOR : 2 * SECTOR]
    if len(header) < _LENGTH or not header.startswith(_SIGNATURE):
        return
    entries_at, count, size, _crc = _OF_ENTRIES.unpack_from(header, _HEADER.size)
    if size not in _ENTRY_SIZES:
        return
    for index in range(min(count, len(head) // size)):
        entry = head[entries_at * SECTOR + index * size :][: _ENTRY.size]
        if len(entry) < _ENTRY.size:
            return
        kind, _own, first, last, flags, _name = _ENTRY.unpack(entry)
        if any(kind):
            yield GptEntry(index + 1, uuid.UUID(bytes_le=kind), first, last, flags)


def _damaged(why: str) -> DiskSizeUnsupported:
    return DiskSizeUnsupported(f"its partition table is damaged: {why}")


def _in_order(partitions: Sequence[Partition], first: int, last: int) -> tuple[Partition, ...]:
    """Return partitions in the order in which they lie; they must do so apart, and within that."""
    ordered = sorted(partitions, key=lambda partition: partition.first)
    for each in ordered:
        if not first <= each.first <= each.last <= last:
            raise _damaged(f"{each} does not lie on the disk")
    for before, after in zip(ordered, ordered[1:]):
        if before.last >= after.first:
            raise _damaged(f"{before} and {after} overlap")
    return tuple(ordered)


def _new_end(partition: Partition, usable: int) -> int:
    """Return where a partition ends that has all up to sector ``usable``."""
    return max((usable + 1) // _ALIGNMENT * _ALIGNMENT - 1, partition.last)


# --- MBR


class _Mbr(Table):
    NAME: ClassVar[str] = "MBR"

    def _written(self, partition: Partition, sectors: int) -> tuple[Patch, ...]:
        last = _new_end(partition, sectors - 1)
        if last > _MOST_SECTORS:
            raise DiskSizeUnsupported(
                "its partition table (MBR) can't have partitions that end beyond 2 TiB; GPT can"
            )
        at = _MBR_ENTRIES + (partition.number - 1) * _MBR_ENTRY.size
        status, begin, kind, _end, first, _count = _MBR_ENTRY.unpack_from(self.head, at)
        new = _MBR_ENTRY.pack(status, begin, kind, _FAR, first, last - first + 1)
        size = _MBR_ENTRY.size
        return (Patch(0, self.head[:at] + new + self.head[at + size : SECTOR]),)


def _read_mbr(head: bytes, sectors: int, entries: Sequence[MbrEntry]) -> Table:
    for entry in entries:
        if entry.status not in (0x00, 0x80):
            raise _damaged(f"partition {entry.number} has the status {entry.status:#x}")
    found = [
        Partition(each.number, each.first, each.first + each.sectors - 1, each.holds)
        for each in entries
    ]
    return _Mbr(head, sectors, _in_order(found, 1, sectors - 1))


# --- GPT


@dataclass(frozen=True)
class _Header:
    """What a header of GPT says: the sectors that partitions may have, how many entries there are,
    and how long itself is.
    """

    first: int
    last: int
    count: int
    length: int

    @property
    def tail(self) -> int:
        """The sectors that the entries take."""
        return -(-self.count * _ENTRY.size // SECTOR)


class _Gpt(Table):
    NAME: ClassVar[str] = "GPT"

    def _written(self, partition: Partition, sectors: int) -> tuple[Patch, ...]:
        header = _header(self.head, self.sectors)
        usable = header.first, _last_usable(sectors, header)
        last = _new_end(partition, usable[1])
        entries = bytearray(self.head[_ENTRIES_AT * SECTOR :][: header.tail * SECTOR])
        struct.pack_into("<Q", entries, (partition.number - 1) * _ENTRY.size + 40, last)
        crc = crc32(entries[: header.count * _ENTRY.size])
        backup_at = sectors - 1

        def written(mine: int, other: int, entries_at: int) -> bytes:
            new = bytearray(self.head[SECTOR : 2 * SECTOR])
            struct.pack_into("<I", new, 16, 0)
            struct.pack_into("<QQQQ", new, 24, mine, other, *usable)
            struct.pack_into("<Q", new, 72, entries_at)
            struct.pack_into("<I", new, 88, crc)
            struct.pack_into("<I", new, 16, crc32(new[: header.length]))
            return bytes(new)

        primary = written(1, backup_at, _ENTRIES_AT)
        tail_at = backup_at - header.tail
        backup = written(backup_at, 1, tail_at)
        # The backup first: until the first sectors are written, the old table counts.
        return (
            Patch(tail_at * SECTOR, bytes(entries) + backup),
            Patch(0, _protective(self.head, sectors) + primary + bytes(entries)),
        )


def _last_usable(sectors: int, header: _Header) -> int:
    return sectors - 1 - header.tail - 1


def _protective(head: bytes, sectors: int) -> bytes:
    """Return the MBR that keeps old programs off a disk with GPT, for a disk of that size."""
    new = bytearray(head[:SECTOR])
    (entry,) = mbr_entries(head)
    at = _MBR_ENTRIES + (entry.number - 1) * _MBR_ENTRY.size
    struct.pack_into("<I", new, at + 12, min(sectors - 1, _MOST_SECTORS))
    return bytes(new)


def _read_gpt(head: bytes, sectors: int, entries: Sequence[MbrEntry]) -> Table:
    if len(entries) > 1 or entries[0].first != 1:
        raise DiskSizeUnsupported("its partition table is GPT and MBR in one (hybrid)")
    header = _header(head, sectors)
    listed = gpt_entries(head)
    found = [Partition(each.number, each.first, each.last, each.holds) for each in listed]
    return _Gpt(head, sectors, _in_order(found, header.first, header.last))


def _header(head: bytes, sectors: int) -> _Header:
    """Return what GPT's header says. Raises DiskSizeUnsupported."""
    signature, revision, length, crc, mine, other, first, last = _HEADER.unpack_from(head, SECTOR)
    entries_at, count, size, entries_crc = _OF_ENTRIES.unpack_from(head, SECTOR + _HEADER.size)
    if signature != _SIGNATURE:
        raise _damaged("GPT's header is not there")
    if revision != _REVISION or not _LENGTH <= length <= SECTOR:
        raise DiskSizeUnsupported("its partition table is GPT of an unknown version")
    if crc != crc32(head[SECTOR : SECTOR + 16] + bytes(4) + head[SECTOR + 20 : SECTOR + length]):
        raise _damaged("the checksum of GPT's header is wrong")
    header = _Header(first, last, count, length)
    if entries_at != _ENTRIES_AT or size != _ENTRY.size or not 0 < count <= 128:
        raise DiskSizeUnsupported(
            f"its partition table (GPT) has {count} entries of {size} bytes from sector"
            f" {entries_at} on; known are up to 128 of {_ENTRY.size} from sector {_ENTRIES_AT} on"
        )
    if entries_crc != crc32(head[_ENTRIES_AT * SECTOR :][: count * size]):
        raise _damaged("the checksum of GPT's entries is wrong")
    if mine != 1 or not last < other < sectors:
        raise _damaged("GPT's headers are not where they say")
    if not _ENTRIES_AT + header.tail <= first <= last <= _last_usable(sectors, header):
        raise _damaged("GPT's room for partitions does not lie on the disk")
    return header
