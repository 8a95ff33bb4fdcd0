# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts to list: a real libvirtd with the test driver for each, behind proxies that delay."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import libvirt
from support import testdriver
from support.testdriver import Libvirtd

TESTS = Path(__file__).resolve().parents[1]
_AT_ONCE = 4
# In a test driver's definition; the same for all domains of all hosts.
_METADATA = "<x:note xmlns:x='urn:x'>bench</x:note>"


class Hosts:
    """Running libvirtds; each has the domains that ``fill`` gave it, every second one runs."""

    def __init__(self, daemons: Sequence[Libvirtd]) -> None:
        self.daemons = daemons
        # A node of the test driver lives as long as somebody is connected to it.
        self._connections = [libvirt.open(daemon.uri()) for daemon in daemons]
        self._domains: list[list[libvirt.virDomain]] = [[] for _turn in daemons]
        for connection in self._connections:
            for domain in connection.listAllDomains():
                domain.destroy()
                domain.undefine()

    def fill(self, hosts: int, domains: int) -> None:
        """Give each of the first ``hosts`` exactly so many domains."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda host: self._fill(host, domains), range(hosts)))

    def _fill(self, host: int, count: int) -> None:
        domains = self._domains[host]
        while len(domains) > count:
            domain = domains.pop()
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        for number in range(len(domains), count):
            name = f"vm{number}.kvm{host}.example.jp"
            identity = str(uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_DNS, name).bytes, version=4))
            xml = testdriver.domain(
                name, (host << 8) + number, identity=identity, metadata=_METADATA
            )
            domain = self._connections[host].defineXML(xml)
            if number % 2:
                domain.create()
            domains.append(domain)

    def close(self) -> None:
        self._domains.clear()
        for connection in self._connections:
            connection.close()


@contextlib.contextmanager
def running(count: int) -> Iterator[Hosts]:
    """Start so many hosts and end them after the block."""
    with contextlib.ExitStack() as stack:
        starting = [testdriver.running() for _number in range(count)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            daemons = list(pool.map(stack.enter_context, starting))
        hosts = Hosts(daemons)
        stack.callback(hosts.close)
        yield hosts


@contextlib.contextmanager
def delayed(daemons: Sequence[Libvirtd], seconds: float) -> Iterator[list[str]]:
    """Yield a URI for each of the daemons, behind a proxy; ``seconds`` is the round trip's time."""
    ports = [str(daemon.port) for daemon in daemons]
    with subprocess.Popen(
        [sys.executable, "-m", "support.latency", str(seconds), *ports],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as proxy:
        try:
            yield [
                f"test+tcp://127.0.0.1:{int(proxy.stdout.readline())}/default" for _turn in daemons
            ]
        finally:
            proxy.stdin.close()
