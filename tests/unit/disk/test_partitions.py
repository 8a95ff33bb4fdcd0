# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables: read without trust, and written anew for a larger disk."""

from __future__ import annotations

import contextlib
import struct
import uuid
from binascii import crc32
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maglica.disk import partitions
from maglica.disk.partitions import HEAD, SECTOR, Partition
from maglica.model.errors import DiskSizeUnsupported

MIB = 1 << 20
GIB = 1 << 30
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
SWAP = uuid.UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")
EFI = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK = uuid.UUID("8d4f7c1e-6a2b-4c3d-9e8f-0a1b2c3d4e5f")
# As a cloud image of Debian has them: the root file system is number 1 and lies last.
CLOUD = ((1, 262144, 4194270, LINUX), (14, 2048, 8191, SWAP), (15, 8192, 262143, EFI))
SIZE = 4194304 * SECTOR  # 2 GiB

thorough = settings(max_examples=200)

GptEntry = tuple[int, int, int, uuid.UUID]
MbrEntry = tuple[int, int, int, int]


def mbr(*entries: MbrEntry, status: int = 0x80) -> bytes:
    """Return the first sectors of a disk with the partitions (number, type, first, sectors)."""
    head = bytearray(HEAD)
    head[:4] = b"\xeb\x63\x90\x00"  # a boot loader's first bytes
    for number, kind, first, count in entries:
        at = 446 + (number - 1) * 16
        struct.pack_into("<B3sB3sII", head, at, status, b"\0\2\0", kind, b"\1\2\3", first, count)
    head[510:512] = b"\x55\xaa"
    return bytes(head)


