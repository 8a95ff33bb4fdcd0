# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet shows: frozen values; sizes are in bytes or MiB as the field's name says."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..libvirtd.hosts import Unreachable
from ..model.vm import Domain


class Gather(str, enum.Enum):
    """How much is read: names and states in one call a host, or each domain's definition too."""

    MINIMAL = "minimal"
    FULL = "full"


class Known(enum.IntEnum):
    """How much is known of a domain: its name, host, state and UUID only, what its definition says
    too, or all that is ever known of it."""

    LISTED = 0
    DEFINED = 1
    ALL = 2


class AddressSource(str, enum.Enum):
    """Where an address is looked for: DHCP leases, the guest's agent, the host's ARP table, or
    what was recorded in the vm's definition when it was cloned."""

    LEASE = "lease"
    AGENT = "agent"
    ARP = "arp"
    RECORDED = "recorded"


@dataclass(frozen=True)
class PoolState:
    """A storage pool of a host."""

    name: str
    active: bool
    capacity_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Host:
    """A host that answered. ``memory_free_mib`` and ``pools`` are None when read minimally."""

    name: str
    uri: str
    seconds: float
    cpus: int | None = None
    memory_total_mib: int | None = None
    memory_free_mib: int | None = None
    libvirt_version: str | None = None
    hypervisor_version: str | None = None
    hostname: str | None = None
    pools: tuple[PoolState, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """What all hosts that answered showed; each tuple is sorted by name, then by host.

    ``problems`` are texts about single things that could not be read on hosts that answered.
    """

    vms: tuple[Domain, ...] = ()
    images: tuple[Domain, ...] = ()
    hosts: tuple[Host, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The domains of one name on all hosts, and the hosts that did not answer the question."""

    domains: tuple[Domain, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
