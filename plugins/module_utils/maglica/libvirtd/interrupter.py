# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends a call of libvirt that waits for a silent peer.

libvirt has no deadline for opening a connection nor for a call on one, and a thread that sits in
either can't be ended. But what it waits for can: when its socket is shut down, or the ssh that it
started has ended, the call returns with an error, and libvirt cleans up behind itself. libvirt
shows neither, so they are found in /proc: the sockets of this process whose other end is the peer,
and its child processes whose arguments name it, as far as they came after the opening began.

Where there is no /proc (on a Mac), nothing can be ended: such a call is given up, with the thread
that makes it, which stays until libvirt or the process ends.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ..system import processes
from .uri import Endpoint, Way

_DESCRIPTORS = Path("/proc/self/fd")
_DAEMON_SOCKETS = "/libvirt/"
# How long, in seconds, an interrupted thread may take to notice it; for the first half of it a
# process may end by itself.
GRACE = 2.0


@dataclass(frozen=True)
class Older:
    """The sockets and child processes of this process at a time."""

    sockets: frozenset[str]
    children: frozenset[int]

    @classmethod
    def now(cls, peers: Iterable[Endpoint]) -> Older:
        """Look; for processes, which takes some milliseconds, only if a peer needs them."""
        children = any(peer.way is Way.CHILD for peer in peers)
        return cls(
            frozenset(inode for _fd, inode in _sockets()),
            frozenset(processes.children() if children else ()),
        )


def grace() -> float:
    """Return how many seconds an interrupted thread is waited for; 0 where none can be ended."""
    return GRACE if _DESCRIPTORS.is_dir() else 0.0


class Interrupter:
    """Ends what one connection waits for. ``older`` is what there was before it was begun.

    Until ``pin``, a connection of this process to the same peer that was begun later would be
    ended with it.
    """

    def __init__(self, peer: Endpoint, older: Older) -> None:
        self._peer = peer
        self._older = older
        self._addresses: frozenset[str] = frozenset()
        self._own: Older | None = None
        self._interrupted: float | None = None

    def resolve(self) -> None:
        """Look the peer's addresses up, which libvirt itself will do again. Raises OSError."""
        if self._peer.way is Way.INET and self._peer.host:
            found = socket.getaddrinfo(self._peer.host, self._peer.port, type=socket.SOCK_STREAM)
            self._addresses = frozenset(str(entry[4][0]) for entry in found)

    def pin(self) -> None:
        """Say that the connection is open now, and none to this peer was begun meanwhile."""
        now = Older.now([self._peer])
        older = self._older
        self._own = Older(now.sockets - older.sockets, now.children - older.children)

    def interrupt(self) -> None:
        """Shut the peer's sockets down or end the peer's processes, if any are seen now.

        Called again, it kills a process that has not ended within half of GRACE.
        """
        now = time.monotonic()
        self._interrupted = now if self._interrupted is None else self._interrupted
        if self._peer.way is Way.CHILD:
            is_late = now - self._interrupted > GRACE / 2
            for pid in processes.children():
                if self._is_own_child(pid) and self._is_named_by(processes.arguments(pid)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
            return
        for descriptor, inode in _sockets():
            if self._is_own_socket(inode):
                self._shut(descriptor, inode)

    def _is_named_by(self, arguments: Iterable[str]) -> bool:
        # The URI's host is in lower case here, and libvirt gives it to ssh as it is written.
        host = unquote(self._peer.host or "").lower()
        return any(host == argument.lower() for argument in arguments)

    def _is_own_child(self, pid: int) -> bool:
        return pid in self._own.children if self._own else pid not in self._older.children

    def _is_own_socket(self, inode: str) -> bool:
        return inode in self._own.sockets if self._own else inode not in self._older.sockets

    def _shut(self, descriptor: int, inode: str) -> None:
        # A duplicate: should libvirt close its own meanwhile, the number can't come to mean
        # another file between the check and the shutdown.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as own:
            if self._is_peer(own, inode):
                own.shutdown(socket.SHUT_RDWR)

    def _is_peer(self, own: socket.socket, inode: str) -> bool:
        if self._peer.way is Way.UNIX:
            path = own.getpeername()
            if not isinstance(path, str):
                return False
            return path == self._peer.socket if self._peer.socket else _DAEMON_SOCKETS in path
        if self._peer.way is not Way.INET or own.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        try:
            address, port = own.getpeername()[:2]
        except OSError:
            # Not connected yet: getpeername fails, but the kernel's table knows whom it asks.
            address, port = _asked_peer(own.family, inode)
        address = address.partition("%")[0]
        return port == self._peer.port and address in self._addresses


def _sockets() -> Iterator[tuple[int, str]]:
    if not _DESCRIPTORS.is_dir():
        return
    for entry in _DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:"):
                yield int(entry.name), target


def _asked_peer(family: int, inode: str) -> tuple[str, int]:
    """Return the address and port to which the socket ``inode`` connects, as proc_net_tcp has it.

    See Documentation/networking/proc_net_tcp.rst of Linux: words of 4 bytes in host byte order.
    """
    table = "/proc/self/net/tcp" if family == socket.AF_INET else "/proc/self/net/tcp6"
    number = inode[len("socket:[") : -1]
    for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[9] == number:
            address, port = fields[2].split(":")
            words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
            packed = b"".join(socket.ntohl(word).to_bytes(4, "big") for word in words)
            return str(ipaddress.ip_address(packed)), int(port, 16)
    raise OSError(f"{inode} is not in {table}")
