# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks the addresses of a host's running domains up, source after source."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import _deps
from ..model.errors import HostDown
from ..model.reported import AddressSource
from ..model.text import short
from ..model.vm import Domain, Interface
from . import addresses
from .addresses import Lease
from .session import CALLS_AT_ONCE, Session, code, faults

# All agents of a host together may take this part of what is left of the host's time.
_AGENTS_PART = 0.5
# An agent that has not answered after so many seconds hangs: one that works needs milliseconds.
_AGENT_PATIENCE = 1.5


@dataclass(frozen=True)
class AskedDomain:
    """A domain with its handle (a ``virDomain``).

    ``on_network``: it has an interface on one of libvirt's own networks. ``agent``: its guest agent
    seems to run. ``recorded``: pairs of a MAC address and a static address with its prefix length.
    ``private_macs``: see Definition.
    """

    handle: Any
    domain: Domain
    on_network: bool = False
    agent: bool = False
    recorded: tuple[tuple[str, str], ...] = ()
    private_macs: frozenset[str] = frozenset()

    def on(self, interfaces: tuple[Interface, ...]) -> AskedDomain:
        shown = (
            replace(entry, addresses=()) if entry.mac in self.private_macs else entry
            for entry in interfaces
        )
        return replace(self, domain=replace(self.domain, interfaces=tuple(shown)))

    @property
    def lacks_address(self) -> bool:
        """Whether an address can be found, and is not yet."""
        interfaces = self.domain.interfaces
        may_have = any(entry.mac not in self.private_macs for entry in interfaces)
        return self.domain.active and may_have and not any(entry.addresses for entry in interfaces)


def look_up(
    session: Session,
    connection: Any,
    guests: Sequence[AskedDomain],
    sources: Sequence[AddressSource],
) -> list[Domain]:
    """Return the guests' domains with the addresses of the first source that knows some of each.

    An agent that hangs or fails, or a domain that ends meanwhile, just has no address; networks
    that can't be read are noted as the session's problems.
    """
    known = list(guests)
    for source in sources:
        places = [index for index, guest in enumerate(known) if guest.lacks_address]
        if places:
            found = _SOURCES[source](session, connection, [known[index] for index in places])
            for index, guest in zip(places, found):
                known[index] = guest
    return [guest.domain for guest in known]


def known_to(
    session: Session, connection: Any, guests: Sequence[AskedDomain], source: AddressSource
) -> list[AskedDomain]:
    """Return the guests with the addresses that one source knows of each, in order."""
    return _SOURCES[source](session, connection, guests)


def from_leases(
    session: Session, connection: Any, guests: Sequence[AskedDomain]
) -> list[AskedDomain]:
    """Return the guests with the addresses that libvirt's DHCP servers gave them."""
    libvirt = _deps.need("libvirt")
    if not any(guest.on_network for guest in guests):
        return list(guests)
    wanted = {interface.network for guest in guests for interface in guest.domain.interfaces}
    try:
        networks = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        leases = session.map(
            lambda network: network_leases(session, connection, network),
            [network for network in networks if network.name() in wanted],
        )
    except faults() as error:
        if code(error) == libvirt.VIR_ERR_NO_SUPPORT:
            # A driver that knows leases by domain only.
            source = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
            return _asked(session, connection, guests, source)
        if not session.excuse(connection, "the networks", error):
            raise
        return list(guests)
    every = [lease for group in leases for lease in group]
    return [guest.on(addresses.with_leases(guest.domain.interfaces, every)) for guest in guests]


def network_leases(session: Session, connection: Any, network: Any) -> tuple[Lease, ...]:
    """Return the leases of a ``virNetwork``, none when it has ended meanwhile or has an error."""
    libvirt = _deps.need("libvirt")
    name = network.name()
    try:
        found = network.DHCPLeases(None, 0)
    except faults() as error:
        number = code(error)
        ended = number in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_OPERATION_INVALID)
        if number == libvirt.VIR_ERR_NO_SUPPORT or not (
            ended or session.excuse(connection, f"the leases of network {short(name)}", error)
        ):
            raise
        return ()
    return tuple(
        Lease(
            network=name,
            mac=(entry.get("mac") or "").lower(),
            address=entry["ipaddr"],
            expires=entry.get("expirytime") or 0,
        )
        for entry in found
        if entry.get("ipaddr")
    )


def _from_agents(
    session: Session, _connection: Any, guests: Sequence[AskedDomain]
) -> list[AskedDomain]:
    """Ask the guests' agents, on connections of their own: libvirt lets only those ask who may
    write, and one that hangs is left by ending its connection."""
    waiting = deque(guest for guest in guests if guest.agent)
    found: dict[str, AskedDomain] = {}
    until = session.remaining() * (1 - _AGENTS_PART)

    def ask_until_one_hangs() -> None:
        with session.connected(read_only=False) as connection:
            while session.remaining() > until:
                guest = waiting.popleft()
                found[guest.domain.uuid] = session.aside(
                    connection, partial(_agent, connection, guest), _AGENT_PATIENCE
                )

    def ask(_number: int) -> None:
        # The end is when none is waiting. Who may not have such a connection does without agents.
        with contextlib.suppress(IndexError, HostDown):
            while waiting and session.remaining() > until:
                with contextlib.suppress(TimeoutError):
                    ask_until_one_hangs()

    session.map(ask, range(min(CALLS_AT_ONCE, len(waiting))))
    session.check()
    return [found.get(guest.domain.uuid, guest) for guest in guests]


def _agent(connection: Any, guest: AskedDomain) -> AskedDomain:
    source = _deps.need("libvirt").VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT
    return _asked_one(connection, guest, connection.lookupByUUIDString, source)


def _from_arp(
    session: Session, connection: Any, guests: Sequence[AskedDomain]
) -> list[AskedDomain]:
    source = _deps.need("libvirt").VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP
    return _asked(session, connection, guests, source)


def _recorded(
    _session: Session, _connection: Any, guests: Sequence[AskedDomain]
) -> list[AskedDomain]:
    return [
        guest.on(addresses.with_recorded(guest.domain.interfaces, guest.recorded))
        for guest in guests
    ]


def _asked(
    session: Session, connection: Any, guests: Sequence[AskedDomain], source: int
) -> list[AskedDomain]:
    return session.map(
        lambda guest: _asked_one(connection, guest, lambda _uuid: guest.handle, source), guests
    )


def _asked_one(
    connection: Any, guest: AskedDomain, handle_of: Callable[[str], Any], source: int
) -> AskedDomain:
    try:
        by_mac = _by_mac(handle_of(guest.domain.uuid).interfaceAddresses(source, 0))
    except faults():
        # It has just ended, or its agent answers nothing or nonsense, or this driver can't ask so:
        # there are too many errors for that to name them all. But without a connection there is no
        # host any more.
        if not connection.isAlive():
            raise
        return guest
    return guest.on(addresses.with_addresses(guest.domain.interfaces, by_mac))


def _by_mac(answer: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for interface in answer.values():
        # "addrs" is None for an interface without addresses.
        for entry in interface.get("addrs") or ():
            found.setdefault((interface.get("hwaddr") or "").lower(), []).append(entry["addr"])
    return found


_Source = Callable[[Session, Any, Sequence[AskedDomain]], list[AskedDomain]]
_SOURCES: dict[AddressSource, _Source] = {
    AddressSource.LEASE: from_leases,
    AddressSource.AGENT: _from_agents,
    AddressSource.ARP: _from_arp,
    AddressSource.RECORDED: _recorded,
}
