# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a network: checked, written as libvirt's XML, read, and compared.

The format is https://libvirt.org/formatnetwork.html.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ..model.errors import ConfigInvalid
from . import definition

MODES = ("nat", "route", "isolated", "bridge")
# Modes in which libvirt makes the bridge.
_OWN_BRIDGE = ("nat", "route", "isolated")
# Where a network goes whose address is not said: libvirt's own first, then its neighbours, then the
# same in two other blocks, where a way to all of 192.168.0.0/16 is in use.
_BLOCKS = ("192.168", "172.30", "10.254")
_SUBNETS = [IPv4Network(f"{two}.{third}.0/24") for two in _BLOCKS for third in range(122, 255)]
_DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"
# What libvirt shows of a network that has no more than its mode, a bridge and a range.
_SHIPPED_TAGS = {
    *("network", "name", "uuid", "forward", "nat", "port", "bridge", "mac"),
    *("ip", "dhcp", "range"),
}
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
_LINE = re.compile(r"[!-~][ -~]{0,499}")


@dataclass(frozen=True)
class NetworkDefinition:
    """A network, wanted or there; None: that is not said.

    ``address`` is the host's own in the network with the length of its prefix, ``dhcp`` the first
    and the last address that DHCP gives, of each range one after the other. ``dns_forwarders`` are
    the servers that its DNS asks, ``dnsmasq_options`` lines of dnsmasq's configuration.
    """

    name: str
    mode: str | None = None
    bridge: str | None = None
    address: str | None = None
    dhcp: tuple[str, ...] | None = None
    domain: str | None = None
    dns_forwarders: tuple[str, ...] | None = None
    dnsmasq_options: tuple[str, ...] | None = None
    stp: bool | None = None

    @property
    def uuid(self) -> str:
        """The UUID that it has if Maglica made it."""
        return definition.own_uuid("network", self.name, self.mode or "")

    @property
    def subnet(self) -> IPv4Network | None:
        """The addresses that it has, of IPv4."""
        return IPv4Interface(self.address).network if self.address else None

    @property
    def makes_bridge(self) -> bool:
        """Whether libvirt makes its bridge."""
        return self.mode in _OWN_BRIDGE


def check(wanted: NetworkDefinition) -> None:
    """Raise ConfigInvalid if there can't be such a network."""
    definition.check_name(wanted.name, "network")
    subject = f"network {wanted.name}"
    if wanted.bridge is not None and not _DEVICE.fullmatch(wanted.bridge):
        raise ConfigInvalid(f"bridge: {wanted.bridge[:40]!r} of {subject} is no name of a bridge")
    if wanted.mode == "bridge":
        _check_of_a_bridge(wanted, subject)
    if wanted.mode == "route" and wanted.address is None:
        raise ConfigInvalid(
            f"address: {subject} of mode route needs one, such as 192.0.2.1/24: others have to know"
            " the way to it"
        )
    if wanted.dhcp and wanted.address is None:
        raise ConfigInvalid(f"dhcp: {subject} gives addresses, so it needs an address of its own")
    if wanted.address is not None:
        _check_addresses(wanted, subject)
    if wanted.domain is not None and not _DOMAIN.fullmatch(wanted.domain):
        raise ConfigInvalid(f"domain: {wanted.domain[:80]!r} of {subject} is no name of a domain")
    for server in wanted.dns_forwarders or ():
        _address("dns_forwarders", server, subject)
    for line in wanted.dnsmasq_options or ():
        if not _LINE.fullmatch(line):
            raise ConfigInvalid(f"dnsmasq_options: {line[:80]!r} of {subject} is not one line")


def _check_of_a_bridge(wanted: NetworkDefinition, subject: str) -> None:
    if wanted.bridge is None:
        raise ConfigInvalid(f"bridge: {subject} of mode bridge needs the name of the host's bridge")
    own = asdict(replace(wanted, name="", mode=None, bridge=None))
    for option in [key for key, value in own.items() if value]:
        raise ConfigInvalid(
            f"{option}: {subject} of mode bridge has none: what is on the bridge {wanted.bridge} is"
            " the host's business"
        )


def _check_addresses(wanted: NetworkDefinition, subject: str) -> None:
    try:
        own = IPv4Interface(str(wanted.address))
    except ValueError:
        own = IPv4Interface("0.0.0.0/32")
    if own.network.prefixlen > 30 or own.ip in _ends(own.network):
        raise ConfigInvalid(
            f"address: {str(wanted.address)[:40]!r} of {subject} is no address of a host in an IPv4"
            " network, such as 192.0.2.1/24"
        )
    given = [_address("dhcp", each, subject) for each in wanted.dhcp or ()]
    for each in given:
        if each not in own.network or each in _ends(own.network):
            raise ConfigInvalid(f"dhcp: {each} of {subject} is no host's address in {own.network}")
    if given and not (given[0] <= given[1] and not given[0] <= own.ip <= given[1]):
        raise ConfigInvalid(
            f"dhcp: {' to '.join(map(str, given))} of {subject} is no range beside {own.ip}"
        )


