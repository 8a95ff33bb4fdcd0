# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a file system keeps a file's size, and how another size is written there. Pure.

Only for files that lie in one block, where nothing else depends on the size. The formats are those
of "ext4 Data Structures and Algorithms" (the kernel's documentation) and of "XFS Algorithms & Data
Structures". What doesn't look as it must is left alone: the file then has no exact size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Callable

from .facts import Inode

# Reads bytes of one file system: offset and length.
Read = Callable[[int, int], bytes]

_SUPERBLOCK = 1024
_REGULAR = 0x8000
_KIND = 0xF000
_EXT_MAGIC = 0xEF53
_XFS_MAGIC = b"XFSB"
# s_feature_incompat: groups' descriptors lie elsewhere; there are 64-bit ones; the checksum's seed.
_META_BG, _64BIT, _CSUM_SEED = 0x10, 0x80, 0x2000
# s_feature_ro_compat: metadata have checksums.
_METADATA_CSUM = 0x400
# i_flags: compressed, encrypted, with fs-verity, inside the inode; and by extents.
_ODD_FLAGS, _EXTENTS = 0x4 | 0x800 | 0x100000 | 0x10000000, 0x80000
_INODE_SIZES = (128, 256, 512, 1024, 2048)
_BLOCK_SIZES = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
# XFS version 5, whose metadata all have checksums.
_XFS_VERSION, _XFS_CORE = 3, 176


def find(read: Read, number: int, size: int) -> Inode | None:
    """Return inode ``number`` of a regular file of ``size`` bytes that lies in one block."""
    try:
        head = read(0, 2 * _SUPERBLOCK)
        if head[:4] == _XFS_MAGIC:
            return _find_xfs(head, read, number, size)
        if struct.unpack_from("<H", head, _SUPERBLOCK + 56)[0] == _EXT_MAGIC:
            return _find_ext(head[_SUPERBLOCK:], read, number, size)
    except (struct.error, ZeroDivisionError, OverflowError):
        # OverflowError: a place that no device is large enough for.
        return None
    return None


def resized(inode: Inode, size: int) -> bytes:
    """Return the bytes of an inode whose file is ``size`` bytes long."""
    content = bytearray.fromhex(inode.content)
    if inode.kind == "xfs":
        struct.pack_into(">Q", content, 56, size)
    else:
        struct.pack_into("<I", content, 4, size)
        struct.pack_into("<I", content, 108, 0)
    return _with_checksum(inode.kind, bytes(content), inode.seed)


def _find_ext(superblock: bytes, read: Read, number: int, size: int) -> Inode | None:
    def u32(at: int) -> int:
        return int(struct.unpack_from("<I", superblock, at)[0])

    per_group, incompat, ro_compat = u32(40), u32(96), u32(100)
    block, length = 1024 << min(u32(24), 16), 128
    if u32(76):
        length = struct.unpack_from("<H", superblock, 88)[0]
    if block not in _BLOCK_SIZES or length not in _INODE_SIZES or incompat & _META_BG:
        return None
    described = struct.unpack_from("<H", superblock, 254)[0] if incompat & _64BIT else 32
    group, index = divmod(number - 1, per_group)
    # They begin in the block after the superblock's, whichever block is said to be the first.
    descriptor = read((_SUPERBLOCK // block + 1) * block + group * described, described)
    table = struct.unpack_from("<I", descriptor, 8)[0]
    if described >= 64:
        table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
    place = table * block + index * length
    content = read(place, length)
    data = _ext_block(content, size)
    if data is None or size > block:
        return None
    seed = None
    if ro_compat & _METADATA_CSUM:
        start = u32(624) if incompat & _CSUM_SEED else _crc(~0 & 0xFFFFFFFF, superblock[104:120])
        seed = _crc(start, struct.pack("<I", number) + content[100:104])
    return _checked("ext", content, place - data * block, seed)


def _ext_block(content: bytes, size: int) -> int | None:
    """Return the one block of a file of ``size`` bytes, None if it is another kind of file."""
    mode = struct.unpack_from("<H", content, 0)[0]
    links = struct.unpack_from("<H", content, 26)[0]
    told = struct.unpack_from("<I", content, 4)[0] | struct.unpack_from("<I", content, 108)[0] << 32
    flags = struct.unpack_from("<I", content, 32)[0]
    if mode & _KIND != _REGULAR or links != 1 or told != size or flags & _ODD_FLAGS:
        return None
    if not flags & _EXTENTS:
        first, *others = struct.unpack_from("<15I", content, 40)
        return None if any(others) else int(first) or None
    magic, entries, _max, depth = struct.unpack_from("<4H", content, 40)
    at, length, high, low = struct.unpack_from("<IHHI", content, 52)
    if (magic, entries, depth, at, length) != (0xF30A, 1, 0, 0, 1):
        return None
    return int(high) << 32 | int(low)


def _find_xfs(superblock: bytes, read: Read, number: int, size: int) -> Inode | None:
    block = struct.unpack_from(">I", superblock, 4)[0]
    in_group = struct.unpack_from(">I", superblock, 84)[0]
    length = struct.unpack_from(">H", superblock, 104)[0]
    per_block_log, group_log = superblock[123], superblock[124]
    if block not in _BLOCK_SIZES or length not in _INODE_SIZES or group_log > 32:
        return None

    def place_of(address: int) -> int:
        group, inside = address >> group_log, address & ((1 << group_log) - 1)
        return int(group * in_group + inside) * int(block)

    index = number & ((1 << per_block_log) - 1)
    place = place_of(number >> per_block_log) + index * length
    content = read(place, length)
    mode, version, form = struct.unpack_from(">HBB", content, 2)
    told, blocks = struct.unpack_from(">QQ", content, 56)
    if content[:2] != b"IN" or mode & _KIND != _REGULAR or (version, form) != (_XFS_VERSION, 2):
        return None
    if (told, blocks) != (size, 1) or size > block:
        return None
    high, low = struct.unpack_from(">QQ", content, _XFS_CORE)
    packed = high << 64 | low
    unwritten_and_at, start, count = packed >> 73, packed >> 21 & (1 << 52) - 1, packed & 0x1FFFFF
    if unwritten_and_at or count != 1:
        return None
    return _checked("xfs", content, place - place_of(start), 0xFFFFFFFF)


def _checked(kind: str, content: bytes, distance: int, seed: int | None) -> Inode | None:
    """Return an inode whose checksum is as it is made here."""
    if _with_checksum(kind, content, seed) != content:
        return None
    return Inode(kind, content.hex(), distance, seed)


def _with_checksum(kind: str, content: bytes, seed: int | None) -> bytes:
    if seed is None:
        return content
    made = bytearray(content)
    if kind == "xfs":
        made[100:104] = bytes(4)
        struct.pack_into("<I", made, 100, ~_crc(seed, bytes(made)) & 0xFFFFFFFF)
        return bytes(made)
    # The upper half stands beyond the first 128 bytes, where these say that there is room for it.
    has_high = len(made) > 128 and struct.unpack_from("<H", made, 128)[0] >= 4
    made[124:126] = bytes(2)
    if has_high:
        made[130:132] = bytes(2)
    value = _crc(seed, bytes(made))
    struct.pack_into("<H", made, 124, value & 0xFFFF)
    if has_high:
        struct.pack_into("<H", made, 130, value >> 16)
    return bytes(made)


def _entries() -> Iterator[int]:
    for byte in range(256):
        value = byte
        for _bit in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


_TABLE = tuple(_entries())


def _crc(value: int, content: bytes) -> int:
    """Return CRC-32C (Castagnoli), without the inversion of its end."""
    for byte in content:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value
