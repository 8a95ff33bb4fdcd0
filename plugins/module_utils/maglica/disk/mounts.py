# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which file system a folder lies, its room, and whether other hosts may see the same files.

The format of /proc/self/mountinfo is that of proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..model.errors import StorageFailed
from .room import Room

MOUNTINFO = Path("/proc/self/mountinfo")
# Several hosts can mount one of these at once. FUSE tells no more than that it is FUSE.
_SHARED = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "gfs2",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "virtiofs",
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def is_shared(kind: str) -> bool:
    """Tell whether other hosts may see the files of a file system of this type."""
    return kind in _SHARED or kind == "fuse" or kind.startswith("fuse.")


def kind_of(path: str, mountinfo: str) -> str:
    """Return the type of the file system that holds the real path ``path``; "" if none does.

    ``mountinfo`` is the content of /proc/self/mountinfo. Of two mounts at one place the later one
    hides the earlier.
    """
    best, found = -1, ""
    for line in mountinfo.splitlines():
        before, _dash, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mountpoint = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if len(mountpoint) >= best and _is_below(path, mountpoint):
            best, found = len(mountpoint), after.split(" ")[0]
    return found


def _is_below(path: str, folder: str) -> bool:
    return folder in ("/", path) or path.startswith(f"{folder}/")


def shared_kind(path: str) -> str | None:
    """Return the type of the shared file system that a folder lies on; None if it is the host's.

    Raises StorageFailed.
    """
    try:
        mountinfo = MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StorageFailed(f"{MOUNTINFO} can't be read: {error.strerror}") from error
    kind = kind_of(os.path.realpath(path), mountinfo)
    return kind if is_shared(kind) else None


def room(path: str) -> Room:
    """Return what room there is on the file system of a path; none when it is not there."""
    try:
        found = os.statvfs(path)
    except OSError:
        return Room()
    return Room(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
