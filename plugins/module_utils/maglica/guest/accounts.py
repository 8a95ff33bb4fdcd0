# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's accounts, as passwd(5), shadow(5), group(5), gshadow(5) have them. Pure.

They are changed as useradd(8) would. The files are a stranger's: a line that is no entry stays as
it is, and of two the first one counts, as it does for who reads them. The names come from a
request, and are checked there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from ..model.errors import GuestUnsupported
from ..model.request import User

PASSWD, SHADOW, GROUP, GSHADOW = "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"
# Ids of people, by all distributions' login.defs(5).
_IDS = range(1000, 60000)
_ID, _MAX_ID = re.compile(r"[0-9]{1,10}"), (1 << 31) - 1
# No password fits. With "!" the account would be locked, which sshd without PAM minds for keys too.
_NO_HASH = "*"


@dataclass(frozen=True)
class Accounts:
    """The contents of the four files; ``gshadow`` is None where there is no such file."""

    passwd: str
    group: str
    shadow: str = field(repr=False)
    gshadow: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Account:
    """A user as passwd(5) has it. ``is_new``: it was made just now."""

    name: str
    owner: tuple[int, int]
    home: str
    is_new: bool


def with_user(accounts: Accounts, user: User, shell: str, day: int) -> tuple[Accounts, Account]:
    """Return the files with a user as asked for, and its account.

    A user that is not there is made, with a group of its own and ``shell``, unless it asks for
    another one; so are its groups. ``day`` is today, as days since 1970.
    """
    name = user.name or "root"
    is_new = _entry(accounts.passwd, name, 7) is None
    if is_new and name == "root":
        raise GuestUnsupported(f"{PASSWD} in the guest has no entry for root")
    if is_new:
        accounts = _with_new(accounts, user, name, user.shell or shell, day)
    elif user.shell is not None:
        asked = user.shell
        passwd = _changed(accounts.passwd, name, 7, lambda fields: [*fields[:6], asked])
        accounts = replace(accounts, passwd=passwd)
    if user.password is not None and not is_new:
        accounts = _with_password(accounts, name, user.password, day)
    for group in user.groups:
        accounts = _with_member(accounts, group, name)
    fields = _entry(accounts.passwd, name, 7) or []
    owner = _owner(fields)
    if owner is None:
        raise GuestUnsupported(f"{PASSWD} in the guest has no ids for {name} that can be used")
    return accounts, Account(name, owner, fields[5], is_new)


def _owner(fields: Sequence[str]) -> tuple[int, int] | None:
    """Return the numbers of user and group in an entry of passwd(5), if libguestfs takes them."""
    if not all(_ID.fullmatch(number) and int(number) <= _MAX_ID for number in fields[2:4]):
        return None
    return int(fields[2]), int(fields[3])


def with_keys(text: str, keys: Sequence[str]) -> str:
    """Return the content of authorized_keys with those of ``keys`` added that are not there."""
    # str.splitlines would also split at what is within a line for everything that reads the file.
    present = text.removesuffix("\n").split("\n") if text else []
    added = [key for key in dict.fromkeys(keys) if key not in present]
    return "".join(f"{line}\n" for line in present + added)


def _with_new(accounts: Accounts, user: User, name: str, shell: str, day: int) -> Accounts:
    number = _free_id(accounts)
    own = _entry(accounts.group, name, 4)
    if own is None:
        accounts = _with_group(accounts, name, number)
    elif not _ID.fullmatch(own[2]):
        raise GuestUnsupported(f"{GROUP} in the guest has no id for {name}")
    group = str(number) if own is None else own[2]
    entry = [name, "x", str(number), group, "", f"/home/{name}", shell]
    secret = [name, user.password or _NO_HASH, str(day), "0", "99999", "7", "", "", ""]
    # Of a user that was removed a line may be left.
    rest = [line for line in accounts.shadow.split("\n") if line.partition(":")[0] != name]
    return replace(
        accounts,
        passwd=_appended(accounts.passwd, entry),
        shadow=_appended("\n".join(rest), secret),
    )


def _with_password(accounts: Accounts, name: str, password: str, day: int) -> Accounts:
    """Return the files with the password of a user that is there."""
    passwd = _changed(accounts.passwd, name, 7, lambda fields: [name, "x", *fields[2:]])
    if any(line.partition(":")[0] == name for line in accounts.shadow.split("\n")):
        shadow = shadow_with(accounts.shadow, name, password, day)
    else:
        entry = [name, password, str(day), "0", "99999", "7", "", "", ""]
        shadow = _appended(accounts.shadow, entry)
    return replace(accounts, passwd=passwd, shadow=shadow)


def shadow_with(text: str, name: str, password: str, day: int) -> str:
    """Return the content of shadow(5) with the password of a user that it has."""
    if _entry(text, name, 9) is None:
        raise GuestUnsupported(f"{SHADOW} in the guest has no entry for {name}")
    return _changed(text, name, 9, lambda fields: [name, password, str(day), *fields[3:]])


def _with_member(accounts: Accounts, group: str, name: str) -> Accounts:
    if _entry(accounts.group, group, 4) is None:
        accounts = _with_group(accounts, group, _free_id(accounts))

    def add(fields: list[str]) -> list[str]:
        members = [each for each in fields[3].split(",") if each]
        return [*fields[:3], ",".join(dict.fromkeys((*members, name)))]

    return replace(
        accounts,
        group=_changed(accounts.group, group, 4, add),
        gshadow=accounts.gshadow and _changed(accounts.gshadow, group, 4, add),
    )


def _with_group(accounts: Accounts, name: str, number: int) -> Accounts:
    gshadow = accounts.gshadow
    if gshadow is not None:
        rest = [line for line in gshadow.split("\n") if line.partition(":")[0] != name]
        gshadow = _appended("\n".join(rest), [name, "!", "", ""])
    group = _appended(accounts.group, [name, "x", str(number), ""])
    return replace(accounts, group=group, gshadow=gshadow)


def _free_id(accounts: Accounts) -> int:
    """Return a number that neither a user nor a group has."""
    taken = _ids(accounts.passwd, (2, 3)) | _ids(accounts.group, (2,))
    for number in _IDS:
        if number not in taken:
            return number
    raise GuestUnsupported(f"all ids from {_IDS.start} to {_IDS.stop - 1} are taken in the guest")


def _ids(text: str, places: Collection[int]) -> set[int]:
    entries = (line.split(":") for line in text.split("\n"))
    return {
        int(fields[place])
        for fields in entries
        for place in places
        if place < len(fields) and _ID.fullmatch(fields[place])
    }


def _entry(text: str, name: str, length: int) -> list[str] | None:
    """Return the fields of the first line that is about ``name``."""
    entries = (line.split(":") for line in text.split("\n"))
    return next((each for each in entries if each[0] == name and len(each) == length), None)


def _changed(text: str, name: str, length: int, change: Callable[[list[str]], list[str]]) -> str:
    """Return the text with the first line that is about ``name`` changed; as it is, without one."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        fields = line.split(":")
        if fields[0] == name and len(fields) == length:
            lines[index] = ":".join(change(fields))
            break
    return "\n".join(lines)


def _appended(text: str, fields: Sequence[str]) -> str:
    before = text if not text or text.endswith("\n") else f"{text}\n"
    return f"{before}{':'.join(fields)}\n"
