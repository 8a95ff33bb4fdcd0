# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's file system as the edits see it: a small interface.

appliance.py implements it on a disk. Paths are absolute and in normal form; symbolic links in the
folders of a path lead inside the guest only.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Protocol

from ..model.errors import GuestUnreadable, GuestUnsupported

# No folder that is looked into has so many entries, unless it is there to keep this host busy.
MAX_MATCHES = 1000


# Who owns a file: the numbers of user and group.
Owner = tuple[int, int]
ROOT: Owner = (0, 0)


class NoVerdict(GuestUnreadable):
    """What the guest's disks did not let be done now: the next appliance may do it."""


class ApplianceDied(NoVerdict):
    """The appliance for the guest's disks did not start, ended, or was ended for being slow."""


class Kind(enum.Enum):
    """What stands at a path; a symbolic link at its end is not followed."""

    ABSENT = "absent"
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


class Filesystem(Protocol):
    """A guest's mounted file systems. All methods raise GuestUnreadable when the disk does not
    let them, and ApplianceDied when there is nobody left to ask."""

    def kind(self, path: str) -> Kind:
        """Return what stands at ``path``."""

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the content of a file, also behind symbolic links; None when it is absent.

        Raises GuestUnsupported for what is no plain file, or longer than ``limit`` bytes.
        """

    def mode(self, path: str) -> int:
        """Return the permissions of what stands at ``path``, which must be there."""

    def create(self, path: str, content: bytes, mode: int, owner: Owner = ROOT) -> None:
        """Make a plain file with that content, mode and owner, in a folder that is there.

        A file or a symbolic link that stands there is replaced; anything else is GuestUnsupported.
        """

    def fill(self, path: str, content: bytes) -> None:
        """Replace the content of a file that ``create`` made, in few steps and with no checks."""

    def make_directory(self, path: str, mode: int, owner: Owner = ROOT) -> None:
        """Make a directory, and those above it that are missing, which are root's.

        One that is there gets that mode, and the owner if that is not root.
        """

    def remove(self, path: str) -> None:
        """Remove what stands at ``path`` and is no directory; a directory is GuestUnsupported."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match (glob(3), with braces), sorted.

        Raises GuestUnsupported for more than ``MAX_MATCHES``.
        """


def literal(path: str) -> str:
    """Return the pattern (glob(3), with braces) that matches this path only."""
    return re.sub(r"([\[?*{}\\])", r"\\\1", path)


def few(pattern: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that match ``pattern``, sorted. Raises GuestUnsupported for too many."""
    found = tuple(sorted(paths))
    if len(found) > MAX_MATCHES:
        raise GuestUnsupported(f"{pattern} in the guest matches more than {MAX_MATCHES} files")
    return found
