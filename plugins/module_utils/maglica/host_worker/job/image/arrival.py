# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that an image is made of, on its way: brought here, its checksum checked, unpacked.

It lies in the folder of the pool that the image will be in: there is its room, and what is moved
from there is not copied. A stranger may have made it, so that nothing looks at it before its
checksum is right, and its disk is judged by its first bytes and tables alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....disk import files, pools, strangers, volumes
from ....disk.backend import Pool
from ....disk.room import OVERLAY_BYTES, gib
from ....disk.strangers import Stranger
from ....image.checksum import Checksum
from ....model.errors import (
    ChecksumDiffers,
    ImageUnsupported,
    NoRoom,
)
from ....model.image import image_uuid
from ....model.request import Request
from ....system import download, local_file, unpack
from ....verbs.add_image import AddImageSpec
from ...journal.intents import Effect
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext

# What a pool keeps free for the vms that are in it already.
RESERVE = OVERLAY_BYTES
# That of a file whose checksum nobody has said.
ALGORITHM = "sha256"


class Arrival:
    """What a request brings to this host, in one pool.

    ``pool`` is the one that an earlier try has begun in, or the one that is named, or that with
    most room. Raises StorageFailed, NoRoom.
    """

    def __init__(self, request: Request, spec: AddImageSpec, context: JobContext) -> None:
        self._request = request
        self._spec = spec
        self._context = context
        uuid = image_uuid(request.id)
        known = pools.pools(context.connect(), context.settings.pools)
        announced = context.journal.intents(request.id)
        begun = {each.data["path"] for each in announced if each.kind is Effect.FETCH}
        parts = {pool.scratch(volumes.of_fetch(uuid)): pool for pool in known}
        mine = [part for part in parts if part in begun]
        self.pool: Pool
        if mine:
            self._part = mine[0]
            self.pool = parts[self._part]
        else:
            self.pool = pools.choose(known, RESERVE, spec.pool)
            self._part = self.pool.scratch(volumes.of_fetch(uuid))
            files.check_free(self._part)
            context.journal.intend(request.id, Effect.FETCH, {"path": self._part})
        self._unpacked = self.pool.scratch(volumes.of_unpacked(uuid))

    def bring(self, expected: Checksum | None) -> Checksum:
        """Have the file here, as it comes, and return its checksum, which is the expected one.

        Raises DownloadFailed, ChecksumDiffers, NoRoom, StorageFailed or ImageUnsupported; what an
        interrupted fetch has brought stays for the next try of the request.
        """
        with self._context.phase(self._request.id, "fetch"):
            if self._spec.url is not None and expected is not None:
                self._fetch(self._spec.url, expected)
                return expected
            return self._copy(self._spec.path or "", expected)

    def _fetch(self, url: str, expected: Checksum) -> None:
        download.fetch(
            url,
            Path(self._part),
            algorithm=expected.algorithm,
            digest=expected.digest,
            most=max(0, self._room() + files.taken(self._part)),
            progress=self._fetched,
            limit=f"that pool {self.pool.name} has room for",
        )

    def _copy(self, path: str, expected: Checksum | None) -> Checksum:
        algorithm = ALGORITHM if expected is None else expected.algorithm
        target = Path(self._part)
        found = Checksum(
            algorithm, local_file.copy(path, target, algorithm, self._room(), self._moved("fetch"))
        )
        if expected not in (None, found):
            raise ChecksumDiffers(f"{path} is not what was wanted: it has {found}, not {expected}")
        return found

    def unpack(self) -> str:
        """Unpack what has come if it is packed; return where the disk is.

        Raises ImageUnsupported, NoRoom, StorageFailed, DependencyMissing.
        """
        how = unpack.packing(Path(self._part))
        if how is None:
            return self._part
        with self._context.phase(self._request.id, "unpack"):
            files.check_free(self._unpacked)
            self._context.journal.intend(self._request.id, Effect.FILE, {"path": self._unpacked})
            target = Path(self._unpacked)
            most = self.pool.room().capacity
            unpack.unpack(Path(self._part), how, target, most, self._moved("unpack"))
            again = unpack.packing(target)
            if again is not None:
                raise ImageUnsupported(f"it is packed twice, by {how.name} and by {again.name}")
        return self._unpacked

    def check(self, path: str) -> Stranger:
        """Judge the disk that has come. Raises ImageUnsupported, NoRoom, StorageFailed."""
        with self._context.phase(self._request.id, "check"):
            disk = strangers.judge(path, self._spec.format, self._context.alive)
            capacity = self.pool.room().capacity
            if disk.size > capacity:
                raise NoRoom(
                    f"its disk has {gib(disk.size)} GiB, more than pool {self.pool.name} has in"
                    f" all ({gib(capacity)} GiB)"
                )
            if not disk.is_plain and disk.needed > self._room():
                raise NoRoom(f"its disk takes {gib(disk.needed)} GiB, and {self._free()}")
        return disk

    def alive(self) -> None:
        """Tell that the work goes on, as long as there is room for it. Raises NoRoom."""
        self._check_room()
        self._context.alive()

    def clear(self) -> None:
        """Remove what is not needed any more. Raises StorageFailed."""
        files.remove(self._part)
        files.remove(self._unpacked)
        discard(self._request.id, self._context)

    def _room(self) -> int:
        return self.pool.room().free - RESERVE

    def _free(self) -> str:
        return f"pool {self.pool.name} has {gib(self.pool.room().free)} GiB free"

    def _fetched(self, done: int, total: int | None) -> None:
        if total is None:
            self.alive()
        else:
            self._moved("fetch")(done, total)

    def _moved(self, phase: str) -> Any:
        def told(done: int, total: int) -> None:
            self._check_room()
            self._context.counted(self._request.id, phase, done, total)

        return told

    def _check_room(self) -> None:
        if self._room() < 0:
            raise NoRoom(f"{self._free()}, which others need")


def discard(request_id: str, context: JobContext) -> None:
    """Remove what has come, in whichever pools earlier tries have begun. Raises StorageFailed."""
    for intent in context.journal.intents(request_id):
        if intent.kind is Effect.FETCH:
            undo(request_id, intent.data, context)


def undo(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Remove what has come of a file; it was announced as Effect.FETCH."""
    own_files.discard(OwnFiles(paths=(data["path"],)), context)