def gpt(
    entries: Sequence[GptEntry] = CLOUD, sectors: int = SIZE // SECTOR, count: int = 128
) -> bytes:
    """Return the first sectors of a disk with the partitions (number, first, last, type)."""
    head = bytearray(mbr((1, 0xEE, 1, sectors - 1), status=0))
    for number, first, last, kind in entries:
        own = uuid.UUID(int=number).bytes_le
        name = f"part {number}".encode("utf-16-le")
        entry = struct.pack("<16s16sQQQ72s", kind.bytes_le, own, first, last, 4, name)
        head[1024 + (number - 1) * 128 : 1024 + number * 128] = entry
    tail = -(-count * 128 // SECTOR)
    header = struct.pack(
        "<8sIIIIQQQQ16sQIII",
        *(b"EFI PART", 0x10000, 92, 0, 0, 1, sectors - 1, 2 + tail, sectors - tail - 2),
        *(DISK.bytes_le, 2, count, 128, crc32(head[1024 : 1024 + count * 128])),
    )
    head[512:604] = header
    return with_checksum(bytes(head))


def with_checksum(head: bytes) -> bytes:
    changed = bytearray(head)
    changed[528:532] = bytes(4)
    changed[528:532] = struct.pack("<I", crc32(changed[512:604]))
    return bytes(changed)


def changed(head: bytes, form: str, at: int, *values: int) -> bytes:
    """Return a disk with GPT in whose header something else stands, with the checksum it needs."""
    new = bytearray(head)
    struct.pack_into(form, new, 512 + at, *values)
    return with_checksum(bytes(new))


def written(head: bytes, size: int, new_size: int, number: int) -> dict[int, bytes]:
    """Return, by the sector, what is written so that a partition grows."""
    patches = partitions.read(head, size).grown(number, new_size)
    for patch in patches:
        assert 0 <= patch.offset <= patch.offset + len(patch.content) <= new_size
        assert patch.offset % SECTOR == len(patch.content) % SECTOR == 0
    return {patch.offset // SECTOR: patch.content for patch in patches}


def test_a_cloud_image_s_table() -> None:
    table = partitions.read(gpt(), SIZE)
    assert [str(each) for each in table.partitions] == [
        "partition 14 (swap)",
        "partition 15 (EFI system)",
        "partition 1 (Linux)",
    ]
    assert table.last == Partition(1, 262144, 4194270, "Linux")


def test_gpt_grows() -> None:
    sectors = 20 * GIB // SECTOR
    found = written(gpt(), SIZE, 20 * GIB, 1)
    # The last whole MiB before the backup.
    last = sectors - 2048 - 1
    entries = tuple((n, f, last if n == 1 else end, kind) for n, f, end, kind in CLOUD)
    wanted = gpt(entries, sectors)
    assert found[0] == wanted
    assert partitions.read(found[0], 20 * GIB).last == Partition(1, 262144, last, "Linux")
    tail = found[sectors - 33]
    assert tail[: 32 * SECTOR] == wanted[2 * SECTOR :]
    backup = struct.unpack("<8sIIIIQQQQ16sQIII", tail[32 * SECTOR :][:92])
    primary = struct.unpack("<8sIIIIQQQQ16sQIII", wanted[SECTOR:][:92])
    assert backup[5:7] == primary[6:4:-1] == (sectors - 1, 1)
    assert (backup[7:10], backup[11:]) == (primary[7:10], primary[11:])
    assert backup[10] == sectors - 33
    header = tail[32 * SECTOR :][:92]
    assert crc32(header[:16] + bytes(4) + header[20:]) == backup[3]
    # The old table counts until the new backup is there.
    assert list(found) == [sectors - 33, 0]


def test_a_table_with_few_entries_keeps_their_number() -> None:
    sectors = SIZE // SECTOR
    head = gpt([(1, 2048, sectors - 4096, LINUX)], count=4)
    found = written(head, SIZE, 2 * SIZE, 1)
    assert (
        found[0][: 3 * SECTOR]
        == gpt([(1, 2048, 2 * sectors - 2049, LINUX)], 2 * sectors, 4)[: 3 * SECTOR]
    )
    assert list(found) == [2 * sectors - 2, 0]


def test_a_protective_mbr_says_no_more_than_it_can() -> None:
    found = written(gpt(), SIZE, 3 << 40, 1)
    assert struct.unpack("<I", found[0][458:462]) == (0xFFFFFFFF,)
    assert found[0][:446] == gpt()[:446]


def test_a_disk_that_somebody_made_larger_without_its_table() -> None:
    found = written(gpt(), SIZE + GIB, SIZE + GIB, 1)
    sectors = (SIZE + GIB) // SECTOR
    assert list(found) == [sectors - 33, 0]
    assert partitions.read(found[0], SIZE + GIB).last == Partition(
        1, 262144, sectors - 2049, "Linux"
    )


def test_a_partition_never_gets_shorter() -> None:
    """It may end beyond the last whole MiB."""
    found = written(gpt(), SIZE, SIZE, 1)
    assert found[0] == gpt()


def test_mbr_grows() -> None:
    head = mbr((2, 0x82, 2048, 4096), (1, 0x83, 8192, 100000))
    size, new = 200 * MIB, 20 * GIB
    assert partitions.read(head, size).last == Partition(1, 8192, 108191, "Linux")
    (patch,) = partitions.read(head, size).grown(1, new)
    assert (patch.offset, len(patch.content)) == (0, SECTOR)
    end = new // SECTOR
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xfe\xff\xff", 8192, end - 8192)
    assert patch.content == head[:446] + entry + head[462:SECTOR]


def test_mbr_ends_at_two_tib() -> None:
    head = mbr((1, 0x83, 2048, 100000))
    (patch,) = partitions.read(head, GIB).grown(1, 2 << 40)
    assert struct.unpack("<II", patch.content[454:462]) == (2048, (1 << 32) - 2048)
    with pytest.raises(DiskSizeUnsupported, match=r"\(MBR\) can't have partitions .* beyond 2 TiB"):
        partitions.read(head, GIB).grown(1, (2 << 40) + MIB)


@pytest.mark.parametrize(
    ("head", "number", "problem"),
    [
        # As Debian's installer lays a disk out.
        (
            mbr((1, 0x83, 2048, 8192), (2, 0x05, 12288, 4096)),
            1,
            r"^partition 2 \(extended\) lies behind its root file system on partition 1 \(Linux\)$",
        ),
        (mbr((1, 0x83, 2048, 8192)), 5, r"^there is no partition 5 in its .* \(MBR\)$"),
        (mbr(), 1, r"^there is no partition 1"),
        (gpt(((1, 2048, 4095, LINUX), (2, 4096, 8191, SWAP))), 1, r"^partition 2 \(swap\) lies"),
        (gpt(), 129, r"^there is no partition 129"),
    ],
)
def test_what_can_not_grow(head: bytes, number: int, problem: str) -> None:
    with pytest.raises(DiskSizeUnsupported, match=problem):
        partitions.read(head, SIZE).grown(number, 2 * SIZE)


def test_a_disk_can_not_shrink() -> None:
    with pytest.raises(DiskSizeUnsupported, match="can't get smaller"):
        partitions.read(gpt(), SIZE).grown(1, SIZE - MIB)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (bytes(HEAD), "^it has no partition table$"),
        (bytes(HEAD - 1), "^it is too small"),
        (bytes(4096) + b"EFI PART" + bytes(HEAD), "for sectors of 4096 bytes"),
        (mbr((1, 0x83, 2048, 8192), status=0x41), "damaged: partition 1 has the status 0x41"),
        (mbr((1, 0x83, 2048, 0xFFFFFFFF)), r"damaged: partition 1 \(Linux\) does not lie on"),
        (mbr((1, 0x83, 0, 8)), "does not lie on the disk"),
        (
            mbr((1, 0x83, 2048, 8192), (3, 0x77, 4096, 8)),
            r"damaged: partition 1 \(Linux\) and partition 3 \(type 0x77\) overlap",
        ),
        (mbr((1, 0xEE, 1, 9)), "damaged: GPT's header is not there"),
        (mbr((1, 0xEE, 1, 9), (2, 0x83, 2048, 9)), r"GPT and MBR in one \(hybrid\)"),
        (mbr((1, 0xEE, 9, 9)), "hybrid"),
        (gpt()[:520] + b"\1" + gpt()[521:], "of an unknown version"),
        (gpt()[:570] + b"\1" + gpt()[571:], "checksum of GPT's header"),
        (gpt()[:1100] + b"\1" + gpt()[1101:], "checksum of GPT's entries"),
        (changed(gpt(), "<I", 12, 91), "of an unknown version"),
        (changed(gpt(), "<I", 12, 513), "of an unknown version"),
        (changed(gpt(), "<I", 12, 0xFFFFFFFF), "of an unknown version"),
        (changed(gpt(), "<Q", 24, 2), "headers are not where they say"),
        (changed(gpt(), "<Q", 32, SIZE // SECTOR), "headers are not where they say"),
        (changed(gpt(), "<Q", 32, 4096), "headers are not where they say"),
        (changed(gpt(), "<Q", 40, 33), "room for partitions does not lie on"),
        (changed(gpt(), "<Q", 40, 1 << 63), "room for partitions does not lie on"),
        (changed(gpt(), "<Q", 48, SIZE // SECTOR - 2), "room for partitions does not lie on"),
        (changed(gpt(), "<Q", 72, 3), "128 entries of 128 bytes from sector 3 on; known are up to"),
        (changed(gpt(), "<I", 80, 0), r"\(GPT\) has 0 entries"),
        (changed(gpt(), "<I", 80, 0xFFFFFFFF), r"\(GPT\) has 4294967295 entries"),
        (changed(gpt(), "<I", 84, 256), "128 entries of 256 bytes"),
        (gpt(((1, 4096, 2048, LINUX),)), r"damaged: partition 1 \(Linux\) does not lie on"),
        (gpt(((1, 2048, 1 << 63, LINUX),)), "does not lie on the disk"),
        (gpt(((1, 0, 4095, LINUX),)), "does not lie on the disk"),
        (
            gpt(((1, 2048, 8192, LINUX), (128, 8192, 9000, DISK))),
            f"partition 1 .* and partition 128 .type {DISK}. overlap",
        ),
    ],
)
def test_tables_that_are_not_believed(head: bytes, problem: str) -> None:
    with pytest.raises(DiskSizeUnsupported, match=problem) as raised:
        partitions.read(head, SIZE)
    assert len(str(raised.value)) < 200


@thorough
@given(st.data())
def test_any_good_table_grows_to_one_that_is_good(data: st.DataObject) -> None:
    """Other partitions, names, ids and boot code stay; the last one gets larger and is whole."""
    is_gpt = data.draw(st.booleans())
    sectors = data.draw(st.integers(8192, 1 << 30))
    room = range(34, sectors - 33)
    most = 8 if is_gpt else 4
    drawn = data.draw(
        st.lists(st.integers(room[0], room[-1]), min_size=2, max_size=2 * most, unique=True)
    )
    edges = sorted(drawn)[: len(drawn) // 2 * 2]
    numbers = data.draw(st.permutations(range(1, len(edges) // 2 + 1)))
    parts = list(zip(numbers, edges[::2], edges[1::2]))
    if is_gpt:
        head = gpt([(n, first, last, LINUX) for n, first, last in parts], sectors)
    else:
        head = mbr(*((n, 0x83, first, last - first + 1) for n, first, last in parts))
    new = data.draw(st.integers(sectors, 1 << 31)) * SECTOR
    number, first, last = parts[-1]
    found = written(head, sectors * SECTOR, new, number)
    after = partitions.read(found[0] + head[len(found[0]) :], new)
    before = partitions.read(head, sectors * SECTOR)
    assert after.partitions[:-1] == before.partitions[:-1]
    assert after.last is not None
    assert (after.last.number, after.last.first) == (number, first)
    end = after.last.last + 1
    assert last < end <= new // SECTOR
    # It grows to the last whole MiB, but for one that had ended beyond that.
    assert end == last + 1 or (end % 2048 == 0 and new // SECTOR - end < 2048 + 34)
    assert found[0][:446] == head[:446]
    # What was written so may be written again.
    assert after.grown(number, new)[-1].content == found[0]


@thorough
@given(st.data())
def test_no_table_is_believed_that_has_been_tampered_with(data: st.DataObject) -> None:
    """Whatever is changed in one, it is refused or grows within the disk."""
    head = bytearray(data.draw(st.sampled_from([gpt(), mbr((1, 0x83, 2048, 8192))])))
    for _turn in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.one_of(st.integers(440, 620), st.integers(1024, 1024 + 15 * 128)))
        content = data.draw(st.binary(min_size=1, max_size=8))
        head[at : at + len(content)] = content
    if data.draw(st.booleans()):
        # Who makes a disk makes its checksums as well.
        count = min(struct.unpack("<I", head[592:596])[0], 128)
        head[600:604] = struct.pack("<I", crc32(head[1024 : 1024 + count * 128]))
        head = bytearray(with_checksum(bytes(head)))
    with contextlib.suppress(DiskSizeUnsupported):
        table = partitions.read(bytes(head), SIZE)
        for each in table.partitions:
            assert 0 < each.first <= each.last < SIZE // SECTOR
        if table.last is not None:
            written(bytes(head), SIZE, 2 * SIZE, table.last.number)


@thorough
@given(st.binary(max_size=HEAD + 64), st.integers(0, 1 << 70))
def test_no_bytes_are_too_odd(head: bytes, size: int) -> None:
    with contextlib.suppress(DiskSizeUnsupported):
        found = partitions.read(head, size)
        assert all(0 < each.first <= each.last < size // SECTOR for each in found.partitions)
