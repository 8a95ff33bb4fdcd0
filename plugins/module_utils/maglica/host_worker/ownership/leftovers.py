# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files whose names look like those that Maglica makes, and which nothing shows to be Maglica's.

They are listed for people and never removed: a copy that somebody made looks the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...disk import nvram, volumes
from ...model.request import Leftover
from ..journal.journal import Journal
from .own_files import OwnFiles

# Where libvirt's system daemon keeps UEFI variables.
NVRAM = "/var/lib/libvirt/qemu/nvram"
MAX_LISTED = 1000


@dataclass(frozen=True)
class Folder:
    """A folder to look into, and the storage pool that it is, if it is one."""

    path: str
    pool: str | None = None


def look_alikes(folders: Iterable[Folder]) -> list[Leftover]:
    """Return the files in these folders that have such names. What can't be read is passed over."""
    found: dict[str, Leftover] = {}
    for folder in folders:
        for entry_path, taken in _entries(folder.path):
            path = _directory_entry(entry_path)
            if path not in found and len(found) < MAX_LISTED:
                found[path] = Leftover(entry_path, folder.pool, taken)
    return sorted(found.values(), key=lambda leftover: leftover.path)


def _entries(folder: str) -> Iterator[tuple[str, int]]:
    """Yield the paths of files with such names, and what each takes on its disk, in bytes."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # a pool that is away
        for entry in entries:
            with contextlib.suppress(OSError):  # a file that has gone since
                if _looks_own(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_blocks * 512


def _looks_own(name: str) -> bool:
    """Tell whether a name is one as Maglica gives volumes or UEFI variables."""
    return volumes.looks_own(name) or nvram.looks_own(name)


def announced(journal: Journal) -> list[str]:
    """Return the paths that the journal names: of bases, and of what is in the making or going."""
    paths = [disk["path"] for base in journal.bases() for disk in base.disks.values()]
    for data in (intent.data for intent in journal.announced()):
        paths.append(data.get("path", ""))
        paths.extend(data.get("paths", ()))
        if "volumes" in data:
            paths.extend(OwnFiles.from_json(data).all_paths)
    return paths


def unnamed(
    found: Iterable[Leftover], named: Iterable[str], bases: Collection[str] = ()
) -> tuple[Leftover, ...]:
    """Return those of ``found`` that are there still and whose paths are not ``named``.

    ``bases`` are the ids of bases that vms say they build upon: to remove one would break them.
    """
    known = set(map(_directory_entry, filter(None, named)))
    return tuple(
        leftover
        for leftover in found
        if _directory_entry(leftover.path) not in known
        and volumes.base_of(Path(leftover.path).name) not in bases
        and os.path.lexists(leftover.path)
    )


def _directory_entry(path: str) -> str:
    """Return one name for all paths that lead to an entry of a folder."""
    return str(Path(os.path.realpath(Path(path).parent)) / Path(path).name)
