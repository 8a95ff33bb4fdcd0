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
) -> bytes:
    """Return the start of a qcow2 file that says so; what is None is as it should be."""
    length = header_length if version != 2 else 72
    rest = b"".join(
        struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")
        for kind, data in extensions
    )
    rest += struct.pack(">II", 0, 0)
    offset = (length + len(rest) if backing else 0) if backing_offset is None else backing_offset
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
        1,
        3 << 16,
        1 << 16,
        1,
        0,
        0,
    )
    if version != 2:
        start += struct.pack(">QQQII", incompatible, 0, 0, 4, header_length)
    return start.ljust(min(length, 4096), b"\0") + rest + (backing or b"")
