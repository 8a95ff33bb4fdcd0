# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of linked vms' disks, which are made independent of the base below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ..model.errors import NoRoom, StorageFailed
from . import chain, mounts, pools, qemu_img
from .chain import QCOW2, Chain
from .room import gib


def layers(connection: Any, path: str) -> Chain:
    """Return a vm's file and what is below it, looked at as is in ``chain.inspect``.

    Raises StorageFailed for a file with snapshots, which would lose what is below them.
    """
    folders = {pool.path for pool in pools.pools(connection)}
    found = chain.inspect(path, QCOW2, folders)
    if found[1:] and chain.has_snapshots(path):
        raise StorageFailed(f"disk {path} has snapshots, which would lose what is below them")
    return found


def needed_bytes(found: Chain, alive: Callable[[], None]) -> int:
    """Return what a disk takes in addition to have all that is below it. Raises NoRoom."""
    needed = sum(chain.content_bytes((layer,), alive=alive) for layer in found[1:])
    path, free = found[0].path, mounts.room(found[0].path).free
    if needed > free:
        raise NoRoom(f"{gib(free)} GiB are free beside disk {path}, {gib(needed)} GiB needed")
    return needed


def fill(path: str, needed: int, alive: Callable[[], None]) -> None:
    """Copy into a file what it has of those below it, ``needed`` bytes, and forget these.

    For a vm that is off. All is on the disk when this returns; before, the header may have
    forgotten what the tables still need. Raises NoRoom, StorageFailed.
    """
    qemu_img.flatten(path, needed, alive)


def lay_again(path: str, backing: str, backing_format: str) -> None:
    """Let a vm's file build upon its base again, if its header has forgotten it too early.

    A base that is gone was not needed any more. Raises StorageFailed.
    """
    if Path(path).exists() and Path(backing).exists() and chain.backing_of(path) is None:
        qemu_img.lay_upon(path, backing, backing_format)
