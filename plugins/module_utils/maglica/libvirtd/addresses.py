# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which address a vm is reached at; pure."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Union

from ..model.errors import ConfigInvalid
from ..model.vm import Interface

IpAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
# "This network" (RFC 6890, section 2.2.2) and IPv6's old form of an IPv4 address (RFC 4291, section
# 2.5.5.1), which has the unspecified address and loopback in it.
_HERE = (ipaddress.ip_network("0.0.0.0/8"), ipaddress.ip_network("::/96"))


class AddressFamily(str, enum.Enum):
    """Which kind of address is taken where a vm has both."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    IPV4_ONLY = "ipv4_only"
    IPV6_ONLY = "ipv6_only"


@dataclass(frozen=True)
class Preference:
    """Which of several addresses is taken: of the first of ``networks`` that has one, each a
    libvirt network's (or bridge's) name or a range such as 192.0.2.0/24; then of ``family``."""

    family: AddressFamily = AddressFamily.IPV4
    networks: tuple[str, ...] = ()


ANY = Preference()


@dataclass(frozen=True)
class Lease:
    """A DHCP lease on a libvirt network; ``expires`` is in seconds since 1970, 0 for never."""

    network: str
    mac: str
    address: str
    expires: float


def with_leases(interfaces: Sequence[Interface], leases: Iterable[Lease]) -> tuple[Interface, ...]:
    """Return the interfaces with the addresses of their leases, the newest lease first.

    A lease counts only on the network that the interface is defined to be on.
    """
    found: dict[tuple[str, str | None], list[str]] = {}
    # A lease that never expires (0) is a fixed one, ahead of all others.
    for lease in sorted(leases, key=lambda lease: (lease.expires != 0, -lease.expires)):
        found.setdefault((lease.mac, lease.network), []).append(lease.address)
    return tuple(
        replace(interface, addresses=only(found.get((interface.mac, interface.network), ())))
        for interface in interfaces
    )


def with_addresses(
    interfaces: Sequence[Interface], by_mac: Mapping[str, Sequence[str]]
) -> tuple[Interface, ...]:
    """Return the interfaces with the addresses that ``by_mac`` has for them.

    MACs that no interface has (a guest's inner bridges) are left out.
    """
    return tuple(
        replace(interface, addresses=only(by_mac.get(interface.mac, ())))
        for interface in interfaces
    )


def with_recorded(
    interfaces: Sequence[Interface], recorded: Iterable[tuple[str, str]]
) -> tuple[Interface, ...]:
    """Return the interfaces with the static addresses that ``recorded`` has for them: pairs of a
    MAC address and an address with its prefix length.
    """
    by_mac: dict[str, list[str]] = {}
    for mac, address in recorded:
        by_mac.setdefault(mac, []).append(address.partition("/")[0])
    return with_addresses(interfaces, by_mac)


def only(texts: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``texts`` that are addresses, each once."""
    return tuple(dict.fromkeys(text for text in texts if _parsed(text) is not None))


def choose(interfaces: Sequence[Interface], preference: Preference) -> str | None:
    """Return the address to reach a vm at, None when it has none that can be reached."""
    candidates = [
        (interface, address)
        for interface in interfaces
        for text in interface.addresses
        if (address := _reachable(text)) is not None and _allowed(address, preference.family)
    ]

    def rank(candidate: tuple[Interface, IpAddress]) -> tuple[int, bool]:
        interface, address = candidate
        place = next(
            (
                index
                for index, network in enumerate(preference.networks)
                if network == interface.network or _within(address, network)
            ),
            len(preference.networks),
        )
        return place, address.version != _version(preference.family)

    # min() keeps the order of interfaces and addresses among equals.
    return str(min(candidates, key=rank)[1]) if candidates else None


def check_network(text: str) -> str:
    """Return ``text`` when it is a network's name or a range. Raises ConfigInvalid."""
    if "/" in text:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ConfigInvalid(f"{text!r} is not a range of addresses: {error}") from None
    return text


def _version(family: AddressFamily) -> int:
    return 4 if family in (AddressFamily.IPV4, AddressFamily.IPV4_ONLY) else 6


def _allowed(address: IpAddress, family: AddressFamily) -> bool:
    only = family in (AddressFamily.IPV4_ONLY, AddressFamily.IPV6_ONLY)
    return not only or address.version == _version(family)


def _parsed(text: str) -> IpAddress | None:
    """Return an address; None for any other text, also where a zone follows, which may be any."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def _reachable(text: str) -> IpAddress | None:
    address = _parsed(text)
    if address is None:
        return None
    # What a guest says of itself may be anything: loopback would be the control machine itself,
    # which can be written in IPv6 too.
    address = getattr(address, "ipv4_mapped", None) or address
    unusable = (
        any(address in network for network in _HERE)
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )
    return None if unusable else address


def _within(address: IpAddress, network: str) -> bool:
    return "/" in network and address in ipaddress.ip_network(network)
