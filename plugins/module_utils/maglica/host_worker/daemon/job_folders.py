# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder for each child of the worker, in which libguestfs keeps what it needs for a while.

A child that is killed can't clean up. What it has outside its folder, the sockets below /tmp, has
a link in it (guest/appliance/watch.py).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path

_FOLDER = "scratch"
_SOCKETS = re.compile(r"/tmp/libguestfs[A-Za-z0-9]{6}")  # noqa: S108 - libguestfs puts them there


def make(state_dir: Path) -> Path:
    """Make a new folder. Raises OSError."""
    parent = state_dir / _FOLDER
    parent.mkdir(mode=0o700, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def environment(folder: Path) -> dict[str, str]:
    """Return what makes libguestfs use the folder (guestfs(3), ENVIRONMENT VARIABLES)."""
    return {"LIBGUESTFS_TMPDIR": str(folder)}


def remove(folder: Path) -> None:
    """Remove a folder whose child has ended, and what its links lead to."""
    for link in folder.glob("appliance.*/libguestfs*"):
        with contextlib.suppress(OSError):
            target = str(link.readlink())
            if _SOCKETS.fullmatch(target):
                shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(state_dir: Path) -> None:
    """Remove the folders of all children of an earlier worker, which have died with it."""
    for folder in (state_dir / _FOLDER).glob("*"):
        remove(folder)
