# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools whose volumes are qcow2 files in a folder of this host."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar

from .._deps import need
from ..domain.clone import DiskSource
from ..domain.metadata import OwnVolume
from ..libvirtd import local
from ..model.errors import NoRoom, NotOwn, StorageFailed
from . import copies, mounts, qemu_img, qemu_io
from .backend import Pool
from .chain import QCOW2, RAW, Chain, Layer
from .partitions import Patch
from .room import Room

_NO_SPACE = "No space left on device"
_READ_ONLY = 0o400


@dataclass(frozen=True)
class FilePool(Pool):
    """A pool whose volumes are files in the folder ``path``."""

    FORMAT: ClassVar[str] = QCOW2
    SUFFIX: ClassVar[str] = ".qcow2"
    MEDIUM_SUFFIX: ClassVar[str] = ".iso"

    @classmethod
    def read(cls, name: str, root: ET.Element) -> FilePool | None:
        path = root.findtext("target/path")
        if not path:
            return None
        # libvirt's own figures are from the pool's last refresh.
        room = mounts.room(path)
        return cls(name, path, room.free, _shared(root, path), room.capacity)

    def room(self) -> Room:
        return mounts.room(self.path)

    def listed(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
        return named(self.path, wanted)

    def volume(self, target: str, stem: str) -> OwnVolume:
        return self._named(target, f"{stem}{self.SUFFIX}")

    def medium(self, target: str, stem: str) -> OwnVolume:
        return self._named(target, f"{stem}{self.MEDIUM_SUFFIX}")

    def _named(self, target: str, name: str) -> OwnVolume:
        return OwnVolume(target, self.name, name, str(Path(self.path) / name))

    def check_free(self, volume: OwnVolume) -> None:
        check_free(volume.path)

    def scratch(self, name: str) -> str:
        return str(Path(self.path) / name)

    def take(self, volume: OwnVolume, path: str) -> None:
        try:
            # A link, unlike a new name, replaces no file.
            os.link(path, volume.path)
            os.unlink(path)  # noqa: PTH108 - beside os.link
        except OSError as error:
            text = f"{path} can't become {volume.path}: {error.strerror}"
            raise StorageFailed(text) from error

    def create(
        self, connection: Any, volume: OwnVolume, size: int, backing: Layer | None = None
    ) -> None:
        """Make a sparse volume of ``size`` bytes, upon the file of ``backing`` if there is one.

        Nothing is ever replaced: a file of that name is somebody's. Raises NoRoom, StorageFailed.
        """
        self._make(connection, volume, _definition(volume.name, size, QCOW2, backing))

    def _make(self, connection: Any, volume: OwnVolume, xml: str) -> None:
        libvirt = need("libvirt")
        try:
            connection.storagePoolLookupByName(self.name).createXML(xml)
        except libvirt.libvirtError as error:
            failure = local.kind_of(error, NoRoom if _NO_SPACE in str(error) else StorageFailed)
            text = f"volume {volume.name} can't be made in pool {self.name}: {error}"
            raise failure(text) from error

    def write_medium(self, connection: Any, volume: OwnVolume, content: bytes) -> None:
        # libvirt makes it for root alone, and lets QEMU's user read it while the vm runs.
        self._make(connection, volume, _definition(volume.name, len(content), RAW, None))
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(volume.path, flags), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            failure = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFailed
            raise failure(f"{volume.path} can't be written: {error.strerror}") from error

    def blank(self, connection: Any, volume: OwnVolume, size: int) -> None:
        self.create(connection, volume, size)

    def overlay(self, connection: Any, volume: OwnVolume, base: Chain) -> None:
        self.create(connection, volume, base[0].size, base[0])

    def copy(
        self,
        connection: Any,
        volume: OwnVolume,
        base: Chain,
        state_dir: Path,
        alive: Callable[[], None],
    ) -> None:
        self.create(connection, volume, base[0].size)
        with self.explained():
            copies.copy(base, volume.path, self.name, state_dir, alive)

    def copy_image(
        self,
        connection: Any,
        volume: OwnVolume,
        image: Chain,
        changes: Layer | None,
        alive: Callable[[], None],
    ) -> None:
        self.create(connection, volume, image[0].size)
        with self.explained():
            qemu_img.copy(image, volume.path, alive, changes)

    def head(self, base: Chain, length: int) -> bytes:
        return qemu_img.head(base[0], length)

    def grow(self, volume: OwnVolume, size: int, patches: Sequence[Patch]) -> None:
        with self.explained():
            qemu_io.grow(volume.path, self.FORMAT, size, patches)

    @staticmethod
    def map_of(path: str) -> list[tuple[int, int, int]]:
        return qemu_img.map_of(path)

    def protect(self, volume: OwnVolume) -> None:
        try:
            Path(volume.path).chmod(_READ_ONLY)
        except OSError as error:
            text = f"base {volume.path} can't be made read-only: {error.strerror}"
            raise StorageFailed(text) from error

    def lay_over(self, volume: OwnVolume, image: Layer) -> None:
        qemu_img.lay_over(image, volume.path)

    def source(self, volume: OwnVolume) -> DiskSource:
        return DiskSource(volume.path, self.FORMAT, volume.pool, volume.name)

    def medium_source(self, volume: OwnVolume) -> DiskSource:
        return DiskSource(volume.path, RAW, volume.pool, volume.name)

    @staticmethod
    def is_own(volume: OwnVolume, path: str | None) -> bool:
        if path is not None and not _is_same_entry(path, volume.path):
            raise NotOwn(
                f"volume {volume.name} of pool {volume.pool} is {path} now, and was made as"
                f" {volume.path}: put the pool back, or remove by hand what is yours to remove"
            )
        if is_there(volume.path) and path is None:
            raise NotOwn(f"{volume.path} is in storage pool {volume.pool} no more")
        return path is not None


def _shared(root: ET.Element, path: str) -> str | None:
    """Return by what other hosts may see the files of a pool of that definition; None if not."""
    if root.get("type") == "netfs":
        source = root.find("source/format")
        return "nfs" if source is None else source.get("type", "nfs")
    return mounts.shared_kind(path)


def _definition(name: str, size: int, kind: str, backing: Layer | None) -> str:
    volume = ET.Element("volume")
    ET.SubElement(volume, "name").text = name
    ET.SubElement(volume, "capacity", unit="bytes").text = str(size)
    ET.SubElement(volume, "allocation", unit="bytes").text = "0"
    target = ET.SubElement(volume, "target")
    ET.SubElement(target, "format", type=kind)
    if kind == QCOW2:
        ET.SubElement(target, "compat").text = "1.1"
    if backing is not None:
        store = ET.SubElement(volume, "backingStore")
        ET.SubElement(store, "path").text = backing.path
        ET.SubElement(store, "format", type=backing.format)
    return ET.tostring(volume, encoding="unicode")


def _is_same_entry(one: str, other: str) -> bool:
    """Tell whether two paths are of one directory entry."""
    return Path(one).name == Path(other).name and os.path.realpath(
        Path(one).parent
    ) == os.path.realpath(Path(other).parent)


def check_free(path: str) -> None:
    """Raise StorageFailed if something is where a file is to be made."""
    if os.path.lexists(path):
        raise StorageFailed(f"{path} is there already, and Maglica does not replace it")


def head(path: str, length: int) -> bytes:
    """Return the first bytes of a file. Raises StorageFailed."""
    try:
        with Path(path).open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise StorageFailed(f"{path} can't be read: {error.strerror}") from error


def is_there(path: str) -> bool:
    """Tell whether a file is there; raises NotOwn for what is no file that Maglica makes."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageFailed(f"{path} can't be looked at: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kind = "a link" if stat.S_ISLNK(mode) else "no file"
        raise NotOwn(f"{path} is {kind} now, which Maglica did not make")
    return True


def remove(path: str) -> None:
    """Remove a file; that it is not there is no error. Raises StorageFailed."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"{path} can't be removed: {error.strerror}") from error


def taken(path: str) -> int:
    """Return what a file takes on its disk, in bytes; 0 when it is not there."""
    try:
        return Path(path).stat().st_blocks * 512
    except OSError:
        return 0


def named(folder: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
    """Yield the path and what it takes on its disk, in bytes, of each file whose name is wanted.

    What can't be read is passed over.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # a pool that is away
        for entry in entries:
            with contextlib.suppress(OSError):  # a file that has gone since
                if wanted(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_blocks * 512


def every(folder: str) -> Iterator[str]:
    """Yield the paths of all files in a pool's folder, none if it is gone. Raises StorageFailed."""
    try:
        with os.scandir(folder) as entries:
            # A link may lead to a file, a device or nowhere.
            yield from (entry.path for entry in entries if not entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageFailed(
            f"the folder {folder} of a storage pool can't be read: {error.strerror}"
        ) from error
