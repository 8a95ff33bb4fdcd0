# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NoCloud's ``network-config`` says of a clone's interfaces (version 2). Pure.

The format is cloud-init's "Networking config Version 2", which is netplan's. cloud-init 22.4 and
25.1 hand it to netplan as it is, and find the interface by its MAC address for all other renderers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Union

from ..identity import NicIdentity

_Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
_ALL_4, _ALL_6 = "0.0.0.0/0", "::/0"


def network_config(nics: Iterable[NicIdentity], loses_routes6: bool = False) -> dict[str, Any]:
    """Return the configuration of all interfaces.

    ``loses_routes6``: the guest's cloud-init takes ``::/0`` for ``::/64``, as all before 23.1 do
    that don't hand it to netplan; these have an older word, which newer ones complain of.

    Of two files for one interface, networkd takes the first by name, and netplan names them by what
    an interface is called here. So none that an image has for any card (Debian's ``all-en``) is to
    come first.
    """
    ethernets = {
        f"00-nic{number:02}": _ethernet(nic, loses_routes6) for number, nic in enumerate(nics)
    }
    return {"version": 2, "ethernets": ethernets}


def _ethernet(nic: NicIdentity, loses_routes6: bool) -> dict[str, Any]:
    config: dict[str, Any] = {"match": {"macaddress": nic.mac}}
    if not nic.addresses:
        # The guest tells the server its host name by itself. IPv6 comes by router advertisements:
        # with ifupdown a server for DHCPv6 that isn't there would be waited for.
        config["dhcp4"] = True
    else:
        config["dhcp4"] = False
        config["addresses"] = list(nic.addresses)
        networks = [ipaddress.ip_interface(address) for address in nic.addresses]
        routes = [_default_route(gateway, networks) for gateway in nic.gateways]
        if any(route["to"] == _ALL_6 for route in routes):
            # Else networkd shares the traffic out between this and each router that advertises
            # itself.
            config["accept-ra"] = False
        if loses_routes6:
            for route in (route for route in routes if route["to"] == _ALL_6):
                config["gateway6"] = route["via"]
            routes = [route for route in routes if route["to"] != _ALL_6]
        if routes:
            config["routes"] = routes
    names = {"addresses": list(nic.nameservers), "search": list(nic.search)}
    if nic.nameservers or nic.search:
        config["nameservers"] = {key: value for key, value in names.items() if value}
    return config


def _default_route(gateway: str, networks: Iterable[_Interface]) -> dict[str, Any]:
    address = ipaddress.ip_address(gateway)
    route: dict[str, Any] = {"to": _ALL_4 if address.version == 4 else _ALL_6, "via": gateway}
    if not _is_near(address, networks):
        route["on-link"] = True
    return route


def _is_near(gateway: _Address, networks: Iterable[_Interface]) -> bool:
    # One by its link-local address is always on the link; for IPv4 that network is as any other.
    is_local = gateway.version == 6 and gateway.is_link_local
    return is_local or any(gateway in interface.network for interface in networks)
