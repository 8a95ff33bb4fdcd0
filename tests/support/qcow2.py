# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds qcow2 headers, right and wrong ones; the format is QEMU's docs/interop/qcow2.rst."""

from __future__ import annotations

import struct
from collections.abc import Sequence

BACKING_FORMAT, DATA_FILE, LUKS, FEATURE_NAMES = 0xE2792ACA, 0x44415441, 0x0537BE77, 0x6803F857
MIB = 1 << 20


def header(
    size: int = 64 * MIB,
    *,
    magic: bytes = b"QFI\xfb",
    version: int = 3,
    cluster_bits: int = 16,
    encrypted: int = 0,
    incompatible: int = 0,
    header_length: int = 104,
    extensions: Sequence[tuple[int, bytes]] = (),
    backing: bytes | None = None,
    backing_offset: int | None = None,
    backing_length: int | None = None,
    l1_size: int | None = None,
    l1_offset: int | None = None,
    refcount_clusters: int = 1,
    snapshots: int = 0,
    refcount_order: int = 4,
    compression: int = 0,
) -> bytes:
    """Return the start of a qcow2 file that says so; what is None is as it should be."""
    length = header_length if version != 2 else 72
    rest = b"".join(
        struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")
        for kind, data in extensions
    )
    rest += struct.pack(">II", 0, 0)
    offset = (length + len(rest) if backing else 0) if backing_offset is None else backing_offset
    cluster = 1 << min(cluster_bits, 21)
    covered = cluster * (cluster // (16 if incompatible & 16 else 8))
    name_length = len(backing or b"") if backing_length is None else backing_length
    start = struct.pack(
        ">4sIQIIQIIQQIIQ",
        magic,
        version,
        offset,
        name_length,
        cluster_bits,
        size,
        encrypted,
        min(-(-size // covered), 0xFFFFFFFF) if l1_size is None else l1_size,
        3 * cluster if l1_offset is None else l1_offset,
        cluster,
        refcount_clusters,
        snapshots,
        0,
    )
    if version != 2:
        start += struct.pack(">QQQII", incompatible, 0, 0, refcount_order, header_length)
        start += bytes([compression]) if compression else b""
    return start.ljust(min(length, 4096), b"\0") + rest + (backing or b"")


def whole(entries: Sequence[int], length: int = 16 << 16, size: int = 64 * MIB) -> bytes:
    """Return a file of ``length`` bytes and clusters of 64 KiB whose one L2 table is ``entries``.

    The header, a table for refcounts (empty), the L1 table and the L2 table are clusters 0, 1, 3
    and 4.
    """
    file = bytearray(length)
    tables = {0: header(size), 3 << 16: struct.pack(">Q", 4 << 16 | 1 << 63)}
    tables[4 << 16] = struct.pack(f">{len(entries)}Q", *entries)
    for offset, data in tables.items():
        file[offset : offset + len(data)] = data
    return bytes(file[:length])