def _ends(network: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    return network.network_address, network.broadcast_address


def _address(option: str, text: str, subject: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ConfigInvalid(f"{option}: {text[:40]!r} of {subject} is no IPv4 address") from None


def complete(wanted: NetworkDefinition, taken: Collection[IPv4Network]) -> NetworkDefinition:
    """Return the network to be made, with what was not said.

    ``taken`` are the subnets that the host uses. Raises ConfigInvalid if none is left.
    """
    wanted = replace(wanted, mode=wanted.mode or "nat")
    if wanted.mode == "nat" and wanted.address is None:
        subnet = free_subnet(taken)
        if subnet is None:
            raise ConfigInvalid(
                f"network {wanted.name} has no address, and all of 122 to 254 in"
                f" {', '.join(_BLOCKS)} are in use: give it the address of a free network"
            )
        return with_subnet(wanted, subnet)
    return wanted


def free_subnet(taken: Collection[IPv4Network]) -> IPv4Network | None:
    """Return a /24 that nobody uses."""
    free = (net for net in _SUBNETS if not any(net.overlaps(other) for other in taken))
    return next(free, None)


def with_subnet(network: NetworkDefinition, subnet: IPv4Network) -> NetworkDefinition:
    """Return a network in another subnet, all of which DHCP gives."""
    own = IPv4Interface((int(subnet[1]), subnet.prefixlen))
    return replace(network, address=str(own), dhcp=(str(subnet[2]), str(subnet[-2])))


def xml(network: NetworkDefinition, uuid: str | None = None) -> str:
    """Return the definition of a complete network, under ``uuid`` or Maglica's own."""
    ET.register_namespace("dnsmasq", _DNSMASQ)
    root = ET.Element("network")
    ET.SubElement(root, "name").text = network.name
    ET.SubElement(root, "uuid").text = uuid or network.uuid
    if network.mode != "isolated":
        ET.SubElement(root, "forward", mode=str(network.mode))
    if not network.makes_bridge:
        ET.SubElement(root, "bridge", name=str(network.bridge))
        return definition.written(root)
    named = {"name": network.bridge} if network.bridge else {}
    stp = "off" if network.stp is False else "on"
    ET.SubElement(root, "bridge", named, stp=stp, delay="0")
    _add_services(root, network)
    return definition.written(root)


def _add_services(root: ET.Element, network: NetworkDefinition) -> None:
    """Add what dnsmasq gives, and the host's own address."""
    if network.domain:
        ET.SubElement(root, "domain", name=network.domain, localOnly="yes")
    if network.dns_forwarders:
        dns = ET.SubElement(root, "dns")
        for server in network.dns_forwarders:
            ET.SubElement(dns, "forwarder", addr=server)
    if network.address:
        own = IPv4Interface(network.address)
        ip = ET.SubElement(root, "ip", address=str(own.ip), prefix=str(own.network.prefixlen))
        if network.dhcp:
            ET.SubElement(ET.SubElement(ip, "dhcp"), "range", _range(network.dhcp))
    if network.dnsmasq_options:
        options = ET.SubElement(root, f"{{{_DNSMASQ}}}options")
        for line in network.dnsmasq_options:
            ET.SubElement(options, f"{{{_DNSMASQ}}}option", value=line)


def _range(dhcp: tuple[str, ...]) -> dict[str, str]:
    return {"start": dhcp[0], "end": dhcp[1]}


def read(text: str) -> NetworkDefinition:
    """Return the network that a definition of libvirt's describes."""
    root = ET.fromstring(text)  # noqa: S314 - written by libvirtd from its own tree
    forward, bridge, domain = root.find("forward"), root.find("bridge"), root.find("domain")
    own = [ip for ip in root.findall("ip") if ip.get("family", "ipv4") == "ipv4"]
    ranges = [each for ip in own for each in ip.findall("dhcp/range")]
    options = root.findall(f"{{{_DNSMASQ}}}options/{{{_DNSMASQ}}}option")
    return NetworkDefinition(
        name=root.findtext("name") or "",
        mode="isolated" if forward is None else forward.get("mode", "nat"),
        bridge=None if bridge is None else bridge.get("name"),
        address=_own_address(own[0]) if own else None,
        dhcp=tuple(each.get(end) or "" for each in ranges for end in ("start", "end")),
        domain=None if domain is None else domain.get("name"),
        dns_forwarders=tuple(each.get("addr") or "" for each in root.findall("dns/forwarder")),
        dnsmasq_options=tuple(each.get("value") or "" for each in options),
        stp=None if bridge is None else bridge.get("stp", "on") == "on",
    )


def _own_address(ip: ET.Element) -> str | None:
    """Return the address of an element <ip>; None if libvirt has one that is no IPv4."""
    length = ip.get("prefix") or ip.get("netmask") or "32"
    try:
        return str(IPv4Interface(f"{ip.get('address')}/{length}"))
    except ValueError:
        return None


def differences(wanted: NetworkDefinition, there: NetworkDefinition) -> list[str]:
    """Return in words in what a network is not as it is wanted."""
    if wanted.address is not None:
        wanted = replace(wanted, address=str(IPv4Interface(wanted.address)))
    return list(definition.differences(asdict(wanted), asdict(there)))


def is_as_shipped(text: str, shipped: str) -> bool:
    """Tell whether a network is as a package has defined it, perhaps moved to another subnet."""
    tags = {each.tag for each in ET.fromstring(text).iter()}  # noqa: S314 - as in read
    there, brought = read(text), read(shipped)
    if there.subnet:
        brought = with_subnet(brought, there.subnet)
    return tags <= _SHIPPED_TAGS and there == brought


def subnets_of_routes(table: str) -> list[tuple[str, IPv4Network]]:
    """Return devices and subnets of /proc/net/route, but for the way to everywhere."""
    found = []
    for line in table.splitlines()[1:]:
        device, destination, _gateway, _flags, _count, _use, _metric, mask = line.split()[:8]
        net, length = (int.from_bytes(bytes.fromhex(x)[::-1], "big") for x in (destination, mask))
        if length:
            found.append((device, ipaddress.IPv4Network((net, bin(length).count("1")))))
    return found
