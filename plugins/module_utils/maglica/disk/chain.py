# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's disks as files: headers inspected before anything reads them, and versions.

A disk may have been made by a stranger. Its format is the one that the definition states and is
never guessed; of qcow2 only what is harmless is accepted, so that no header can name a file of
this host.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Callable

from ..model.errors import ImageUnsupported, StorageFailed
from . import named_paths, qcow2
from .qcow2 import Header

RAW, QCOW2 = "raw", "qcow2"
# Of the qcow2 files that copies are, and how much is read at once to look for what is empty.
_CLUSTER, _READ = 1 << 16, 1 << 24
MAX_LAYERS = 32
# Of a path that leads to no file, to a drive that is empty or to a setting of the kernel's.
_NO_FILE = frozenset(
    {
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOMEDIUM,
        errno.ENOTDIR,
        errno.ENXIO,
    }
)
# As QEMU tells a name by which it would ask something else than the file system.
_PROTOCOL = re.compile(r"[^/:]*:")


@dataclass(frozen=True)
class Layer:
    """One file of a disk: ``size`` is what the guest sees, ``allocated`` what it takes, in bytes.

    A block device does not tell what of it is empty, so that nothing counts as allocated.
    ``identity`` changes whenever the file is written, replaced or moved; it is None for a block
    device, which does not show that. ``kept``: nobody writes to it, while libvirt lends it to the
    guests upon it.
    """

    path: str
    format: str
    size: int
    allocated: int
    identity: tuple[Any, ...] | None = None
    kept: bool = False


Chain = tuple[Layer, ...]


def inspect(
    path: str, disk_format: str, folders: Collection[str], kept: Collection[str] = ()
) -> Chain:
    """Return the disk's file and all its backing files, the top first.

    ``kept`` are the paths of files that nobody writes to.
    A backing file must have its format stated, and it must lie in one of ``folders`` or beside the
    top file, as must what a link in the top file's place leads to: a header or a link could
    otherwise name any file of this host. Beside a device are all others, so that only ``folders``
    count. Raises ImageUnsupported with the reason, StorageFailed when a file can't be read.
    """
    layers: list[Layer] = []
    allowed = {Path(os.path.realpath(folder)) for folder in folders}
    next_path: str | None = path
    next_format: str | None = disk_format
    unwritten = set(map(os.path.realpath, kept))
    while next_path is not None:
        if next_format not in (RAW, QCOW2):
            raise ImageUnsupported(_about(next_path, f"has the format {next_format!r:.40}"))
        if len(layers) >= MAX_LAYERS:
            raise ImageUnsupported(_about(path, f"has more than {MAX_LAYERS} layers, or a loop"))
        layer, header = _open(next_path, next_format, unwritten)
        if not layers and layer.identity is not None:
            allowed.add(Path(os.path.realpath(Path(path).parent)))
        if layer.identity is not None and Path(os.path.realpath(next_path)).parent not in allowed:
            raise ImageUnsupported(_about(path, "is a link that leads outside the storage pools"))
        layers.append(layer)
        if header is None or header.backing is None:
            return tuple(layers)
        next_format = header.backing_format
        next_path = _backing(layer, header, allowed)
    return tuple(layers)


def _open(path: str, disk_format: str, unwritten: Collection[str]) -> tuple[Layer, Header | None]:
    if not path.isprintable():
        # Also bytes that are no UTF-8: QEMU's JSON can't state such a name.
        raise ImageUnsupported(_about(repr(path), "has a name with characters that are not shown"))
    try:
        # Without O_NONBLOCK a pipe in the place of a disk would hold this process for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            is_block = stat.S_ISBLK(status.st_mode)
            if not is_block and not stat.S_ISREG(status.st_mode):
                raise ImageUnsupported(_about(path, "is neither a file nor a block device"))
            data = file.read(qcow2.HEAD) if disk_format == QCOW2 else b""
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise StorageFailed(f"disk {path} can't be read: {error.strerror}") from error
    if size > qcow2.MAX_SIZE:
        limit = f"{qcow2.MAX_SIZE >> 40} TiB"
        raise ImageUnsupported(_about(path, f"claims to have {size} bytes, more than {limit}"))
    kept = os.path.realpath(path) in unwritten
    identity = None if is_block else _identity(path, status, kept)
    allocated = 0 if is_block else status.st_blocks * 512
    if disk_format == RAW:
        return Layer(path, RAW, size, allocated, identity, kept), None
    try:
        header = qcow2.parse_header(data)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"disk {path} can't be used: {error}") from None
    if header is None:
        raise ImageUnsupported(_about(path, "is defined as qcow2, but has no qcow2 header"))
    return Layer(path, QCOW2, header.size, allocated, identity, kept), header


