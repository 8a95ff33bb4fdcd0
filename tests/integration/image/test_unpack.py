# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs pack is unpacked as they would, and what a stranger packs does no harm."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from pathlib import Path

import pytest
from maglica.model.errors import DependencyMissing, ImageUnsupported, NoRoom, StorageFailed
from maglica.system import unpack
from support.small_disk import small_disk

MIB = 1 << 20
RANDOM = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(MIB // 32))
# A disk: data, a hole, data that begins and ends within blocks, a hole at the end.
DISK = RANDOM + bytes(5 * MIB) + RANDOM[:100_000] + bytes(3 * MIB + 17)
MOST = 1 << 30
PROGRAMS = {
    "xz": ("xz", "-0"),
    "gzip": ("gzip", "-1"),
    "zstd": ("zstd", "-q", "-1"),
}


def packed(how: str, data: bytes, *options: str) -> bytes:
    command = [*PROGRAMS[how], "-c", *options]
    return subprocess.run(command, input=data, check=True, capture_output=True).stdout


class Unpacked:
    def __init__(self, folder: Path) -> None:
        self.source = folder / "disk.img"
        self.target = folder / "unpacked"
        self.told: list[tuple[int, int]] = []

    def __call__(self, data: bytes, most: int = MOST) -> int:
        self.source.write_bytes(data)
        how = unpack.packing(self.source)
        assert how is not None
        return unpack.unpack(
            self.source, how, self.target, most, lambda done, total: self.told.append((done, total))
        )

    def fails(self, data: bytes, problem: str, most: int = MOST) -> None:
        with pytest.raises(ImageUnsupported, match=problem) as caught:
            self(data, most)
        assert str(caught.value).startswith(f"{self.source} can't be unpacked: ")
        assert str(caught.value).isprintable()


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    return Unpacked(tmp_path)


@pytest.mark.parametrize("how", PROGRAMS)
def test_a_disk(unpacked: Unpacked, how: str) -> None:
    data = packed(how, DISK)
    unpacked.target.write_bytes(b"x" * (2 * len(DISK)))
    assert unpacked(data) == len(DISK)
    assert unpacked.target.read_bytes() == DISK
    assert unpacked.target.stat().st_blocks * 512 < 2 * MIB
    assert unpacked.told[-1] == (len(data), len(data))
    assert unpacked.told == sorted(unpacked.told)


@pytest.mark.parametrize("how", PROGRAMS)
def test_small_files(unpacked: Unpacked, how: str) -> None:
    for data in (b"", b"\0", b"a", bytes(MIB), RANDOM[:70_000], bytes(MIB) + b"a"):
        assert unpacked(packed(how, data)) == len(data)
        assert unpacked.target.read_bytes() == data


@pytest.mark.parametrize("how", PROGRAMS)
def test_members_that_are_joined(unpacked: Unpacked, how: str) -> None:
    data = packed(how, b"one,") + packed(how, b"") + packed(how, b" two")
    assert unpacked(data) == 8
    assert unpacked.target.read_bytes() == b"one, two"


def test_padding(unpacked: Unpacked) -> None:
    assert unpacked(packed("xz", b"abc") + bytes(8)) == 3
    assert unpacked(packed("gzip", b"abc") + bytes(512)) == 3
    # A frame to be skipped, before the first or behind the last.
    frame = b"\x53\x2a\x4d\x18\x04\0\0\0abcd"
    assert unpacked(frame + packed("zstd", b"abc") + frame) == 3


def test_garbage_behind_the_last_member(unpacked: Unpacked) -> None:
    unpacked.fails(packed("xz", b"abc") + b"garbage", "xz: .*")
    unpacked.fails(packed("zstd", b"abc") + b"garbage", "zstd: .*")
    assert unpacked(packed("gzip", b"abc") + b"garbage") == 3
    assert unpacked.target.read_bytes() == b"abc"


@pytest.mark.parametrize("how", PROGRAMS)
def test_what_is_damaged(unpacked: Unpacked, how: str) -> None:
    data = packed(how, DISK)
    half = len(data) // 2
    unpacked.fails(data[:half], "nexpected end|remature")
    unpacked.fails(data[:6], "nexpected end|remature")
    unpacked.fails(data[:half] + b"\xff" * 64 + data[half + 64 :], how)


@pytest.mark.parametrize("how", PROGRAMS)
def test_a_bomb(unpacked: Unpacked, how: str) -> None:
    data = packed(how, bytes(16 * MIB))
    problem = "it has more than the 4194304 bytes that it may have"
    for bomb in (data, packed(how, RANDOM) * 6):
        unpacked.fails(bomb, problem, most=4 * MIB)
        assert unpacked.target.stat().st_size <= 4 * MIB
    assert unpacked(packed(how, bytes(4 * MIB)), most=4 * MIB) == 4 * MIB


def xz_with_dictionary(size: int) -> bytes:
    """Return what xz packed, saying that it needs a larger dictionary (the format's 5.3.1)."""
    data = bytearray(packed("xz", b"abc"))
    end = 12 + (data[12] + 1) * 4
    # Flags, LZMA2's number, the length of its properties, the dictionary's size.
    assert data[14:16] == b"\x21\x01"
    data[16] = size
    data[end - 4 : end] = zlib.crc32(data[12 : end - 4]).to_bytes(4, "little")
    return bytes(data)


def zstd_with_window(exponent: int) -> bytes:
    """Return a frame of RFC 8878 with a window of that many bits, and one block that is raw."""
    return b"\x28\xb5\x2f\xfd\0" + bytes([exponent - 10 << 3]) + b"\x19\0\0abc"


def test_what_wants_too_much_memory(unpacked: Unpacked) -> None:
    # 64 MiB, as xz -9 has it, and 4 GiB.
    assert unpacked(xz_with_dictionary(28)) == 3
    unpacked.fails(xz_with_dictionary(40), "Memory usage limit reached")
    assert unpacked(zstd_with_window(27)) == 3
    unpacked.fails(zstd_with_window(31), "requires too much memory")


def test_a_file_that_is_not_packed(unpacked: Unpacked) -> None:
    for data in (b"", b"QFI\xfb\0\0\0\3", b"\x1f", b"\xfd7zXZ", b"BZh9", bytes(512)):
        unpacked.source.write_bytes(data)
        assert unpack.packing(unpacked.source) is None
    with pytest.raises(StorageFailed, match="can't be read: No such file"):
        unpack.packing(unpacked.source.with_name("other"))


def test_a_name_says_nothing(unpacked: Unpacked) -> None:
    unpacked.source = unpacked.source.with_suffix(".gz")
    assert unpacked(packed("xz", b"abc")) == 3


def test_a_program_that_is_missing(unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed("zstd", b"abc")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DependencyMissing, match="this host lacks the program zstd, to unpack /"):
        unpacked(data)


def test_a_full_disk(unpacked: Unpacked, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 4) as disk:
        unpacked.target = disk.path / "unpacked"
        with pytest.raises(NoRoom, match="can't be unpacked: No space left on device"):
            unpacked(packed("zstd", RANDOM * 8))
        # Holes take no room.
        assert unpacked(packed("zstd", bytes(64 * MIB))) == 64 * MIB


def test_a_target_that_can_not_be_made(unpacked: Unpacked, tmp_path: Path) -> None:
    unpacked.target = tmp_path / "missing" / "a"
    with pytest.raises(StorageFailed, match="missing/a can't be opened: No such file"):
        unpacked(packed("zstd", b"abc"))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    unpacked.target = tmp_path / "link"
    with pytest.raises(StorageFailed, match="link can't be opened: Too many levels"):
        unpacked(packed("zstd", b"abc"))
