# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a qcow2 file says of itself, read without trust: its header, and where its clusters lie.

The format is that of QEMU's docs/interop/qcow2.rst; the limits are those that QEMU has itself.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO, Callable

from ..model.errors import ImageUnsupported

MAGIC = b"QFI\xfb"
# What a reader needs of a file for ``parse_header``, in bytes.
HEAD = 64 * 1024
MAX_BACKING = 1023
# 64 TiB: what file systems and block devices of guests have; a header may claim 2^64 bytes.
MAX_SIZE = 1 << 46
# magic, version, backing offset and size, cluster bits, size, encryption method, number of L1
# entries, offset of the L1 table, offset and clusters of the refcount table, number and offset of
# snapshots
_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V2_LENGTH, _V3_LENGTH = 72, 104
_V3 = struct.Struct(">QQQII")  # at byte 72: three sets of features, refcount order, header length
_EXTENSION = struct.Struct(">II")
_BACKING_FORMAT, _DATA_FILE, _ENCRYPTION = 0xE2792ACA, 0x44415441, 0x0537BE77
_CORRUPT, _EXTERNAL_DATA, _COMPRESSION, _EXTENDED_L2 = 1 << 1, 1 << 2, 1 << 3, 1 << 4
# Dirty, compression type and extended L2 entries change nothing in what a reader may do.
_HARMLESS = 1 << 0 | _COMPRESSION | _EXTENDED_L2
_ZLIB, _ZSTD = 0, 1
# In bits: what is less makes a disk slow.
_USUAL_CLUSTER = 16
_MAX_L1_BYTES = 32 << 20
_MAX_REFCOUNT_TABLE_BYTES = 8 << 20
_MAX_SNAPSHOTS = 65536
# A bit for each is kept while a file is scanned. As many has QEMU's largest disk in those of 4 KiB.
_MAX_CLUSTERS = 1 << 31
# Looked at in some seconds at most: one has up to 256 Ki entries.
_TABLES_AT_ONCE = 64
# Magic, length of the header, first byte of its features, and which of these is a backing file.
_QED, _QED_LENGTH, _QED_FEATURES, _QED_BACKING = b"QED\0", 64, 16, 1
# Bits 9 to 55 of an entry of the L1 table or of an L2 table.
_OFFSET = 0x00FFFFFFFFFFFE00
_IS_COMPRESSED, _IS_ZERO = 1 << 62, 1


@dataclass(frozen=True)
class Layout:
    """Where a file has its tables.

    ``l1_size`` counts the entries that are of the disk, ``entry`` is an L2 entry's bytes.
    """

    cluster_bits: int
    l1_offset: int
    l1_size: int
    entry: int = 8


@dataclass(frozen=True)
class Header:
    """What a qcow2 header says; ``backing`` is the name that it has of its backing file."""

    size: int
    backing: str | None = None
    backing_format: str | None = None
    layout: Layout = field(default=Layout(16, 0, 0), compare=False, repr=False)


@dataclass(frozen=True)
class Usage:
    """What the tables of a file lead to, in bytes of the guest's disk."""

    plain: int
    compressed: int


def parse_header(data: bytes) -> Header | None:
    """Return what the qcow2 header at the start of ``data`` says; None if there is none.

    ``data`` should be a file's first ``HEAD`` bytes, or all of it. Raises ImageUnsupported for what
    is damaged, encrypted, split over several files or unknown.
    """
    if len(data) < _V2_LENGTH or not data.startswith(MAGIC):
        return None
    _other, version, offset, length, cluster_bits, size, encrypted, *_tables = _V2.unpack_from(data)
    if version not in (2, 3) or not 9 <= cluster_bits <= 21:
        raise ImageUnsupported(f"its qcow2 header is damaged or of a new version ({version})")
    if size > MAX_SIZE:
        raise ImageUnsupported(f"it claims to have {size} bytes, more than {MAX_SIZE >> 40} TiB")
    if encrypted:
        raise ImageUnsupported("it is encrypted")
    start, entry = (_V2_LENGTH, 8) if version == 2 else _check_version_3(data)
    layout = _layout(data, size, entry)
    extensions = _extensions(data, start, offset or (1 << cluster_bits))
    if _DATA_FILE in extensions or _ENCRYPTION in extensions:
        raise ImageUnsupported("it keeps its data in another file, or is encrypted")
    if not offset:
        return Header(size, layout=layout)
    name = data[offset : offset + length]
    if not 0 < length <= MAX_BACKING or len(name) != length or b"\0" in name:
        raise ImageUnsupported("the name of its backing file is damaged")
    backing = name.decode("utf-8", "surrogateescape")
    return Header(size, backing, extensions.get(_BACKING_FORMAT), layout)