def _backing(layer: Layer, header: Header, allowed: Collection[Path]) -> str:
    name = header.backing or ""
    if header.backing_format is None:
        raise ImageUnsupported(
            _about(layer.path, "does not state the format of its backing file; qemu-img rebase can")
        )
    if _PROTOCOL.match(name):
        raise ImageUnsupported(_about(layer.path, "has a backing file that is not a local file"))
    # Path.resolve would raise for a loop of links.
    path = Path(os.path.realpath(Path(layer.path).parent / name))
    if path.parent not in allowed:
        raise ImageUnsupported(_about(layer.path, "has a backing file outside the storage pools"))
    return str(path)


def _about(path: str, problem: str) -> str:
    return f"disk {path} can't be used: it {problem}"


def _identity(path: str, status: os.stat_result, kept: bool) -> tuple[Any, ...]:
    # Not st_dev: the same file system may have another number the next time that it is mounted.
    written = (path, status.st_ino, status.st_size, status.st_mtime_ns)
    # The owner of what is below a guest's disk changes when that is started.
    return written if kept else (*written, status.st_ctime_ns)


def version(image_uuid: str, chains: Mapping[str, Chain]) -> str | None:
    """Return what names this state of an image's disks (SHA-256, hexadecimal).

    The same bytes are another disk where another format is stated. None when a disk is on a block
    device: that does not show whether it was written to, so no two states can be told to be the
    same.
    """
    if any(layer.identity is None for chain in chains.values() for layer in chain):
        return None
    files = [
        (target, [(layer.format, layer.identity) for layer in chain])
        for target, chain in chains.items()
    ]
    return hashlib.sha256(json.dumps([image_uuid, files]).encode()).hexdigest()


def source(chain: Sequence[Layer]) -> str:
    """Return QEMU's name for a disk with all its layers and formats stated, none to be guessed.

    QEMU takes no locks on them: who owns an image may start it while it is read, and whether that
    was done is found out afterwards.
    """
    node: dict[str, Any] | None = None
    for layer in reversed(chain):
        below = {"backing": node} if layer.format == QCOW2 else {}
        node = {**_node(layer), **below}
    return "json:" + json.dumps(node)


def top_source(layer: Layer) -> str:
    """Return QEMU's name for a disk by its first file, as in ``source``.

    What is below that is what its header says: a header that names a disk has no room for more.
    """
    return "json:" + json.dumps(_node(layer))


def _node(layer: Layer) -> dict[str, Any]:
    driver = "host_device" if layer.identity is None else "file"
    file = {"driver": driver, "filename": layer.path, "locking": "off"}
    return {"driver": layer.format, "file": file}


def again(chain: Chain) -> Chain:
    """Return the layers with the identities that their files have now. Raises StorageFailed."""
    return tuple(replace(layer, identity=_identity_now(layer)) for layer in chain)


def _identity_now(layer: Layer) -> tuple[Any, ...] | None:
    if layer.identity is None:
        return None
    try:
        return _identity(layer.path, Path(layer.path).stat(), layer.kept)
    except OSError as error:
        raise StorageFailed(f"disk {layer.path} can't be read: {error.strerror}") from error


def allocated_bytes(chain: Chain) -> int:
    """Return what a copy of a disk takes, in bytes, as far as its files tell without being read."""
    return min(chain[0].size, sum(layer.allocated for layer in chain))


def content_bytes(
    chain: Chain, room: int = qcow2.MAX_SIZE, alive: Callable[[], None] = lambda: None
) -> int:
    """Return what a copy of a disk takes, in bytes, having looked at the tables of all its files.

    What is compressed grows. A raw block device counts whole where it fits in ``room`` bytes; else
    it is read, until more than that is found in it. ``alive`` is called while that goes on. Raises
    ImageUnsupported for a file that is cut off or whose tables are damaged, StorageFailed when it
    can't be read.
    """
    found = 0
    for layer in chain:
        found += _content_bytes(layer, room - found, alive)
    return min(chain[0].size, found)


