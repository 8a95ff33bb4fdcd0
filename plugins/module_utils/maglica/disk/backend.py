# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage pool, and what each kind of storage must be able to do.

A kind of storage is one file beside this one, as files.py, and a line in the table of pools.py.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar

from ..domain.clone import DiskSource
from ..domain.metadata import OwnVolume
from ..model.errors import MaglicaError, NoRoom
from .chain import Chain, Layer
from .partitions import Patch
from .room import MIB, Room, gib


@dataclass(frozen=True)
class Pool(ABC):
    """An active storage pool of this host; ``free`` and ``capacity`` are in bytes.

    ``path`` is where libvirt says that its volumes are. ``shared`` is by what other hosts may see
    the same volumes, if they may.
    """

    name: str
    path: str
    free: int
    shared: str | None = None
    capacity: int = 0

    # The format of the volumes that are made in it, in QEMU's words, and how their names end.
    FORMAT: ClassVar[str]
    SUFFIX: ClassVar[str]
    # How the names of those end that hold a medium: the bytes of a cdrom, as they are.
    MEDIUM_SUFFIX: ClassVar[str]

    @classmethod
    @abstractmethod
    def read(cls, name: str, root: ET.Element) -> Pool | None:
        """Return the pool that libvirt defines by ``root``, as it is now.

        Raises StorageFailed.
        """

    @abstractmethod
    def room(self) -> Room:
        """Return what room it has now; none if that can't be found out."""

    @abstractmethod
    def listed(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
        """Yield path and allocated bytes of each volume whose name is wanted.

        What can't be read is passed over.
        """

    @abstractmethod
    def volume(self, target: str, stem: str) -> OwnVolume:
        """Return the volume that a disk is to get; ``stem`` is one of volumes.py."""

    @abstractmethod
    def medium(self, target: str, stem: str) -> OwnVolume:
        """Return the volume that a cdrom's medium is to get."""

    @abstractmethod
    def scratch(self, name: str) -> str:
        """Return where a file of that name may be made, which can become a volume (``take``)."""

    @abstractmethod
    def take(self, volume: OwnVolume, path: str) -> None:
        """Make a volume of the file ``path``, one of ``scratch``, that has the volumes' format.

        It is moved, not copied. Raises StorageFailed.
        """

    @abstractmethod
    def write_medium(self, connection: Any, volume: OwnVolume, content: bytes) -> None:
        """Make a volume of these bytes, as well protected as those of disks.

        It is on the disk when this returns. Raises NoRoom or StorageFailed.
        """

    @abstractmethod
    def check_free(self, volume: OwnVolume) -> None:
        """Raise StorageFailed if something is where a volume is to be made.

        Ask before that is announced: what is announced is removed by an undo.
        """

    @abstractmethod
    def blank(self, connection: Any, volume: OwnVolume, size: int) -> None:
        """Make a volume of a blank disk of ``size`` bytes, which takes no room until it is written
        to. Raises NoRoom or StorageFailed.
        """

    @abstractmethod
    def overlay(self, connection: Any, volume: OwnVolume, base: Chain) -> None:
        """Make a volume that builds upon a base's disk. Raises NoRoom or StorageFailed."""

    @abstractmethod
    def copy(
        self,
        connection: Any,
        volume: OwnVolume,
        base: Chain,
        state_dir: Path,
        alive: Callable[[], None],
    ) -> None:
        """Make a volume that is a full copy of a base's disk, on the disk when this returns.

        ``alive`` is called whenever there was progress, of this copy or of those that it waits for:
        ``state_dir`` is where it is kept how many there are. Raises NoRoom, StorageFailed or
        JournalFailed.
        """

    @abstractmethod
    def copy_image(
        self,
        connection: Any,
        volume: OwnVolume,
        image: Chain,
        changes: Layer | None,
        alive: Callable[[], None],
    ) -> None:
        """Make a volume of a base: a copy of an image's disk, with what ``changes`` has instead.

        It is on the disk when this returns. Raises NoRoom, StorageFailed, or ImageUnsupported for
        an image's disk that is damaged.
        """

    @abstractmethod
    def head(self, base: Chain, length: int) -> bytes:
        """Return the first ``length`` bytes of a base's disk, fewer of a shorter one.

        Raises StorageFailed.
        """

    @abstractmethod
    def grow(self, volume: OwnVolume, size: int, patches: Sequence[Patch]) -> None:
        """Let the disk of a volume have ``size`` bytes, no fewer than before, and write to it.

        All is on the disk when this returns. Raises NoRoom or StorageFailed.
        """

    @staticmethod
    @abstractmethod
    def map_of(path: str) -> list[tuple[int, int, int]]:
        """Return what of the disk of the volume at a path lies in a file there, in bytes.

        Each piece is where it begins on the disk, where in the file, and its length. Nothing
        for a volume that is no file, or is in too many pieces. Raises StorageFailed.
        """

    @abstractmethod
    def protect(self, volume: OwnVolume) -> None:
        """Let nobody write to a base's volume any more, by mistake. Raises StorageFailed."""

    @abstractmethod
    def lay_over(self, volume: OwnVolume, image: Layer) -> None:
        """Make a throw-away overlay of an image's disk, which is not opened.

        Raises NoRoom or StorageFailed.
        """

    @abstractmethod
    def source(self, volume: OwnVolume) -> DiskSource:
        """Return what the definition of a vm says of a disk's volume."""

    @abstractmethod
    def medium_source(self, volume: OwnVolume) -> DiskSource:
        """Return what the definition of a vm says of a medium's volume."""

    @staticmethod
    @abstractmethod
    def is_own(volume: OwnVolume, path: str | None) -> bool:
        """Tell whether a volume that Maglica made is there still.

        ``path`` is where libvirt says that the volume of that name is now; None if there is none.
        Raises NotOwn for what can't be shown to be that volume, StorageFailed.
        """

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an error of the block, which writes to the pool, into NoRoom when that is full.

        A full disk stops an appliance, which then looks like one that hangs.
        """
        try:
            yield
        except MaglicaError as error:
            free = self.room().free
            if isinstance(error, NoRoom) or free < MIB:
                raise NoRoom(f"pool {self.name} has {gib(free)} GiB free: {error}") from error
            raise
