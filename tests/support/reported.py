# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker in memory, to which hosts have reported what libvirt shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from maglica.model.reported import ReportedDomain, ReportedHost, ReportedInterface
from maglica.model.vm import Domain

_SAME = {field.name for field in fields(ReportedDomain)} & {field.name for field in fields(Domain)}


def domain(seen: Domain, source: str = "lease") -> ReportedDomain:
    """Return a domain as its host reports it, with addresses that ``source`` knows."""
    interfaces = tuple(
        ReportedInterface(nic.mac, nic.network, {source: nic.addresses} if nic.addresses else {})
        for nic in seen.interfaces
    )
    values = {name: getattr(seen, name) for name in _SAME - {"interfaces"}}
    return ReportedDomain(**values, interfaces=interfaces)


@dataclass
class FakeReports:
    """It answers as the client worker does; ``asked`` is what was asked."""

    hosts: Sequence[ReportedHost]
    domains: Sequence[ReportedDomain] = ()

    def __post_init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def reported(
        self, hosts: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[tuple[ReportedHost, ...], tuple[ReportedDomain, ...]]:
        self.asked.append((tuple(hosts), tuple(names)))
        told = tuple(host for host in self.hosts if not hosts or host.name in hosts)
        named = {host.name for host in told}
        domains = (
            each
            for each in self.domains
            if each.host in named and (not names or each.name in names)
        )
        return told, tuple(domains)
