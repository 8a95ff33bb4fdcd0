# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed in a guest, as frozen values, and how each is done to its file system."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Callable, Union

from ..model.errors import GuestUnsupported
from ..model.request import User
from .accounts import SHADOW, shadow_with
from .filesystem import Filesystem, Kind
from .users import set_user

_SHADOW_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Write:
    """A file with that content, which belongs to root; whatever was there is replaced."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True)
class MakeDirectory:
    """A directory, which belongs to root; one that is there is left as it is."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True)
class Remove:
    """No file is to match that pattern (glob(3), with braces); folders that match it stay."""

    pattern: str


@dataclass(frozen=True)
class SetPassword:
    """The password hash of a user in shadow(5); ``day`` is when it changed, as days since 1970."""

    user: str
    hash: str = field(repr=False)
    day: int


@dataclass(frozen=True)
class SetUser:
    """A user that is made if it is not there; root without a name. For ``day`` see above."""

    user: User
    day: int


Edit = Union[Write, MakeDirectory, Remove, SetPassword, SetUser]


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
        raise GuestUnsupported(f"{edit.path} in the guest is not a directory")


def _remove(edit: Remove, filesystem: Filesystem) -> None:
    for path in filesystem.glob(edit.pattern):
        if filesystem.kind(path) is not Kind.DIRECTORY:
            filesystem.remove(path)


def _set_password(edit: SetPassword, filesystem: Filesystem) -> None:
    if filesystem.kind(SHADOW) is not Kind.FILE:
        raise GuestUnsupported(f"{SHADOW} in the guest is not a plain file")
    text = (filesystem.read(SHADOW, _SHADOW_LIMIT) or b"").decode("utf-8", "surrogateescape")
    changed = shadow_with(text, edit.user, edit.hash, edit.day)
    filesystem.fill(SHADOW, changed.encode("utf-8", "surrogateescape"))


def _set_user(edit: SetUser, filesystem: Filesystem) -> None:
    set_user(edit.user, edit.day, filesystem)


_APPLIERS: dict[type, Callable[..., None]] = {
    Write: _write,
    MakeDirectory: _make_directory,
    Remove: _remove,
    SetPassword: _set_password,
    SetUser: _set_user,
}
