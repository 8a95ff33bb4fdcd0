# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's file system as the edits see it: a small interface, and edits applied through it.

libguestfs.py implements it on a disk. Paths are absolute and in normal form; symbolic links in the
folders of a path lead inside the guest only.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Collection, Iterable
from typing import Callable, Protocol

from ..model.errors import GuestUnreadable, GuestUnsupported
from .facts import Edit, MakeDirectory, Remove, SetPassword, Write

SHADOW = "/etc/shadow"
_SHADOW_LIMIT = 1024 * 1024
# No folder that is looked into has so many entries, unless it is there to keep this host busy.
MAX_MATCHES = 1000


class ApplianceDied(GuestUnreadable):
    """The appliance for the guest's disks did not start, ended, or was ended for taking too long.

    That is no verdict on the guest: the next appliance may do it.
    """


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

    def create(self, path: str, content: bytes, mode: int) -> None:
        """Make a plain file of root's with that content and mode, in a folder that is there.

        A file or a symbolic link that stands there is replaced; anything else is GuestUnsupported.
        """

    def fill(self, path: str, content: bytes) -> None:
        """Replace the content of a file that ``create`` made, in few steps and with no checks."""

    def make_directory(self, path: str, mode: int) -> None:
        """Make a directory of root's, and those above it that are missing."""

    def remove(self, path: str) -> None:
        """Remove what stands at ``path`` and is no directory; a directory is GuestUnsupported."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the paths that match (glob(3), with braces), sorted.

        Raises GuestUnsupported for more than ``MAX_MATCHES``.
        """


def few(pattern: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths that match ``pattern``, sorted. Raises GuestUnsupported for too many."""
    found = tuple(sorted(paths))
    if len(found) > MAX_MATCHES:
        raise GuestUnsupported(f"{pattern} in the guest matches more than {MAX_MATCHES} files")
    return found


def apply(edits: Iterable[Edit], filesystem: Filesystem, laid_out: Collection[str] = ()) -> None:
    """Make the edits, in their order. ``laid_out``: files that only need to be filled."""
    for edit in edits:
        if isinstance(edit, Write) and edit.path in laid_out:
            filesystem.fill(edit.path, edit.content)
        else:
            _APPLIERS[type(edit)](edit, filesystem)


def _write(edit: Write, filesystem: Filesystem) -> None:
    folder = posixpath.dirname(edit.path)
    if filesystem.kind(folder) is Kind.ABSENT:
        filesystem.make_directory(folder, 0o755)
    filesystem.create(edit.path, edit.content, edit.mode)


def _make_directory(edit: MakeDirectory, filesystem: Filesystem) -> None:
    kind = filesystem.kind(edit.path)
    if kind is Kind.ABSENT:
        filesystem.make_directory(edit.path, edit.mode)
    elif kind is not Kind.DIRECTORY:
        raise GuestUnsupported(f"{edit.path} in the guest is no directory")


def _remove(edit: Remove, filesystem: Filesystem) -> None:
    for path in filesystem.glob(edit.pattern):
        if filesystem.kind(path) is not Kind.DIRECTORY:
            filesystem.remove(path)


def _set_password(edit: SetPassword, filesystem: Filesystem) -> None:
    if filesystem.kind(SHADOW) is not Kind.FILE:
        raise GuestUnsupported(f"{SHADOW} in the guest is no plain file")
    text = (filesystem.read(SHADOW, _SHADOW_LIMIT) or b"").decode("utf-8", "surrogateescape")
    changed = shadow_with(text, edit)
    filesystem.fill(SHADOW, changed.encode("utf-8", "surrogateescape"))


def shadow_with(text: str, edit: SetPassword) -> str:
    """Return the content of shadow(5) with the user's password changed."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        fields = line.split(":")
        if fields[0] == edit.user and len(fields) == 9:
            lines[index] = ":".join([edit.user, edit.hash, str(edit.day), *fields[3:]])
            return "\n".join(lines)
    raise GuestUnsupported(f"{SHADOW} in the guest has no entry for {edit.user}")


_APPLIERS: dict[type, Callable[..., None]] = {
    Write: _write,
    MakeDirectory: _make_directory,
    Remove: _remove,
    SetPassword: _set_password,
}
