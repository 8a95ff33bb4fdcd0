# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet shows: frozen values; sizes are in bytes or MiB as the field's name says."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from .vm_identity import Interface


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


class HostEntry(Protocol):
    """What must be known of a host to read it: config.HostEntry and its like."""

    @property
    def name(self) -> str: ...

    @property
    def uri(self) -> str: ...


@dataclass(frozen=True)
class Disk:
    """A disk of a domain; ``source`` is a path, a device, a volume or a URL as libvirt names it.

    ``capacity_bytes`` is what the guest sees, ``allocation_bytes`` what the storage holds.
    """

    target: str
    device: str = "disk"
    format: str | None = None
    source: str | None = None
    capacity_bytes: int | None = None
    allocation_bytes: int | None = None


# States of libvirt_facts.state_name that an active domain may have while its guest does not run.
_STANDING = frozenset({"paused", "suspended", "crashed", "stopping"})


@dataclass(frozen=True)
class Domain:
    """A domain on a host. What was not read is None or empty.

    ``made``: Maglica made it (None: not known, which happens to active domains read minimally).
    ``image``, ``image_version`` and ``request`` are what it was cloned from and by; ``created`` is
    in seconds since 1970. ``checksum`` was recorded with an image. ``ssh_host_keys`` are the public
    ones that Maglica gave it. ``xml`` is the definition, only if it was asked for.
    """

    name: str
    uuid: str
    host: str
    state: str
    active: bool
    made: bool | None = None
    image: str | None = None
    image_version: str | None = None
    request: str | None = None
    created: float | None = None
    who: str | None = None
    clone_mode: str | None = None
    base: str | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    interfaces: tuple[Interface, ...] = ()
    disks: tuple[Disk, ...] = ()
    tags: tuple[str, ...] = ()
    address: str | None = None
    checksum: str | None = None
    ssh_host_keys: tuple[str, ...] = ()
    xml: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the guest runs: one that is paused, suspended, crashed or going off is active,
        but does not.
        """
        return self.active and self.state not in _STANDING

    @property
    def is_image(self) -> bool:
        # A transient domain is gone when it stops: an inactive one is persistent.
        return not self.active and self.made is False


@dataclass(frozen=True)
class Pool:
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
    pools: tuple[Pool, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unreachable:
    """A host that could not be read, and why."""

    host: str
    text: str


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
