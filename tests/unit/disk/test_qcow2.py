# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of qcow2 headers and tables, right and wrong ones."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path

import pytest
from maglica.disk import chain
from maglica.disk.qcow2 import _TABLES_AT_ONCE, Header, Usage, parse_header, scan
from maglica.model.errors import ImageUnsupported
from support.qcow2 import BACKING_FORMAT, DATA_FILE, FEATURE_NAMES, LUKS, MIB, header, whole

CLUSTER = 1 << 16
COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1

QCOW2_FORMAT = (BACKING_FORMAT, b"qcow2")
RAW_FORMAT = (BACKING_FORMAT, b"raw")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(), Header(64 * MIB)),
        (header(version=2), Header(64 * MIB)),
        (header(size=0), Header(0)),
        (header(size=1 << 46), Header(1 << 46)),
        (header(cluster_bits=9), Header(64 * MIB)),
        (header(cluster_bits=21), Header(64 * MIB)),
        (header(incompatible=1), Header(64 * MIB)),
        (header(incompatible=8, header_length=112, compression=1), Header(64 * MIB)),
        (header(incompatible=16), Header(64 * MIB)),
        (header(incompatible=25, header_length=112, compression=1), Header(64 * MIB)),
        (header(extensions=[(FEATURE_NAMES, b"\0" * 48)]), Header(64 * MIB)),
        (header(extensions=[(0x12345678, b"unknown")]), Header(64 * MIB)),
        (header(extensions=[QCOW2_FORMAT]), Header(64 * MIB)),
        (header(backing=b"b.qcow2"), Header(64 * MIB, "b.qcow2")),
        (header(version=2, backing=b"b"), Header(64 * MIB, "b")),
        (
            header(backing=b"b.qcow2", extensions=[QCOW2_FORMAT]),
            Header(64 * MIB, "b.qcow2", "qcow2"),
        ),
        (
            header(backing=b"/x/b", extensions=[(FEATURE_NAMES, b"\0" * 96), RAW_FORMAT]),
            Header(64 * MIB, "/x/b", "raw"),
        ),
        (header(backing=b"x" * 1023), Header(64 * MIB, "x" * 1023)),
        (header(backing=b"caf\xe9"), Header(64 * MIB, "caf\udce9")),
        (header() + b"\xff" * 4096, Header(64 * MIB)),
    ],
)
def test_good_headers(data: bytes, expected: Header) -> None:
    assert parse_header(data) == expected


@pytest.mark.parametrize(
    "data", [b"", b"QFI\xfb", b"\0" * 4096, header(magic=b"QED\0"), b"KDMV" + b"\0" * 100]
)
def test_what_is_no_qcow2(data: bytes) -> None:
    assert parse_header(data) is None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (header(version=1), "new version"),
        (header(version=4), "new version"),
        (header(version=0xFFFFFFFF), "new version"),
        (header(cluster_bits=8), "damaged"),
        (header(cluster_bits=22), "damaged"),
        (header(cluster_bits=0xFFFFFFFF), "damaged"),
        (header(size=(1 << 46) + 1), "claims to have 70368744177665 bytes, more than 64 TiB"),
        (header(size=1 << 63), "claims to have"),
        (header(l1_size=0), "0 entries in its first table"),
        (header(l1_size=(4 << 20) + 1), "4194305 entries in its first table"),
        (header(l1_size=0xFFFFFFFF), "entries in its first table"),
        (header(l1_offset=0), "in its first table"),
        (header(l1_offset=4096), "begins inside a cluster"),
        (header(l1_offset=1 << 63), "begins inside a cluster"),
        (header(refcount_clusters=129), "a table is too long"),
        (header(snapshots=65537), "a table is too long"),
        (header(refcount_order=7), "damaged"),
        (header(incompatible=8, header_length=112), "compressed in a way"),
        (header(incompatible=8, header_length=112, compression=2), "compressed in a way"),
        (header(header_length=112, compression=1), "compressed in a way"),
        (header(encrypted=1), "encrypted"),
        (header(encrypted=2), "encrypted"),
        (header(incompatible=2), "corrupt"),
        (header(incompatible=4), "another file"),
        (header(incompatible=32), "unknown qcow2 features"),
        (header(incompatible=1 << 63), "unknown qcow2 features"),
        (header()[:80], "cut off"),
        (header(header_length=96), "damaged"),
        (header(header_length=105), "damaged"),
        (header(header_length=0xFFFFFFF8), "damaged"),
        (header(extensions=[(DATA_FILE, b"/etc/shadow")]), "another file"),
        (header(extensions=[(LUKS, b"\0" * 16)]), "encrypted"),
        (header(backing=b"b", backing_length=0), "backing file is damaged"),
        (header(backing=b"x" * 1024), "backing file is damaged"),
        (header(backing=b"b", backing_length=0xFFFFFFFF), "backing file is damaged"),
        (header(backing=b"b", backing_offset=1 << 40), "backing file is damaged"),
        (header(backing=b"a\0b"), "backing file is damaged"),
        (header()[:104] + b"\x12\x34\x56\x78\xff\xff\xff\xff" + b"\0" * 64, "damaged"),
    ],
)
def test_bad_headers(data: bytes, problem: str) -> None:
    with pytest.raises(ImageUnsupported, match=problem):
        parse_header(data)


