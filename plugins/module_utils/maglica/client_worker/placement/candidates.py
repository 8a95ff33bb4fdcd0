# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as placement sees it, what a clone takes of it, and what is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...model.memory_limit import DEFAULT, MemoryLimit
from ...model.request import DomainSummary, HostReport


@dataclass(frozen=True)
class Holdings:
    """A host's report, indexed once so that each placement needs look-ups only.

    ``committed_mib`` is the memory of the domains that run, ``assigned_mib`` also that of Maglica's
    vms that are off.
    """

    report: HostReport
    by_name: Mapping[str, DomainSummary]
    by_uuid: Mapping[str, DomainSummary]
    committed_mib: int
    assigned_mib: int

    @classmethod
    def of(cls, report: HostReport) -> Holdings:
        domains = report.domains
        return cls(
            report,
            {domain.name: domain for domain in domains},
            {domain.uuid: domain for domain in domains},
            sum(domain.memory_mib for domain in domains if domain.active),
            sum(domain.memory_mib for domain in domains if domain.active or domain.made),
        )


@dataclass(frozen=True)
class Need:
    """What one clone takes on a host. ``committed_mib``: if it is started; ``base_bytes``: for the
    base, where it is still to be made; ``pool``: the pool it must be in, if one was named.
    """

    committed_mib: int
    disk_bytes: int
    base_bytes: int
    pool: str | None = None


@dataclass(frozen=True)
class Reserved:
    """What is under way on a host will take beyond its report: by pool, and the images whose base
    that counts; ``committed_mib`` and ``assigned_mib`` as in Holdings.
    """

    committed_mib: int = 0
    pool_bytes: Mapping[str, int] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    assigned_mib: int = 0


@dataclass(frozen=True)
class Candidate:
    """A host as placement sees it; ``holdings`` is None until its worker has reported once.

    ``conflict``: two machines have its key. ``features`` of the protocol are those that its worker
    knows, and ``version`` is what it says of itself; None until it has spoken.
    """

    name: str
    holdings: Holdings | None = None
    alive: bool = False
    weight: float = 1.0
    reserved: Reserved = field(default_factory=Reserved)
    limit: MemoryLimit = DEFAULT
    conflict: str | None = None
    features: frozenset[str] | None = None
    version: str | None = None


@dataclass(frozen=True)
class Choice:
    """The host for a clone, the load that it will then have, and the pool that has room for it."""

    host: str
    load: float
    pool: str
    need: Need