def _check_version_3(data: bytes) -> tuple[int, int]:
    """Return where the header of version 3 ends, and the bytes of an L2 entry."""
    if len(data) < _V3_LENGTH:
        raise ImageUnsupported("its qcow2 header is cut off")
    features, _compatible, _autoclear, refcount_order, length = _V3.unpack_from(data, _V2_LENGTH)
    if features & _CORRUPT:
        raise ImageUnsupported("it is marked as corrupt: repair it with qemu-img check -r")
    if features & _EXTERNAL_DATA:
        raise ImageUnsupported("it keeps its data in another file")
    if features & ~_HARMLESS:
        raise ImageUnsupported(f"it has unknown qcow2 features ({features & ~_HARMLESS:#x})")
    if not _V3_LENGTH <= length <= 4096 or length % 8 or refcount_order > 6:
        raise ImageUnsupported("its qcow2 header is damaged")
    compression = data[_V3_LENGTH] if length > _V3_LENGTH and len(data) > _V3_LENGTH else _ZLIB
    if (compression != _ZLIB) != bool(features & _COMPRESSION) or compression > _ZSTD:
        raise ImageUnsupported(f"it is compressed in a way that is not known ({compression})")
    return int(length), 16 if features & _EXTENDED_L2 else 8


def _layout(data: bytes, size: int, entry: int) -> Layout:
    """Return where the tables are, which must be of a size that makes sense."""
    cluster_bits, *_numbers = struct.unpack_from(">I", data, 20)
    l1_size, l1_offset, refcount_offset, refcount_clusters, snapshots, snapshots_offset = (
        _V2.unpack_from(data)[7:]
    )
    cluster = 1 << cluster_bits
    needed = -(-size // (cluster * (cluster // entry)))
    offsets = l1_offset | refcount_offset | (snapshots_offset if snapshots else 0)
    if not needed <= l1_size <= _MAX_L1_BYTES // 8 or (l1_size and not l1_offset):
        raise ImageUnsupported(f"its qcow2 header is damaged: {l1_size} entries in its first table")
    if refcount_clusters * cluster > _MAX_REFCOUNT_TABLE_BYTES or snapshots > _MAX_SNAPSHOTS:
        raise ImageUnsupported("its qcow2 header is damaged: a table is too long")
    if offsets % cluster or offsets >> 63:
        raise ImageUnsupported("its qcow2 header is damaged: a table begins inside a cluster")
    # What a table has behind the disk's end is never read, and costs nothing to be made up.
    return Layout(cluster_bits, l1_offset, needed, entry)


def _extensions(data: bytes, start: int, end: int) -> dict[int, str]:
    found: dict[int, str] = {}
    while start + _EXTENSION.size <= min(end, len(data)):
        kind, length = _EXTENSION.unpack_from(data, start)
        if kind == 0:
            break
        start += _EXTENSION.size
        if length > min(end, len(data)) - start:
            raise ImageUnsupported("its qcow2 header is damaged")
        found[kind] = data[start : start + length].decode("ascii", "replace")
        start += -(-length // 8) * 8
    return found


def scan(
    file: BinaryIO, header: Header, length: int, alive: Callable[[], None] = lambda: None
) -> Usage:
    """Follow the tables of a file of ``length`` bytes, all of whose clusters must lie in it.

    A reader would take what lies behind the end for zeros. No two parts of a disk may share a
    place, for a small file could grow without bounds in a copy. ``alive`` is called now and then,
    for the tables of a large disk take minutes. Raises ImageUnsupported, OSError.
    """
    layout = header.layout
    cluster = 1 << layout.cluster_bits
    if length >> layout.cluster_bits > _MAX_CLUSTERS:
        raise ImageUnsupported(
            f"it has {length} bytes in clusters of {cluster}, which are too many: give it larger"
            " ones by qemu-img convert"
        )
    seen = bytearray((length >> layout.cluster_bits) // 8 + 1)
    address = (1 << (70 - layout.cluster_bits)) - 1
    plain = compressed = tables = 0
    for table in _entries(file, layout.l1_offset, layout.l1_size, length):
        if not table & _OFFSET:
            continue
        if tables % _TABLES_AT_ONCE == 0:
            alive()
        tables += 1
        _take(table & _OFFSET, layout, seen, length)
        for entry in _entries(file, table & _OFFSET, cluster // 8, length)[:: layout.entry // 8]:
            if entry & _IS_COMPRESSED:
                if entry & address >= length:
                    raise ImageUnsupported("it is cut off: a part of its data is missing")
                compressed += cluster
            elif entry & _OFFSET:
                _take(entry & _OFFSET, layout, seen, length)
                plain += 0 if entry & _IS_ZERO and layout.entry == 8 else cluster
    return Usage(plain, compressed)


def _entries(file: BinaryIO, offset: int, count: int, length: int) -> array[int]:
    if offset + 8 * count > length:
        raise ImageUnsupported("it is cut off: a part of its tables is missing")
    file.seek(offset)
    data = file.read(8 * count)
    if len(data) != 8 * count:
        raise ImageUnsupported("it was cut off while it was read")
    entries = array("Q", data)
    if _LITTLE_ENDIAN:
        entries.byteswap()
    return entries


_LITTLE_ENDIAN = array("H", [1]).tobytes()[0] == 1


def _take(offset: int, layout: Layout, seen: bytearray, length: int) -> None:
    """Note that a cluster is in use, which lies in the file, and in no other's place."""
    if offset >= length:
        raise ImageUnsupported("it is cut off: a part of its data is missing")
    number = offset >> layout.cluster_bits
    byte, bit = number >> 3, 1 << (number & 7)
    if offset & ((1 << layout.cluster_bits) - 1) or seen[byte] & bit:
        raise ImageUnsupported("its tables are damaged: two parts of the disk share a place")
    seen[byte] |= bit


def backing_name(data: bytes) -> tuple[int, int] | None:
    """Return where the backing file's name is (offset and length), whatever else is in ``data``.

    Also of a QED file, QEMU's docs/interop/qed_spec.rst, which may build upon a qcow2 file.
    """
    if data.startswith(_QED) and len(data) >= _QED_LENGTH and data[_QED_FEATURES] & _QED_BACKING:
        offset, length = struct.unpack_from("<II", data, _QED_LENGTH - 8)
        return offset, min(length, MAX_BACKING)
    if len(data) < _V2_LENGTH or not data.startswith(MAGIC):
        return None
    _magic, _version, offset, length, *_rest = _V2.unpack_from(data)
    return (offset, min(length, MAX_BACKING)) if 0 < offset < HEAD * 32 else None


def is_plain(data: bytes) -> bool:
    """Tell whether the qcow2 file that begins with ``data`` is one as this host makes them itself.

    It may still be damaged, and have compressed parts.
    """
    if len(data) < _V3_LENGTH or not data.startswith(MAGIC) or snapshots(data):
        return False
    version, cluster_bits = _V2.unpack_from(data)[1], _V2.unpack_from(data)[4]
    features = _V3.unpack_from(data, _V2_LENGTH)
    # Bitmaps and the like are told by features that may be passed over.
    return version == 3 and cluster_bits >= _USUAL_CLUSTER and not any(features[:3])


def is_untouched(file: BinaryIO, header: Header, length: int) -> bool:
    """Tell whether nothing was ever written to the disk since the file was made, and no snapshot is
    in it.

    Raises ImageUnsupported, OSError.
    """
    layout = header.layout
    entries = _entries(file, layout.l1_offset, layout.l1_size, length)
    file.seek(0)
    return not snapshots(file.read(HEAD)) and not any(entry & _OFFSET for entry in entries)


def snapshots(data: bytes) -> int:
    """Return how many snapshots are in a qcow2 file that begins with ``data``; 0 for others."""
    if len(data) < _V2_LENGTH or not data.startswith(MAGIC):
        return 0
    return int(_V2.unpack_from(data)[11])
