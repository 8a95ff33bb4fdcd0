# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that tells how it is, and the client worker that hears it, with no socket between."""

from __future__ import annotations

from dataclasses import replace

from maglica.client_worker.known.reports import Reports
from maglica.host_worker.daemon.teller import Teller
from maglica.model.moment import Moment
from maglica.model.reported import PoolState, ReportedDomain, ReportedInterface
from maglica.model.request import (
    DomainSummary,
    HostReport,
    PoolSummary,
    Request,
    new_request_id,
)
from maglica.model.vm import Disk
from maglica.wire import frames
from maglica.wire import messages as schema
from support.reports import base

HOST = "kvm0.example.jp"
GIB = 1 << 30


class Pair:
    """A host and the client worker that hears it."""

    def __init__(self) -> None:
        self.teller = Teller(HOST)
        self.reports = Reports()
        self.told: HostReport | None = None
        self.sizes: list[int] = []

    def say(
        self,
        report: HostReport,
        shown: tuple[ReportedDomain, ...] = (),
        held: tuple[Request, ...] = (),
    ) -> HostReport:
        """Say hello until all is told; return what the client worker knows then."""
        self.sizes.clear()
        for _turn in range(20):
            self.hear(self.teller.hello(report, shown, held))
            if not self.teller.has_more:
                break
        assert not self.teller.has_more
        assert self.told is not None
        return self.told

    def hear(self, message: frames.Message) -> dict:
        sent = frames.encode(message)
        self.sizes.append(sum(map(len, sent)))
        body = schema.asked(message.type, frames.decode(sent).body)
        self.told = self.reports.take(HOST, body)
        self.teller.answered(True, self.told is None)
        return body

    def shown(self) -> list[ReportedDomain]:
        places = [place for place, _name, _text in self.reports.after(("", ""), {})]
        return [found for uuid, host in places if (found := self.reports.domain(host, uuid))]


def summary(name: str, **changes: object) -> DomainSummary:
    return replace(DomainSummary(name, new_request_id(), True, True, True, 1, 512), **changes)


def seen(domain: DomainSummary, **changes: object) -> ReportedDomain:
    """A vm with all that vms usually have."""
    whole = ReportedDomain(
        name=domain.name,
        uuid=domain.uuid,
        host=HOST,
        state="running",
        active=True,
        made=True,
        image="debian12.original",
        image_version="0123456789abcdef",
        request=new_request_id(),
        created=Moment(1_764_000_000),
        who="admin",
        clone_mode="linked",
        base="0a1b2c3d",
        vcpus=2,
        memory_mib=2048,
        interfaces=(
            ReportedInterface(
                "52:54:00:12:34:56",
                "default",
                {"lease": ("192.0.2.7",), "agent": ("192.0.2.7", "2001:db8::7")},
            ),
        ),
        disks=(Disk("vda", "disk", "qcow2", f"/images/{domain.name}.qcow2", 10 * GIB, GIB),),
        tags=("role:web", "site:tokyo"),
        ssh_host_keys=(f"ssh-ed25519 {'A' * 68}",),
        customize="offline",
        customize_reason="asked for",
    )
    return replace(whole, **changes)


def crowd(count: int) -> tuple[HostReport, tuple[ReportedDomain, ...]]:
    """A host with so many vms."""
    domains = tuple(summary(f"vm{number:03}.example.jp") for number in range(count))
    report = HostReport(
        cpus=16,
        memory_total_mib=65536,
        memory_free_mib=1234,
        domains=domains,
        pools=(PoolSummary("default", 1 << 40, 1 << 39),),
        networks=("default",),
        bases=(base("debian12.original"),),
        taken=Moment(1_764_000_000.5),
        uri="qemu:///system",
        hostname=HOST,
        pool_states=(PoolState("default", True, 1 << 40, 1 << 39),),
    )
    return report, tuple(map(seen, domains))
