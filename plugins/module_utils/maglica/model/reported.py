# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts have reported of themselves and of their domains, as the client worker tells it.

A reader gets from it what libvirt would show, addresses by each source, and how old it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from .image import ImageVersion
from .moment import Moment
from .vm import Disk, Graphics, Interface, SerialConsole


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
class ReportedInterface:
    """A network interface of a vm; ``addresses`` by the value of the AddressSource that knows
    them. A source that knows none is left out.
    """

    mac: str
    network: str | None = None
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bridge: str | None = None
    model: str | None = None
    link: str | None = None
    filter: str | None = None
    vlan: tuple[int, ...] = ()
    virtualport: str | None = None

    @classmethod
    def of(cls, seen: Interface, known: Mapping[str, tuple[str, ...]]) -> ReportedInterface:
        """Return an interface with the addresses that each source knows."""
        return cls(**{**vars(seen), "addresses": known})

    def shown(self, known: tuple[str, ...] = ()) -> Interface:
        """Return it with those addresses."""
        return Interface(**{**vars(self), "addresses": known})


@dataclass(frozen=True)
class ReportedDomain:
    """A domain as its host has reported it; the fields are those of vm.Domain.

    ``interfaces`` have the addresses of every source, of which the reader chooses. ``is_image``: it
    may be one, whatever its name is: which names are images' the reader says. ``next_vcpus`` and
    ``next_memory_mib`` are what it has after its next start, where that is not what it has now.
    """

    name: str
    uuid: str
    host: str
    state: str
    active: bool
    made: bool | None = None
    is_image: bool = False
    image: str | None = None
    image_version: str | None = None
    request: str | None = None
    created: Moment | None = None
    who: str | None = None
    clone_mode: str | None = None
    base: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: tuple[ReportedInterface, ...] = ()
    disks: tuple[Disk, ...] = ()
    tags: tuple[str, ...] = ()
    checksum: str | None = None
    ssh_host_keys: tuple[str, ...] = ()
    restart_needed: bool = False
    customize: str | None = None
    customize_reason: str | None = None
    asked: tuple[str, ...] = ()
    adopted: bool = False
    foreign_disks: tuple[str, ...] = ()
    autostart: bool | None = None
    description: str | None = None
    protected: bool = False
    kept_disks: tuple[str, ...] = ()
    boot_order: tuple[str, ...] = ()
    graphics: tuple[Graphics, ...] = ()
    console: SerialConsole | None = None
    next_interfaces: tuple[Interface, ...] | None = None
    versions: tuple[ImageVersion, ...] = ()
    next_vcpus: int | None = None
    next_memory_mib: int | None = None


@dataclass(frozen=True)
class ReportedHost:
    """A host as it has reported itself.

    ``alive``: it reports. ``weight``: its share of the work. ``age_s``: seconds since its last
    report, None if there is none.
    ``libvirt_error``: why the domains may be out of date though it reports: what its libvirtd
    answers, or that it does not. ``networks`` are the active ones. ``problems`` are texts about
    single things that could not be read. ``worker_version``: of its host worker.
    """

    name: str
    alive: bool
    weight: float = 1.0
    age_s: float | None = None
    libvirt_error: str | None = None
    uri: str | None = None
    hostname: str | None = None
    cpus: int | None = None
    memory_total_mib: int | None = None
    memory_free_mib: int | None = None
    libvirt_version: str | None = None
    hypervisor_version: str | None = None
    pools: tuple[PoolState, ...] = ()
    networks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    worker_version: str | None = None
