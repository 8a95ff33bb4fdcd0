# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes or changes a user of a guest through its file system, with home, keys and rule for sudo.

Whoever made the guest laid out its files: they are read with bounds, and where a link, a device or
a pipe stands for one that would be written, the user is refused.
"""

from __future__ import annotations

import posixpath
import re

from ..model.errors import GuestUnsupported
from ..model.request import User
from .accounts import GROUP, GSHADOW, PASSWD, SHADOW, Account, Accounts, with_keys, with_user
from .filesystem import ROOT, Filesystem, Kind, Owner, literal

SUDOERS = ("/etc/sudoers", "/usr/etc/sudoers")
SUDOERS_FOLDER = "/etc/sudoers.d"
# After the rules of the distribution and of cloud-init, for the last one that matches counts.
SUDO_RULE = f"{SUDOERS_FOLDER}/90-maglica"
SKELETON = "/etc/skel"
_READ_LIMIT = 1024 * 1024
_MAX_ENTRIES = 200
_SHELLS = ("/bin/bash", "/bin/sh")
_INCLUDES = re.compile(
    rf'^[ \t]*[#@]includedir[ \t]+"?{re.escape(SUDOERS_FOLDER)}/?"?[ \t]*$', re.MULTILINE
)
# Where no file lasts, or no home is meant to be.
_NO_HOME = re.compile(r"/|/(dev|proc|sys|run|tmp|nonexistent)(/.*)?")


def set_user(user: User, day: int, filesystem: Filesystem) -> None:
    """Have the guest know a user as asked for; what is not asked for stays as it is.

    ``day`` is today, as days since 1970. Raises GuestUnsupported or GuestUnreadable.
    """
    if user.shell is not None and not _is_file(filesystem, user.shell):
        raise GuestUnsupported(f"the guest has no {user.shell}, the shell of {user.name}")
    known = _accounts(filesystem)
    shell = next((each for each in _SHELLS if _is_file(filesystem, each)), _SHELLS[-1])
    accounts, account = with_user(known, user, shell, day)
    if user.sudo is not None:
        _need_sudo(filesystem)
    _write_accounts(known, accounts, filesystem)
    if account.is_new or user.ssh_authorized_keys:
        home = _made_home(account, filesystem)
        _add_keys(user, account, home, filesystem)
    if user.sudo is not None:
        _make_folder(SUDOERS_FOLDER, 0o750, ROOT, filesystem)
        filesystem.create(SUDO_RULE, f"{account.name} {user.sudo}\n".encode(), 0o440)


def _is_file(filesystem: Filesystem, path: str) -> bool:
    return filesystem.kind(path) in (Kind.FILE, Kind.SYMLINK)


def _accounts(filesystem: Filesystem) -> Accounts:
    passwd, group, shadow = (_text(path, filesystem) for path in (PASSWD, GROUP, SHADOW))
    has_gshadow = filesystem.kind(GSHADOW) is not Kind.ABSENT
    return Accounts(passwd, group, shadow, _text(GSHADOW, filesystem) if has_gshadow else None)


def _text(path: str, filesystem: Filesystem) -> str:
    if filesystem.kind(path) is not Kind.FILE:
        raise GuestUnsupported(f"{path} in the guest is not a plain file")
    return (filesystem.read(path, _READ_LIMIT) or b"").decode("utf-8", "surrogateescape")


def _write_accounts(old: Accounts, new: Accounts, filesystem: Filesystem) -> None:
    """Write what has changed; the files keep owner, mode and label."""
    for path, before, after in (
        (GROUP, old.group, new.group),
        (GSHADOW, old.gshadow, new.gshadow),
        (SHADOW, old.shadow, new.shadow),
        (PASSWD, old.passwd, new.passwd),
    ):
        if after is not None and after != before:
            filesystem.fill(path, after.encode("utf-8", "surrogateescape"))


def _made_home(account: Account, filesystem: Filesystem) -> str:
    """Return the user's home, which is made as a copy of /etc/skel where there is none."""
    home = posixpath.normpath(account.home)
    if not home.startswith("/") or not home.isprintable() or _NO_HOME.fullmatch(home):
        raise GuestUnsupported(f"the home of {account.name} in the guest is {home!r:.100}")
    if _make_folder(home, 0o700, account.owner, filesystem):
        _copy_skeleton(home, account.owner, filesystem)
    elif account.is_new:
        # It was another user's, who is gone; what is in it stays as it is.
        filesystem.make_directory(home, 0o700, account.owner)
    return home


def _make_folder(path: str, mode: int, owner: Owner, filesystem: Filesystem) -> bool:
    """Make a folder that is not there; tell whether that was so."""
    kind = filesystem.kind(path)
    if kind not in (Kind.ABSENT, Kind.DIRECTORY):
        raise GuestUnsupported(f"{path} in the guest is not a directory")
    if kind is Kind.ABSENT:
        filesystem.make_directory(path, mode, owner)
    return kind is Kind.ABSENT


def _copy_skeleton(home: str, owner: Owner, filesystem: Filesystem) -> None:
    """Copy plain files and folders; what links and the like are for, a home does without."""
    waiting = [SKELETON] if filesystem.kind(SKELETON) is Kind.DIRECTORY else []
    entries, room = 0, _READ_LIMIT
    while waiting:
        for path in filesystem.glob(f"{literal(waiting.pop())}/{{*,.[!.]*}}"):
            entries += 1
            if entries > _MAX_ENTRIES:
                raise GuestUnsupported(
                    f"{SKELETON} in the guest has more than {_MAX_ENTRIES} files"
                )
            target = home + path[len(SKELETON) :]
            kind = filesystem.kind(path)
            if kind is Kind.DIRECTORY:
                filesystem.make_directory(target, filesystem.mode(path), owner)
                waiting.append(path)
            elif kind is Kind.FILE:
                content = filesystem.read(path, room) or b""
                room -= len(content)
                filesystem.create(target, content, filesystem.mode(path), owner)


def _add_keys(user: User, account: Account, home: str, filesystem: Filesystem) -> None:
    if not user.ssh_authorized_keys:
        return
    folder = posixpath.join(home, ".ssh")
    path = f"{folder}/authorized_keys"
    _make_folder(folder, 0o700, account.owner, filesystem)
    known = "" if filesystem.kind(path) is Kind.ABSENT else _text(path, filesystem)
    content = with_keys(known, user.ssh_authorized_keys)
    filesystem.create(path, content.encode("utf-8", "surrogateescape"), 0o600, account.owner)


def _need_sudo(filesystem: Filesystem) -> None:
    config = next((path for path in SUDOERS if filesystem.kind(path) is Kind.FILE), None)
    if config is None:
        raise GuestUnsupported(f"the guest has no sudo: there is no {SUDOERS[0]}")
    if not _INCLUDES.search(_text(config, filesystem)):
        raise GuestUnsupported(f"{config} in the guest does not include {SUDOERS_FOLDER}")
