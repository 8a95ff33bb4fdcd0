# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that came as files from strangers: judged by their first bytes and their tables alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..model.errors import ImageUnsupported
from . import chain, files, qcow2, qemu_img
from .chain import QCOW2, RAW, Chain

_HEAD = 64 << 10
# What a file is that is neither of the two, where that is written in it, and how.
_OTHERS = (
    ("a VMDK", 0, b"KDMV"),
    ("a VMDK", 0, b"COWD"),
    ("a VMDK", 0, b"# Disk DescriptorFile"),
    ("a VHDX", 0, b"vhdxfile"),
    ("a VHD", 0, b"conectix"),
    ("a VDI", 0x40, b"\x7f\x10\xda\xbe"),
    ("a QED", 0, b"QED\0"),
    ("a tar archive", 257, b"ustar"),
    ("a zip archive", 0, b"PK\x03\x04"),
    ("packed by bzip2", 0, b"BZh"),
    ("packed by lz4", 0, b"\x04\x22\x4d\x18"),
    ("a page of a web site", 0, b"<!DOCTYPE html"),
    ("a page of a web site", 0, b"<html"),
)
# The image of a CD may start as a disk, too: then it has a master boot record.
_CD, _CD_AT, _MARK_AT, _MARK = b"CD001", 0x8001, 510, b"\x55\xaa"


@dataclass(frozen=True)
class Stranger:
    """A disk that can be taken: all its layers, which is one.

    ``is_plain``: it is as one that this host makes, and can be kept as it is. ``needed`` are the
    bytes that a copy of it takes.
    """

    chain: Chain
    is_plain: bool
    needed: int

    @property
    def size(self) -> int:
        """What a guest sees, in bytes."""
        return self.chain[0].size


def judge(path: str, said: str | None, alive: Callable[[], None]) -> Stranger:
    """Return what the disk in a file is; ``said`` is the format that it shall have, if any.

    Raises ImageUnsupported, StorageFailed.
    """
    head = files.head(path, _HEAD)
    kind = QCOW2 if head.startswith(qcow2.MAGIC) else RAW
    other = _other(head)
    if kind == RAW and other is not None:
        raise ImageUnsupported(f"it is {other}: taken are qcow2 and raw disks")
    if said not in (None, kind):
        raise ImageUnsupported(f"its disk is {kind}, not {said} as format says")
    header = qcow2.parse_header(head) if kind == QCOW2 else None
    if header is not None and header.backing is not None:
        raise ImageUnsupported(
            "its disk builds upon another file, which an image's must not: make it one file with"
            " qemu-img convert"
        )
    layers = chain.inspect(path, kind, ())
    if not layers[0].size:
        raise ImageUnsupported("its disk is empty")
    needed = chain.content_bytes(layers, alive=alive)
    # Where one is kept as it is, a vm may get all of it for its own and write to it.
    is_plain = kind == QCOW2 and chain.is_plain(layers[0], alive) and qemu_img.is_sound(path, alive)
    return Stranger(layers, is_plain, needed)


def _other(head: bytes) -> str | None:
    """Return what a file is that begins so; None if it may be a raw disk."""
    for what, at, mark in _OTHERS:
        if head[at : at + len(mark)].lower() == mark.lower():
            return what
    is_disk = head[_MARK_AT : _MARK_AT + 2] == _MARK
    if head[_CD_AT : _CD_AT + len(_CD)] == _CD and not is_disk:
        return "the image of a CD"
    return None
