# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the command share: two hosts in memory, and how a command line ended."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from maglica.fleet.by_libvirt import LibvirtFleet
from maglica.fleet.snapshot import Found, OnHost, Snapshot, every_host
from maglica.fleet.source import Access, Source
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.hosts import Unreachable
from maglica.model.request import DomainSummary, HostReport, HostStatus, PoolSummary, State
from maglica.model.vm import Domain

UUID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
GIB = 1 << 30


def domain(name: str, **changes: Any) -> DomainSummary:
    image = DomainSummary(name, UUID, False, True, False, 1, 512, GIB)
    return replace(image, **changes)


def host(name: str, *domains: DomainSummary, **changes: Any) -> HostStatus:
    report = HostReport(
        cpus=8,
        memory_total_mib=16384,
        memory_free_mib=8192,
        domains=domains,
        pools=(PoolSummary("default", 100 * GIB, 50 * GIB),),
        networks=("default",),
    )
    return replace(HostStatus(name, True, 1.0, 1.0, report), **changes)


HOST0 = host(
    "host0.example.jp",
    domain("vm1.example.jp", active=True, made=True),
    domain("SL6.1-x86_64.original"),
    domain("SL6.0-x86_64.original"),
)
HOST1 = host(
    "host1.example.jp",
    domain("SL6.1-x86_64.original"),
    domain("old", active=True, uuid="7e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"),
)
CLONE = ["vm", "clone", "--image=SL6.1-x86_64.original", "vm0.example.jp"]
VM = Domain("vm0.example.jp", UUID, "host0.example.jp", "running", active=True)
DONE: dict[str, Any] = {"state": State.DONE, "phase": None, "vm": VM}


class FakeFleet(LibvirtFleet):
    """The hosts' libvirtds, with ``domains`` and nobody else."""

    domains: ClassVar[list[Domain]] = []
    silent: ClassVar[list[str]] = []
    sources: ClassVar[list[Source]] = []

    @classmethod
    def of(cls, access: Access, _client: object) -> FakeFleet:
        cls.sources.append(access.source)
        return cls(access.config.need_hosts())

    def find_vms(self, names: Container[str]) -> Found:
        seen = self.snapshot(Reading())
        found = [domain for domain in (*seen.vms, *seen.images) if domain.name in names]
        return Found(tuple(found), seen.unreachable)

    def snapshot(self, reading: Reading, on_host: OnHost = every_host) -> Snapshot:
        told = [domain for domain in self.domains if domain.host in self.names]
        return Snapshot(
            vms=tuple(domain for domain in told if not domain.is_image),
            images=tuple(domain for domain in told if domain.is_image),
            unreachable=tuple(Unreachable(host, "no answer") for host in self.silent),
        )


def seen(status: HostStatus) -> list[Domain]:
    """The domains of a host's report as its libvirtd shows them."""
    return [
        Domain(
            *(each.name, each.uuid, status.host, "running" if each.active else "stopped"),
            active=each.active,
            made=each.made,
            is_image=not (each.active or each.made),
            image="SL6.1-x86_64.original" if each.made else None,
            clone_mode="linked" if each.made else None,
            vcpus=each.vcpus,
            memory_mib=each.memory_mib,
        )
        for each in sorted(status.report.domains, key=lambda domain: domain.name)
    ]


def completing(line: str, found: Path) -> dict[str, str]:
    """Return how a shell asks what a command line goes on with, for the file ``found``."""
    return {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }


@dataclass
class Ran:
    """How a command line ended."""

    status: int
    out: str
    err: str


SL61 = "SL6.1-x86_64.original"