def _content_bytes(layer: Layer, room: int, alive: Callable[[], None]) -> int:
    is_block = layer.identity is None
    if layer.format == RAW and is_block:
        return layer.size if layer.size <= room else _filled_bytes(layer.path, room, alive)
    if layer.format == RAW:
        return layer.allocated
    with _qcow2(layer.path) as (file, header, length):
        usage = qcow2.scan(file, header, length, alive)
    # Clusters that were allocated ahead are holes in the file.
    return (usage.plain if is_block else min(usage.plain, layer.allocated)) + usage.compressed


def _filled_bytes(path: str, room: int, alive: Callable[[], None]) -> int:
    """Return how many bytes a copy's clusters take that are not all zeros, if not above ``room``.

    Reading stops as soon as it is more.
    """
    found = 0
    try:
        with Path(path).open("rb", buffering=0) as file:
            while found <= room and (data := file.read(_READ)):
                alive()
                if data != bytes(len(data)):
                    pieces = (data[at : at + _CLUSTER] for at in range(0, len(data), _CLUSTER))
                    found += sum(len(piece) for piece in pieces if piece.count(0) < len(piece))
    except OSError as error:
        raise StorageFailed(f"disk {path} can't be read: {error.strerror}") from error
    return found


def is_plain(layer: Layer, alive: Callable[[], None] = lambda: None) -> bool:
    """Tell whether it is a qcow2 file as this host makes them, with nothing compressed."""
    with _qcow2(layer.path) as (file, header, length):
        file.seek(0)
        is_plain = qcow2.is_plain(file.read(qcow2.HEAD))
        return is_plain and not qcow2.scan(file, header, length, alive).compressed


def is_untouched(path: str) -> bool:
    """Tell whether nobody wrote to a qcow2 disk. Raises ImageUnsupported, StorageFailed."""
    with _qcow2(path) as (file, header, length):
        return qcow2.is_untouched(file, header, length)


@contextmanager
def _qcow2(path: str) -> Iterator[tuple[BinaryIO, Header, int]]:
    """Open a qcow2 file; errors of the block name it, too."""
    try:
        with Path(path).open("rb") as file:
            header = qcow2.parse_header(file.read(qcow2.HEAD))
            length = file.seek(0, os.SEEK_END)
            if header is None:
                raise ImageUnsupported("it has no qcow2 header any more")
            yield file, header, length
    except ImageUnsupported as error:
        raise ImageUnsupported(f"disk {path} can't be used: {error}") from None
    except OSError as error:
        raise StorageFailed(f"disk {path} can't be read: {error.strerror}") from error


def has_snapshots(path: str) -> bool:
    """Tell whether a qcow2 file has snapshots inside. Raises StorageFailed."""
    try:
        with Path(path).open("rb") as file:
            return qcow2.snapshots(file.read(qcow2.HEAD)) > 0
    except OSError as error:
        raise StorageFailed(f"disk {path} can't be read: {error.strerror}") from error


def backing_of(path: str) -> str | None:
    """Return the path of the file that a disk's file builds upon, whatever else its header says.

    None for any other file, and for one that is gone. Raises StorageFailed when it can't be read.
    """
    return next(iter(backings_of(path)), None)


def backings_of(path: str) -> tuple[str, ...]:
    """Return the real paths of all files that a qcow2 or QED file names as what it builds upon.

    These are several where the name is QEMU's "json:" with all layers. None for any other file,
    and for one that is gone. Raises StorageFailed when it can't be read.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat would raise for some names
        # To open another device may act, as on a watchdog or a tape. What is empty is no disk, and
        # may be a file of the kernel's that loses what is read from it.
        if not stat.S_ISBLK(status.st_mode) and not (
            stat.S_ISREG(status.st_mode) and status.st_size
        ):
            return ()
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            place = qcow2.backing_name(file.read(qcow2.HEAD))
            if place is None:
                return ()
            offset, length = place
            file.seek(offset)
            name = file.read(length)
    except OSError as error:
        if error.errno in _NO_FILE:
            return ()
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from error
    if not name or b"\0" in name:
        return ()
    folder = os.path.realpath(Path(path).parent)
    named = named_paths.of_backing(os.fsdecode(name))
    return tuple(os.path.realpath(Path(folder) / each) for each in named)
