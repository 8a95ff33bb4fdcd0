# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small file system on a loop device, to be filled up to its last byte."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILLING = "filling"


class SmallDisk:
    """A mounted file system; ``path`` is its root."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def free(self) -> int:
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.path / _FILLING).open("wb", buffering=0) as filling:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filling.write(bytes(size))
            os.fsync(filling.fileno())

    def empty(self) -> None:
        """Free what ``fill`` has taken."""
        (self.path / _FILLING).unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, mib: int) -> Iterator[SmallDisk]:
    """Mount an ext4 of ``mib`` MiB on the folder ``path``, which is made, for the block."""
    path.mkdir(parents=True, exist_ok=True)
    image = path.with_suffix(".disk")
    # Without blocks that only root may use: everybody here is root.
    command = ["mke2fs", "-q", "-t", "ext4", "-m", "0", str(image), f"{mib}M"]
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        (path / "lost+found").rmdir()
        yield SmallDisk(path)
    finally:
        _unmount(path)
        image.unlink()


def _unmount(path: Path) -> None:
    """Unmount; the kernel closes a killed process's files a moment after it is gone."""
    for _turn in range(50):
        if subprocess.run(["umount", path], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    subprocess.run(["umount", "--lazy", path], check=True)
