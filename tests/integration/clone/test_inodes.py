# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes written into inodes of file systems that their own tools made, and judge."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from pathlib import Path

import pytest
from maglica.guest import inodes
from support import volumes

MIB = 1 << 20
SIZE = 3000
KINDS = {
    "ext4": ("ext4", 24, ("-b", "4096")),
    "ext4 with a seed": ("ext4", 24, ("-b", "4096", "-O", "metadata_csum_seed")),
    "ext4 of 32 bits": ("ext4", 24, ("-b", "4096", "-O", "^64bit")),
    "ext4 with small inodes": ("ext4", 24, ("-b", "4096", "-I", "128")),
    "ext4 without checksums": ("ext4", 24, ("-b", "4096", "-O", "^metadata_csum")),
    "ext4 in clusters": ("ext4", 24, ("-b", "4096", "-O", "bigalloc")),
    "ext4 in groups": ("ext4", 64, ("-b", "4096", "-g", "4096", "-O", "^flex_bg")),
    "ext3": ("ext3", 24, ("-b", "4096")),
    "xfs": ("xfs", 320, ()),
    "xfs with large inodes": ("xfs", 320, ("-i", "size=1024")),
}


class Part:
    """A file system in a file, and the inode number of its file ``name``."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind

    def read(self, offset: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), length, offset)

    def place(self, content: bytes) -> int:
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as all_:
            return all_.find(content)

    def number(self, name: str) -> int:
        if self.kind == "xfs":
            told = self._told("xfs_db", "-r", "-c", f"path {name}", "-c", "inode", str(self.path))
            return int(told.rsplit(maxsplit=1)[-1])
        told = self._told("debugfs", "-R", f"stat {name}", str(self.path))
        return int(told.split()[1])

    def text(self, name: str, folder: Path) -> bytes:
        folder.mkdir()
        options = "ro,loop,norecovery" if self.kind == "xfs" else "ro,loop"
        subprocess.run(["mount", "-o", options, str(self.path), str(folder)], check=True)
        try:
            return (folder / name.lstrip("/")).read_bytes()
        finally:
            subprocess.run(["umount", str(folder)], check=True)

    @staticmethod
    def _told(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    for number in range(300):
        (made / f"file{number}").write_bytes(b"x" * SIZE)
    (made / "large").write_bytes(b"x" * 5000)
    (made / "linked").write_bytes(b"x" * SIZE)
    (made / "again").hardlink_to(made / "linked")
    return made


@pytest.mark.parametrize("name", KINDS)
def test_a_file_takes_another_size(name: str, tree: Path, tmp_path: Path) -> None:
    kind, mib, options = KINDS[name]
    part = Part(volumes.make(tmp_path / "part", kind, mib * MIB, tree, options), kind)
    for path, size in {"/file7": 5, "/file299": 4096, "/file150": 0}.items():
        number = part.number(path)
        assert inodes.find(part.read, number, SIZE + 1) is None
        found = inodes.find(part.read, number, SIZE)
        assert found is not None
        at = part.place(bytes.fromhex(found.content))
        assert part.read(at - found.distance, SIZE) == b"x" * SIZE
        with part.path.open("r+b") as file:
            file.seek(at)
            file.write(inodes.resized(found, size))
            file.seek(at - found.distance)
            file.write(b"y" * size + bytes(4096 - size))
    assert volumes.problems(part.path, kind) == ""
    assert part.text("/file7", tmp_path / "a") == b"yyyyy"
    assert part.text("/file299", tmp_path / "b") == b"y" * 4096
    assert part.text("/file150", tmp_path / "c") == b""
    assert part.text("/file8", tmp_path / "d") == b"x" * SIZE


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_another_size_would_break_is_left_alone(kind: str, tree: Path, tmp_path: Path) -> None:
    _kind, mib, options = KINDS[kind]
    part = Part(volumes.make(tmp_path / "part", kind, mib * MIB, tree, options), kind)
    assert inodes.find(part.read, part.number("/large"), 5000) is None
    assert inodes.find(part.read, part.number("/"), 4096) is None
    assert inodes.find(lambda _offset, length: bytes(length), 12, SIZE) is None
    assert inodes.find(lambda _offset, _length: b"", 12, SIZE) is None


def test_small_blocks_in_clusters(tree: Path, tmp_path: Path) -> None:
    (tree / "small").write_bytes(b"z" * 700)
    options = ("-b", "1024", "-O", "bigalloc")
    part = Part(volumes.make(tmp_path / "part", "ext4", 24 * MIB, tree, options), "ext4")
    found = inodes.find(part.read, part.number("/small"), 700)
    assert found is not None
    at = part.place(bytes.fromhex(found.content))
    assert part.read(at - found.distance, 700) == b"z" * 700


def test_places_that_no_device_has_are_left_alone(tree: Path, tmp_path: Path) -> None:
    part = Part(volumes.make(tmp_path / "part", "ext4", 24 * MIB, tree, ("-b", "4096")), "ext4")
    with part.path.open("r+b") as file:
        # An attacker's ext4 with what looks like a superblock of XFS in front of its own.
        file.write(struct.pack(">4sI76xIxx14xH17xBB", b"XFSB", 65536, 0xFFFFFFFF, 256, 0, 0))
    assert inodes.find(part.read, 40_000, SIZE) is None
    with part.path.open("r+b") as file:
        file.write(bytes(1024))
        # The place of the inodes of its first group, beyond 2**63.
        file.seek(4096 + 40)
        file.write(b"\xff" * 4)
    assert inodes.find(part.read, 12, SIZE) is None


def test_a_checksum_that_is_made_otherwise_is_left_alone(tree: Path, tmp_path: Path) -> None:
    part = Part(volumes.make(tmp_path / "part", "ext4", 24 * MIB, tree, ("-b", "4096")), "ext4")
    number = part.number("/file7")
    found = inodes.find(part.read, number, SIZE)
    assert found is not None
    at = part.place(bytes.fromhex(found.content))
    with part.path.open("r+b") as file:
        file.seek(at + 124)
        file.write(b"\0\0")
    assert inodes.find(part.read, number, SIZE) is None
