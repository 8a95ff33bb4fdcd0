# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what: the access file, and the answers to ZAP.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._deps import need
from ..config import values
from ..model import names
from ..model.errors import ConfigInvalid, NameInvalid
from ..model.request import Role
from ..wire.sockets import PUBLISH_DOMAIN, REQUEST_DOMAIN

logger = logging.getLogger(__name__)

# Which messages each role may send; a type that stands nowhere is nobody's.
ALLOWED: dict[Role, frozenset[str]] = {
    Role.CLIENT: frozenset({"submit", "status", "list", "wait", "cancel", "hosts"}),
    Role.OBSERVER: frozenset({"status", "list", "wait", "hosts"}),
    Role.HOST: frozenset({"hello", "ack", "progress", "result"}),
}
# Which roles may connect to each port; only hosts have something to hear on the publish port.
_ADMITTED: dict[bytes, frozenset[Role]] = {
    PUBLISH_DOMAIN.encode("ascii"): frozenset({Role.HOST}),
    REQUEST_DOMAIN.encode("ascii"): frozenset(Role),
}
_ZAP_FRAMES = 7
_KEY_BYTES = 32
# A file that changed this recently may change again without a new time stamp.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Peer:
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


ANYBODY = Peer("anybody", None)


@dataclass(frozen=True)
class Table:
    """The access file's content."""

    peers: Mapping[str, Peer] = field(default_factory=dict)

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset(peer.name for peer in self.peers.values() if peer.role is Role.HOST)


def parse(text: str, path: Path) -> Table:
    """Return what the access file says. Raises ConfigInvalid with file and line."""
    if text and not text.endswith("\n"):
        raise ConfigInvalid(f"{path}: its last line has no end, as if it were not written wholly")
    peers: dict[str, Peer] = {}
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
                raise ValueError(f"{role[:40]!r} is no role, which are {roles}")
            values.key(key, path.parent)
            if key in peers:
                raise ValueError(f"the key of {peers[key]} stands here again")
            peers[key] = Peer(names.object_name(name), Role(role), key)
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


@dataclass(frozen=True)
class Verdict:
    """An answer to ZAP: its frames, and why it is a refusal (None: let in)."""

    frames: list[bytes]
    refusal: str | None


def zap(frames: Sequence[bytes], table: Table) -> Verdict:
    """Answer a request of ZAP 1.0 (https://rfc.zeromq.org/spec/27/), whatever its frames are.

    The user id of who is let in is its public key in Z85, which libzmq then hands over with each of
    its messages.
    """
    request_id = frames[1] if len(frames) > 1 else b""
    if len(frames) != _ZAP_FRAMES or frames[0] != b"1.0":
        return _refuse(request_id, b"500", "no ZAP request for CURVE")
    domain, address, mechanism, public = frames[2], frames[3], frames[5], frames[6]
    peer_address = address.decode("ascii", "replace")
    if mechanism != b"CURVE" or len(public) != _KEY_BYTES:
        return _refuse(request_id, b"400", f"no CURVE key, from {peer_address}")
    key = _z85(public)
    peer = table.peers.get(key)
    if peer is None:
        return _refuse(request_id, b"400", f"unknown key {key} from {peer_address}")
    if peer.role not in _ADMITTED.get(domain, ()):
        where = domain.decode("ascii", "replace")
        return _refuse(request_id, b"400", f"{peer} from {peer_address} may not use {where}")
    return Verdict([b"1.0", request_id, b"200", b"OK", key.encode("ascii"), b""], None)


def _refuse(request_id: bytes, status: bytes, reason: str) -> Verdict:
    return Verdict([b"1.0", request_id, status, b"refused", b"", b""], reason)


def _z85(public: bytes) -> str:
    text: bytes = need("zmq").utils.z85.encode(public)
    return text.decode("ascii")
