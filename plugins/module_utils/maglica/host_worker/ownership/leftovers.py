# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files whose names look like those that Maglica makes, and which nothing shows to be Maglica's.

They are listed for people and never removed: a copy that somebody made looks the same.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from ...disk import files, nvram, volumes
from ...disk.backend import Pool
from ...model.errors import StorageFailed
from ...model.request import Leftover
from ..journal.journal import Journal
from . import references
from .own_files import OwnFiles

# Where libvirt's system daemon keeps UEFI variables.
NVRAM = "/var/lib/libvirt/qemu/nvram"
MAX_LISTED = 1000


def look_alikes(pools: Iterable[Pool], folders: Iterable[str]) -> list[Leftover]:
    """Return the files in the pools, and in the folders of UEFI variables, that have such names.

    What can't be read is passed over.
    """
    places = [(pool.name, pool.listed(_looks_own)) for pool in pools]
    beside = [(None, files.named(folder, _looks_own)) for folder in folders]
    found: dict[str, Leftover] = {}
    for pool, listed in (*places, *beside):
        for named, taken in listed:
            path = _directory_entry(named)
            if path not in found and len(found) < MAX_LISTED:
                found[path] = Leftover(named, pool, taken)
    return sorted(found.values(), key=lambda leftover: leftover.path)


def _looks_own(name: str) -> bool:
    """Tell whether a name is one as Maglica gives volumes or UEFI variables."""
    return volumes.looks_own(name) or nvram.looks_own(name)


def announced(journal: Journal) -> list[str]:
    """Return the paths that the journal names: of bases, and of what is in the making or going."""
    paths = [disk.path for base in journal.bases() for disk in base.disks]
    for data in (intent.data for intent in journal.announced()):
        paths.append(data.get("path", ""))
        paths.extend(data.get("paths", ()))
        if "volumes" in data:
            paths.extend(OwnFiles.from_json(data).all_paths)
    return paths


def unnamed(
    found: Iterable[Leftover], named: Iterable[str], bases: Collection[str] = ()
) -> tuple[Leftover, ...]:
    """Return those of ``found`` that are there still, whose paths are not ``named``, and upon which
    none of both builds: whoever removes them breaks nothing.

    ``bases`` are the ids of bases that vms say they build upon: to remove one would break them.
    """
    looked, paths = tuple(found), tuple(filter(None, named))
    known = set(map(_directory_entry, paths))
    left = tuple(
        leftover
        for leftover in looked
        if _directory_entry(leftover.path) not in known
        and volumes.base_of(Path(leftover.path).name) not in bases
        and os.path.lexists(leftover.path)
    )
    return _not_built_upon(left, (*paths, *(each.path for each in looked)))


def _not_built_upon(left: tuple[Leftover, ...], paths: Iterable[str]) -> tuple[Leftover, ...]:
    """Return those upon which no file at ``paths`` builds, as vms do upon what an image came as."""
    if not left:
        return left
    try:
        below = {each.path for each in references.backings(paths)}
    except StorageFailed:
        # What can't be read may need any of them.
        return ()
    return tuple(each for each in left if os.path.realpath(each.path) not in below)


def _directory_entry(path: str) -> str:
    """Return one name for all paths that lead to an entry of a folder."""
    return str(Path(os.path.realpath(Path(path).parent)) / Path(path).name)
