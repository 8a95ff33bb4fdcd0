# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's disks as files: headers inspected before anything reads them, and versions.

A disk may have been made by a stranger. Its format is the one that the definition states and is
never guessed; of qcow2 only what is harmless is accepted, so that no header can name a file of
this host. The format is that of QEMU's docs/interop/qcow2.rst.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ImageUnsupported, StorageFailed

RAW, QCOW2 = "raw", "qcow2"
MAX_LAYERS = 32
_MAGIC = b"QFI\xfb"
# magic, version, backing offset and size, cluster bits, size, encryption method
_V2 = struct.Struct(">4sIQIIQI")
_V2_LENGTH, _V3_LENGTH = 72, 104
_INCOMPATIBLE = struct.Struct(">Q")  # at byte 72 of version 3
_HEADER_LENGTH = struct.Struct(">I")  # at byte 100 of version 3
_EXTENSION = struct.Struct(">II")
_BACKING_FORMAT, _DATA_FILE, _ENCRYPTION = 0xE2792ACA, 0x44415441, 0x0537BE77
_MAX_BACKING = 1023
_CORRUPT, _EXTERNAL_DATA = 1 << 1, 1 << 2
# Dirty, compression type and extended L2 entries change nothing in what a reader may do.
_HARMLESS = 1 << 0 | 1 << 3 | 1 << 4
_READ = 64 * 1024
_PROTOCOL = re.compile(r"[A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class Header:
    """What a qcow2 header says; ``backing`` is the name that it has of its backing file."""

    size: int
    backing: str | None = None
    backing_format: str | None = None


@dataclass(frozen=True)
class Layer:
    """One file of a disk: ``size`` is what the guest sees, ``allocated`` what it takes, in bytes.

    ``identity`` changes whenever the file is written, replaced or moved; it is None for a block
    device, which does not show that.
    """

    path: str
    format: str
    size: int
    allocated: int
    identity: tuple[Any, ...] | None = None


Chain = tuple[Layer, ...]


def parse_header(data: bytes) -> Header | None:
    """Return what the qcow2 header at the start of ``data`` says; None if there is none.

    ``data`` should be a file's first 64 KiB, or all of it. Raises ImageUnsupported for what is
    damaged, encrypted, split over several files or unknown.
    """
    if len(data) < _V2_LENGTH or not data.startswith(_MAGIC):
        return None
    _other, version, offset, length, cluster_bits, size, encrypted = _V2.unpack_from(data)
    if version not in (2, 3) or not 9 <= cluster_bits <= 21 or size >= 1 << 62:
        raise ImageUnsupported(f"its qcow2 header is damaged or of a new version ({version})")
    if encrypted:
        raise ImageUnsupported("it is encrypted")
    start = _V2_LENGTH if version == 2 else _check_version_3(data)
    extensions = _extensions(data, start, offset or min(len(data), 1 << cluster_bits))
    if _DATA_FILE in extensions or _ENCRYPTION in extensions:
        raise ImageUnsupported("it keeps its data in another file, or is encrypted")
    if not offset:
        return Header(size)
    name = data[offset : offset + length]
    if not 0 < length <= _MAX_BACKING or len(name) != length or b"\0" in name:
        raise ImageUnsupported("the name of its backing file is damaged")
    return Header(size, os.fsdecode(name), extensions.get(_BACKING_FORMAT))


def _check_version_3(data: bytes) -> int:
    """Return where the header of version 3 ends."""
    if len(data) < _V3_LENGTH:
        raise ImageUnsupported("its qcow2 header is cut off")
    (features,) = _INCOMPATIBLE.unpack_from(data, 72)
    if features & _CORRUPT:
        raise ImageUnsupported("it is marked as corrupt: repair it with qemu-img check -r")
    if features & _EXTERNAL_DATA:
        raise ImageUnsupported("it keeps its data in another file")
    if features & ~_HARMLESS:
        raise ImageUnsupported(f"it has unknown qcow2 features ({features & ~_HARMLESS:#x})")
    (length,) = _HEADER_LENGTH.unpack_from(data, 100)
    if not _V3_LENGTH <= length <= 4096 or length % 8:
        raise ImageUnsupported("its qcow2 header is damaged")
    return int(length)


def _extensions(data: bytes, start: int, end: int) -> dict[int, str]:
    found: dict[int, str] = {}
    while start + _EXTENSION.size <= min(end, len(data)):
        kind, length = _EXTENSION.unpack_from(data, start)
        if kind == 0:
            break
        start += _EXTENSION.size
        if length > end - start:
            raise ImageUnsupported("its qcow2 header is damaged")
        found[kind] = data[start : start + length].decode("ascii", "replace")
        start += -(-length // 8) * 8
    return found


def inspect(path: str, disk_format: str, folders: Collection[str]) -> Chain:
    """Return the disk's file and all its backing files, the top first.

    A backing file must have its format stated and lie in one of ``folders`` or beside the top
    file: a header could otherwise name any file of this host. Raises ImageUnsupported with the
    reason, StorageFailed when a file can't be read.
    """
    layers: list[Layer] = []
    allowed = {Path(os.path.realpath(folder)) for folder in folders}
    allowed.add(Path(os.path.realpath(path)).parent)
    next_path: str | None = path
    next_format: str | None = disk_format
    while next_path is not None:
        if next_format not in (RAW, QCOW2):
            raise ImageUnsupported(_about(next_path, f"has the format {next_format!r:.40}"))
        if len(layers) >= MAX_LAYERS:
            raise ImageUnsupported(_about(path, f"has more than {MAX_LAYERS} layers, or a loop"))
        layer, header = _open(next_path, next_format)
        layers.append(layer)
        if header is None or header.backing is None:
            return tuple(layers)
        next_format = header.backing_format
        next_path = _backing(layer, header, allowed)
    return tuple(layers)


def _open(path: str, disk_format: str) -> tuple[Layer, Header | None]:
    try:
        # Without O_NONBLOCK a pipe in the place of a disk would hold this process for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            is_block = stat.S_ISBLK(status.st_mode)
            if not is_block and not stat.S_ISREG(status.st_mode):
                raise ImageUnsupported(_about(path, "is neither a file nor a block device"))
            data = file.read(_READ) if disk_format == QCOW2 else b""
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise StorageFailed(f"disk {path} can't be read: {error.strerror}") from error
    identity = None if is_block else _identity(path, status)
    allocated = size if is_block else status.st_blocks * 512
    if disk_format == RAW:
        return Layer(path, RAW, size, allocated, identity), None
    try:
        header = parse_header(data)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"disk {path} can't be used: {error}") from None
    if header is None:
        raise ImageUnsupported(_about(path, "is defined as qcow2, but has no qcow2 header"))
    return Layer(path, QCOW2, header.size, allocated, identity), header


def _backing(layer: Layer, header: Header, allowed: Collection[Path]) -> str:
    name = header.backing or ""
    if header.backing_format is None:
        raise ImageUnsupported(
            _about(layer.path, "does not state the format of its backing file; qemu-img rebase can")
        )
    if _PROTOCOL.match(name):
        raise ImageUnsupported(_about(layer.path, "has a backing file that is no local file"))
    # Path.resolve would raise for a loop of links.
    path = Path(os.path.realpath(Path(layer.path).parent / name))
    if path.parent not in allowed:
        raise ImageUnsupported(_about(layer.path, "has a backing file outside the storage pools"))
    return str(path)


def _about(path: str, problem: str) -> str:
    return f"disk {path} can't be used: it {problem}"


def _identity(path: str, status: os.stat_result) -> tuple[Any, ...]:
    return (
        path,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def version(image_uuid: str, chains: Mapping[str, Chain]) -> str | None:
    """Return what names this state of an image's disks (SHA-256, hexadecimal).

    None when a disk is on a block device: that does not show whether it was written to, so no
    two states can be told to be the same.
    """
    files = [(target, [layer.identity for layer in chain]) for target, chain in chains.items()]
    if any(identity is None for _other, identities in files for identity in identities):
        return None
    return hashlib.sha256(json.dumps([image_uuid, files]).encode()).hexdigest()


def source(chain: Sequence[Layer]) -> str:
    """Return QEMU's name for a disk with all its layers and formats stated, none to be guessed."""
    node: dict[str, Any] | None = None
    for layer in reversed(chain):
        is_block = layer.identity is None
        file = {"driver": "host_device" if is_block else "file", "filename": layer.path}
        below = {"backing": node} if layer.format == QCOW2 else {}
        node = {"driver": layer.format, "file": file, **below}
    return "json:" + json.dumps(node)


def again(chain: Chain) -> Chain:
    """Return the layers with the identities that their files have now. Raises StorageFailed."""
    return tuple(replace(layer, identity=_identity_now(layer)) for layer in chain)


def _identity_now(layer: Layer) -> tuple[Any, ...] | None:
    if layer.identity is None:
        return None
    try:
        return _identity(layer.path, Path(layer.path).stat())
    except OSError as error:
        raise StorageFailed(f"disk {layer.path} can't be read: {error.strerror}") from error


def backing_of(path: str) -> str | None:
    """Return the path that a qcow2 file names as its backing file, whatever else its header says.

    None for any other file, and for one that is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            head = file.read(_V2.size)
            if len(head) < _V2.size or not head.startswith(_MAGIC):
                return None
            _magic, _version, offset, length, *_rest = _V2.unpack(head)
            if not 0 < offset < _READ * 32:
                return None
            file.seek(offset)
            name = file.read(min(length, _MAX_BACKING))
    except OSError:
        return None
    if not name or b"\0" in name:
        return None
    return os.path.realpath(Path(path).parent / os.fsdecode(name))
