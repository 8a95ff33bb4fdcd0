# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of a test's own: a middle, and hosts that are each wired to it alone.

Host number N is 10.213.N.2 to the middle, which is 10.213.N.1 to it. Nothing of the machine's own
network is touched, and all of it goes with ``close``.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CLONE_NEWNET = 0x40000000
ESTABLISHED = "01"
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Let this thread, and what it starts, be in a namespace for the length of the block."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(there)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Star:
    """The middle and its hosts, numbered from 1."""

    def __init__(self, hosts: int) -> None:
        where = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:4]
        self._prefix = f"mag{where}-{os.getpid()}"
        self.middle = f"{self._prefix}-m"
        self.hosts = range(1, hosts + 1)
        self._made: list[str] = []

    def name(self, host: int) -> str:
        return f"{self._prefix}-{host}"

    def open(self) -> None:
        self._make(self.middle)
        for host in self.hosts:
            name = self.name(host)
            self._make(name)
            ip(
                *("link", "add", f"to{host}", "netns", self.middle, "type", "veth"),
                *("peer", "name", "wire", "netns", name),
            )
            ip("-n", self.middle, "addr", "add", f"{gate(host)}/24", "dev", f"to{host}")
            ip("-n", self.middle, "link", "set", f"to{host}", "up")
            ip("-n", name, "addr", "add", f"10.213.{host}.2/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")

    def _make(self, name: str) -> None:
        ip("netns", "add", name)
        self._made.append(name)
        ip("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        while self._made:
            subprocess.run(["ip", "netns", "del", self._made.pop()], check=False, timeout=20)

    def command(self, host: int, command: list[str]) -> list[str]:
        """Return the command that runs ``command`` on a host."""
        return ["ip", "netns", "exec", self.name(host), *command]

    def filter(self, host: int, *rules: str) -> None:
        """Let a host's packet filter have these rules only, as in ``INPUT -j DROP``."""
        text = "\n".join(["*filter", *(f"-A {rule}" for rule in rules), "COMMIT", ""])
        subprocess.run(
            self.command(host, ["iptables-restore"]),
            input=text.encode(),
            check=True,
            capture_output=True,
            timeout=20,
        )

    def move(self, host: int, old: int, new: int) -> None:
        """Give a host another address, without a word to anybody."""
        name = self.name(host)
        # The other way round the new one would be secondary, and go with the old one.
        ip("-n", name, "addr", "del", f"10.213.{host}.{old}/24", "dev", "wire")
        ip("-n", name, "addr", "add", f"10.213.{host}.{new}/24", "dev", "wire")


def gate(host: int) -> str:
    """Return the middle's address as a host sees it."""
    return f"10.213.{host}.1"


def connections(process: int, host: int, port: int) -> set[tuple[str, str]]:
    """Return the connections between a host and a port of the middle that are established.

    ``process`` is one on the side that is asked: proc(5), /proc/PID/net/tcp.
    """
    found = set()
    subnet = f"10.213.{host}."
    for line in Path(f"/proc/{process}/net/tcp").read_text().splitlines()[1:]:
        _number, local, remote, state = line.split()[:4]
        ends = [_address(text) for text in (local, remote)]
        wired = all(address.startswith(subnet) for address, _port in ends)
        if state == ESTABLISHED and wired and (gate(host), port) in ends:
            found.add((local, remote))
    return found


def _address(text: str) -> tuple[str, int]:
    address, port = text.split(":")
    return socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16)