def scanned(data: bytes) -> Usage:
    found = parse_header(data)
    assert found is not None
    return scan(io.BytesIO(data), found, len(data))


@pytest.mark.parametrize(
    ("entries", "usage"),
    [
        ([], Usage(0, 0)),
        ([5 * CLUSTER | COPIED, 0, 6 * CLUSTER], Usage(2 * CLUSTER, 0)),
        ([5 * CLUSTER | ZERO, ZERO, 6 * CLUSTER], Usage(CLUSTER, 0)),
        # Compressed clusters may share one of the file's: several fit in it.
        ([COMPRESSED | 5 * CLUSTER, COMPRESSED | 5 * CLUSTER + 700], Usage(0, 2 * CLUSTER)),
        ([15 * CLUSTER | COPIED], Usage(CLUSTER, 0)),
    ],
)
def test_what_tables_lead_to(entries: list[int], usage: Usage) -> None:
    assert scanned(whole(entries)) == usage


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (whole([16 * CLUSTER]), "a part of its data is missing"),
        (whole([1 << 55]), "a part of its data is missing"),
        (whole([COMPRESSED | 16 * CLUSTER]), "a part of its data is missing"),
        (whole([5 * CLUSTER, 5 * CLUSTER]), "two parts of the disk share a place"),
        (whole([4 * CLUSTER]), "two parts of the disk share a place"),
        (whole([5 * CLUSTER + 512]), "its tables are damaged"),
        (whole([], length=4 * CLUSTER + 8), "a part of its tables is missing"),
        (whole([], length=3 * CLUSTER), "a part of its tables is missing"),
    ],
)
def test_tables_that_lie(data: bytes, problem: str) -> None:
    with pytest.raises(ImageUnsupported, match=problem):
        scanned(data)


def test_entries_behind_the_end_of_the_disk_cost_nothing() -> None:
    """They may lead to any number of tables that take no room in a sparse file."""
    tables = [(4 + number) * CLUSTER for number in range(CLUSTER // 8)]
    data = bytearray((4 + len(tables)) * CLUSTER)
    data[: len(header())] = header(l1_size=len(tables))
    data[3 * CLUSTER : 4 * CLUSTER] = struct.pack(f">{len(tables)}Q", *tables)
    # To be read it would be an error.
    data[5 * CLUSTER : 5 * CLUSTER + 8] = struct.pack(">Q", 1 << 55)
    assert scanned(bytes(data)) == Usage(0, 0)


def test_a_sparse_file_of_small_clusters_takes_no_memory(tmp_path: Path) -> None:
    found = parse_header(header(cluster_bits=9))
    assert found is not None
    tracemalloc.start()
    try:
        with (tmp_path / "file").open("w+b") as file:
            file.truncate(15 << 40)
            with pytest.raises(ImageUnsupported, match="clusters of 512, which are too many"):
                scan(file, found, 15 << 40)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_scan_of_many_tables_says_that_it_goes_on(tmp_path: Path) -> None:
    """A sparse file can have those of 64 TiB, for which minutes go by."""
    told: list[None] = []
    tables, cluster = 4 * _TABLES_AT_ONCE, 1 << 12
    data = bytearray(header(tables * (cluster // 8) * cluster, cluster_bits=12))
    data = data.ljust((4 + tables // 512 + tables) * cluster, b"\0")
    places = [(4 + number) * cluster for number in range(tables)]
    data[3 * cluster : 3 * cluster + 8 * tables] = struct.pack(f">{tables}Q", *places)
    path = tmp_path / "disk"
    path.write_bytes(data)
    (layer,) = chain.inspect(str(path), "qcow2", ())
    assert chain.content_bytes((layer,), alive=lambda: told.append(None)) == 0
    assert len(told) == 4
    found = parse_header(bytes(data))
    assert found is not None
    with path.open("rb") as file:
        scan(file, found, len(data), lambda: told.append(None))
    assert len(told) == 8
