# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on the web: sent slowly, cut off as planned, and some that are not what was asked for."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import lzma
import random
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.web_server import Handler, Site

MIB = 1 << 20
DISK_MIB = 4
NOISE_MIB = 1
# After each piece of a file that is sent, so that much can happen meanwhile.
PAUSE = 0.01
KINDS = ("qcow2", "raw", "raw.xz", "raw.gz", "qcow2.xz")
# Ways in which a server does not send what the checksum says; none of them may be accepted.
LIES = ("altered", "short", "altered behind a cut", "listed otherwise")
CUTS = ("closed", "reset", "busy")
# RFC 9110, section 15.6.4.
_BUSY = 503


@dataclass(frozen=True)
class File:
    """An image's file as a server has it; ``disk`` is the SHA-256 of the disk in it."""

    kind: str
    data: bytes
    disk: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass
class Source:
    """A file at an address, with the checksum to ask for; ``lie`` is how it is not that file."""

    url: str
    checksum: str
    file: File
    lie: str = ""
    cuts: list[str] = field(default_factory=list)


class Images:
    """The server's images; ``cut`` counts the connections that were cut, by the way of it."""

    def __init__(self, site: Site, folder: Path, choice: random.Random) -> None:
        self.files = [_file(folder, kind, choice) for kind in KINDS]
        self.cut: Counter[str] = Counter()
        self._site = site
        self._choice = choice
        self._numbers = itertools.count()

    def source(
        self, lie: str = "", cuts: int = 0, kind: str = "", unlike: File | None = None
    ) -> Source:
        """Put one of the files, or that of a kind, to an address of its own.

        It is ``unlike`` the one that an image is from: else there would be nothing to fetch.
        """
        number = next(self._numbers)
        file = self.files[KINDS.index(kind) if kind else number % len(self.files)]
        if file is unlike:
            file = self.files[(number + 1) % len(self.files)]
        url = f"/{number}/disk.{file.kind}"
        found = Source(self._site.url + url, f"sha256:{file.digest}", file, lie)
        found.cuts = self._choice.choices(CUTS, k=cuts)
        if lie == "altered behind a cut":
            found.cuts = ["closed"]
        if lie == "listed otherwise" or (not lie and number % 2):
            digest = hashlib.sha256(b"other").hexdigest() if lie else file.digest
            self._site.files[f"/{number}/SHA256SUMS"] = f"{digest}  disk.{file.kind}\n".encode()
            found.checksum = f"{self._site.url}/{number}/SHA256SUMS"
        self._site.answers[url] = self._answer(found, self._choice.uniform(0.2, 0.8))
        return found

    def _answer(self, source: Source, share: float) -> Callable[[Handler], None]:
        """Return what answers each time; a cut comes after this share of what is left to send."""
        times = itertools.count()

        def answer(handler: Handler) -> None:
            data = _told(source, next(times))
            if not source.cuts:
                handler.send_file(data, pause=PAUSE)
                return
            how = source.cuts.pop()
            self.cut[how] += 1
            if how == "busy":
                handler.send_error(_BUSY)
                return
            start = handler.asked_from(None)
            handler.send_file(data, upto=start + int((len(data) - start) * share), pause=PAUSE)
            if how == "reset":
                # A connection that is closed without lingering is reset: socket(7).
                off = struct.pack("ii", 1, 0)
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)
                handler.connection.close()

        return answer


def _told(source: Source, times: int) -> bytes:
    """Return what the server has for who asks after so many others."""
    data = source.file.data
    if source.lie == "short":
        return data[: len(data) * 2 // 3]
    if source.lie == "altered" or (source.lie == "altered behind a cut" and times):
        return data[:-100] + bytes([data[-100] ^ 0xFF]) + data[-99:]
    return data


def _file(folder: Path, kind: str, choice: random.Random) -> File:
    raw = folder / "disk.raw"
    disk = bytearray(DISK_MIB * MIB)
    # A boot loader, and one partition that has the rest.
    disk[0:2] = b"\xeb\x63"
    struct.pack_into("<B3sB3sII", disk, 446, 0x80, b"", 0x83, b"", 2048, len(disk) // 512 - 2048)
    disk[510:512] = b"\x55\xaa"
    noise = choice.randbytes(NOISE_MIB * MIB)
    disk[MIB : MIB + len(noise)] = noise
    raw.write_bytes(disk)
    form, _dot, packing = kind.partition(".")
    if form == "qcow2":
        made = folder / "disk.qcow2"
        # Nothing of it needs to outlive this run.
        words = ["qemu-img", "convert", "-t", "unsafe", "-f", "raw", "-O", form]
        subprocess.run([*words, str(raw), str(made)], check=True)
        raw = made
    data = raw.read_bytes()
    if packing == "xz":
        data = lzma.compress(data, preset=0)
    elif packing == "gz":
        data = gzip.compress(data, 1)
    return File(kind, data, hashlib.sha256(disk).hexdigest())
