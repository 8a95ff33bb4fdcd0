# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workshop for disks: a pool to make them in, and a file of the host that is none of theirs."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
CLUSTER = 1 << 16
# The program itself, also where a script in the PATH notes the calls of the worker.
QEMU_IMG = shutil.which("qemu-img") or "qemu-img"


@dataclass(frozen=True)
class Disk:
    """A disk as a definition states it. ``content``: what the guest sees of a good one.

    ``named``: what the refusal of a bad one must name; by default its path.
    """

    path: Path
    format: str = "qcow2"
    content: bytes | None = None
    kind: str = "file"
    named: str | None = None


Maker = Callable[["Workshop"], Disk]


class Workshop:
    """``pool`` and ``other`` are storage pools, ``secret`` is a file of the host outside both."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - it must be repeatable
        self.pool, self.other, self.host = (folder / name for name in ("pool", "other", "host"))
        for path in (self.pool, self.other, self.host):
            path.mkdir(parents=True)
        self.token = self.random.randbytes(24).hex().encode()
        self.secret = self.host / "secret"
        # Long enough to fill whole clusters of any image that leads to it.
        self.secret.write_bytes(self.token * (3 * MIB // len(self.token)))

    def run(self, *command: object) -> None:
        subprocess.run([str(word) for word in command], check=True, capture_output=True)

    def bytes(self, size: int = 3 * MIB) -> bytes:
        """Return a disk's content: random parts, parts that compress well, and holes."""
        data = bytearray(size)
        for _part in range(12):
            start = self.random.randrange(0, size)
            piece = self.random.randbytes(self.random.randrange(1, 90_000))
            if self.random.random() < 0.4:
                piece = piece[:40] * (len(piece) // 40 + 1)
            data[start : start + len(piece)] = piece[: size - start]
        return bytes(data)

    def raw(self, content: bytes, name: str = "disk.raw") -> Path:
        """Write a raw disk whose holes are holes."""
        path = self.pool / name
        with path.open("wb") as file:
            for start in range(0, len(content), 4096):
                piece = content[start : start + 4096]
                if piece.strip(b"\0"):
                    file.seek(start)
                    file.write(piece)
            file.truncate(len(content))
        return path

    def convert(
        self, content: bytes, *options: str, name: str = "disk", kind: str = "qcow2"
    ) -> Path:
        """Make a disk of ``kind`` with that content."""
        source, path = self.raw(content, "source.raw"), self.pool / name
        self.run(QEMU_IMG, "convert", "-f", "raw", "-O", kind, *options, source, path)
        source.unlink()
        return path

    def overlay(self, backing: Path | str, kind: str, *options: object, name: str = "disk") -> Path:
        """Make a qcow2 file upon ``backing``, without looking at that."""
        path = self.pool / name
        command = [QEMU_IMG, "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", kind]
        self.run(*command, *options, path, 3 * MIB)
        return path

    def write(self, path: Path, content: bytes, start: int, size: int, byte: int) -> bytes:
        """Let the guest write to its qcow2 disk; return the content that it then has."""
        self.run("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {start} {size}", path)
        return content[:start] + bytes([byte]) * size + content[start + size :]


def patched(path: Path, offset: int, form: str, *values: object) -> Path:
    """Write values of struct's big-endian ``form`` into a file at ``offset``."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f">{form}", *values))
    return path


def number(path: Path, offset: int, form: str = "Q") -> int:
    """Return the big-endian number at ``offset`` of a file."""
    size = struct.calcsize(form)
    (value,) = struct.unpack(f">{form}", path.read_bytes()[offset : offset + size])
    return int(value)


def first_table(path: Path) -> int:
    """Return where the first L2 table of a qcow2 file is."""
    return number(path, number(path, 40)) & 0x00FFFFFFFFFFFE00


def json_name(path: Path) -> str:
    return "json:" + json.dumps(
        {"driver": "raw", "file": {"driver": "file", "filename": str(path)}}
    )
