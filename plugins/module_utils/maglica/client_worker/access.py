# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what, as the access file says.

The file has a line ``ROLE NAME KEY`` for each public key (40 Z85 characters); a line that starts
with # is a comment. Two keys may share a name, so that a key can be replaced without a break. It
is read again when it changes; a key that is gone is refused at its next message. A file without any
key, or whose last line has no end, counts as one that is being written: it changes nothing.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config import values
from ..model import names
from ..model.errors import ConfigInvalid, NameInvalid
from ..model.request import Role

logger = logging.getLogger(__name__)

# Which messages each role may send; a type that stands nowhere is nobody's.
ALLOWED: dict[Role, frozenset[str]] = {
    Role.CLIENT: frozenset({"submit", "status", "list", "wait", "cancel", "hosts", "domains"}),
    Role.OBSERVER: frozenset({"status", "list", "wait", "hosts", "domains"}),
    Role.HOST: frozenset({"hello", "ack", "progress", "result"}),
}
# A file that changed this recently may change again without a new time stamp.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Caller:
    """The owner of a key. ``role`` None is everybody on a port without CURVE: all is allowed."""

    name: str
    role: Role | None
    key: str = ""

    def __str__(self) -> str:
        return f"{self.role.value if self.role else 'anybody'} {self.name}"

    def may(self, message_type: str) -> bool:
        """Tell whether its role allows it to send messages of this type."""
        return self.role is None or message_type in ALLOWED[self.role]

    def is_host(self, name: str) -> bool:
        """Tell whether it may speak for, and listen as, the host ``name``."""
        return self.role is None or (self.role is Role.HOST and self.name == name)


ANYBODY = Caller("anybody", None)


@dataclass(frozen=True)
class Table:
    """The access file's content."""

    peers: Mapping[str, Caller] = field(default_factory=dict)

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset(caller.name for caller in self.peers.values() if caller.role is Role.HOST)


def parse(text: str, path: Path) -> Table:
    """Return what the access file says. Raises ConfigInvalid with file and line."""
    if text and not text.endswith("\n"):
        raise ConfigInvalid(f"{path}: its last line has no end, as if it were not written wholly")
    peers: dict[str, Caller] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        try:
            if len(words) != 3:
                raise ValueError(f"{len(words)} words instead of ROLE NAME KEY")
            role, name, key = words
            if role not in {known.value for known in Role}:
                roles = ", ".join(known.value for known in Role)
                raise ValueError(f"{role[:40]!r} is not a role: use one of {roles}")
            values.key(key, path.parent)
            if key in peers:
                raise ValueError(f"the key of {peers[key]} stands here again")
            peers[key] = Caller(names.object_name(name), Role(role), key)
        except (ValueError, NameInvalid) as error:
            raise ConfigInvalid(f"{path}:{number}: {error}") from None
    return Table(peers)


class AccessFile:
    """The access file and the table that is in force: the last one that could be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = Table()
        self._signature: tuple[int, int, int] | None = None
        self._settled = False
        self.complaint = ""

    def load(self) -> None:
        """Read the file. Raises ConfigInvalid when it can't be read or used.

        It may have no keys when the client worker starts: then nobody is let in before it has.
        """
        try:
            with self.path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                text = file.read()
        except OSError as error:
            raise ConfigInvalid(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigInvalid(f"cannot read {self.path}: it is not UTF-8") from error
        self._signature = _signature(status)
        self._settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigInvalid(f"{self.path}: others than its owner may write to it")
        table = parse(text, self.path)
        if self.table.peers and not table.peers:
            raise ConfigInvalid(
                f"{self.path}: no key is in it, as if it were not written yet (restart the client"
                " worker if that is meant)"
            )
        self.table = table

    def refresh(self) -> bool:
        """Read the file again if it has changed; tell whether another table is in force now.

        A file that can't be used is logged, and the table stays as it is. ``complaint`` has why,
        as long as it is so.
        """
        try:
            if self._settled and _signature(self.path.stat()) == self._signature:
                return False
        except OSError:
            self._settled = False
        before = self.table
        try:
            self.load()
            self.complaint = ""
        except ConfigInvalid as error:
            if str(error) != self.complaint:
                self.complaint = str(error)
                self.remind()
        return self.table != before

    def remind(self) -> None:
        """Log why the file is not in force, if it is not."""
        if self.complaint:
            keys = len(self.table.peers)
            logger.error("%s; the %d keys in force stay as they were", self.complaint, keys)


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino
