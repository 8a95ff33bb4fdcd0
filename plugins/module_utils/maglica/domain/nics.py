# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a clone: those of the image with new MAC addresses, or those asked for."""

from __future__ import annotations

import copy
import hashlib
import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from ..model.errors import ImageUnsupported
from ..model.request import Nic

# QEMU's own prefix, with the bit set that says "locally administered".
MAC_PREFIX = "52:54:00"
# What stays of the image's interface when another network is asked for: the device as the guest
# sees it, and what it is kept from. A VLAN and a virtual port are of its old connection's switch:
# the other network says itself on which VLAN its guests are.
_DEVICE = frozenset(
    {
        "address",
        "alias",
        "bandwidth",
        "boot",
        "driver",
        "filterref",
        "link",
        "model",
        "mtu",
        "port",
        "rom",
    }
)
# Parameters of a network filter that say who the guest is. libvirt sets MAC, and learns IP.
_IDENTITY = frozenset({"IP", "IPV6", "MAC"})
_ADDED = frozenset({"driver", "model"})


def mac_address(request_id: str, index: int, taken: Sequence[str] = ()) -> str:
    """Return the MAC address of interface ``index`` of the vm that the request makes.

    It is the same each time for the same arguments, and none of ``taken``.
    """
    for attempt in range(1 << 24):
        seed = f"{request_id}/{index}/{attempt}" if attempt else f"{request_id}/{index}"
        digest = hashlib.sha256(seed.encode()).digest()
        mac = f"{MAC_PREFIX}:{digest[0]:02x}:{digest[1]:02x}:{digest[2]:02x}"
        if mac not in taken:
            return mac
    raise ImageUnsupported("no MAC address is left")


def rewrite(root: ET.Element, nics: Sequence[Nic] | None, request_id: str) -> None:
    """Give the domain ``root`` its own interfaces, in place.

    ``nics`` None keeps the image's, each with a new MAC address. Otherwise there are as many as
    ``nics`` has; each keeps the device of the image's interface at its place, if there is one, else
    the model of the last. A Nic that names neither network nor bridge, or the same one as the
    image's at its place, is connected as that. A network filter stays in any case, and gets the
    addresses of ``nics``.
    """
    devices = root.find("devices")
    if devices is None:
        raise ImageUnsupported("the definition has no <devices>")
    old = devices.findall("interface")
    wanted = [Nic() for _old in old] if nics is None else list(nics)
    place = list(devices).index(old[0]) if old else len(devices)
    for element in old:
        devices.remove(element)
    macs = [nic.mac for nic in wanted if nic.mac]
    if len(set(macs)) != len(macs):
        raise ImageUnsupported("two interfaces have the same MAC address")
    for index, nic in enumerate(wanted):
        mac = nic.mac or mac_address(request_id, index, macs)
        macs.append(mac)
        devices.insert(place + index, _interface(old, index, nic, mac))


def _interface(old: Sequence[ET.Element], index: int, nic: Nic, mac: str) -> ET.Element:
    if nic.network and nic.bridge:
        raise ImageUnsupported(f"interface {index} names both a network and a bridge")
    if index < len(old) and _is_connected(old[index], nic):
        element = copy.deepcopy(old[index])
        _forget_port(element)
    elif nic.network or nic.bridge:
        element = _connected(old, index, nic)
    else:
        raise ImageUnsupported(
            f"interface {index} names no network or bridge, and the image has only {len(old)}"
        )
    for stale in element.findall("mac"):
        element.remove(stale)
    element.insert(0, ET.Element("mac", {"address": mac}))
    for filterref in element.iterfind("filterref"):
        _filter(filterref, index, nic)
    return element


def _is_connected(element: ET.Element, nic: Nic) -> bool:
    """Say whether an interface of the image is connected as ``nic`` wants it."""
    if not (nic.network or nic.bridge):
        return True
    kind = "network" if nic.network else "bridge"
    source = element.find("source")
    return (
        element.get("type") == kind
        and source is not None
        and source.get(kind) == (nic.network or nic.bridge)
    )


def _filter(filterref: ET.Element, index: int, nic: Nic) -> None:
    """Let a network filter know the clone's addresses instead of the image's."""
    stated = set()
    learning = "any"
    for parameter in filterref.findall("parameter"):
        if parameter.get("name") in _IDENTITY:
            stated.add(parameter.get("name"))
            filterref.remove(parameter)
        elif parameter.get("name") == "CTRL_IP_LEARNING":
            learning = parameter.get("value", "")
    found: dict[str, list[str]] = {"IP": [], "IPV6": []}
    for text in nic.addresses:
        ip = ipaddress.ip_interface(text).ip
        found["IP" if ip.version == 4 else "IPV6"].append(str(ip))
    for name, addresses in found.items():
        for address in addresses:
            ET.SubElement(filterref, "parameter", {"name": name, "value": address})
        cannot_learn = name == "IPV6" or learning == "none"
        if name in stated and not addresses and cannot_learn:
            family = "IPv4" if name == "IP" else "IPv6"
            raise ImageUnsupported(
                f"interface {index} has the network filter {filterref.get('filter')} for one"
                f" {family} address, which libvirt does not learn: name one in interfaces"
            )


def _connected(old: Sequence[ET.Element], index: int, nic: Nic) -> ET.Element:
    kind = "network" if nic.network else "bridge"
    element = ET.Element("interface", {"type": kind})
    ET.SubElement(element, "source", {kind: nic.network or nic.bridge or ""})
    if index < len(old):
        element.extend(copy.deepcopy(child) for child in old[index] if child.tag in _DEVICE)
    elif old:
        element.extend(copy.deepcopy(child) for child in old[-1] if child.tag in _ADDED)
    if element.find("model") is None:
        ET.SubElement(element, "model", {"type": "virtio"})
    return element


def _forget_port(element: ET.Element) -> None:
    """Remove what names the image's own port on its network; libvirt makes new names."""
    for target in element.findall("target"):
        element.remove(target)
    for source in element.iterfind("source"):
        source.attrib.pop("portid", None)
    for parameters in element.iterfind("virtualport/parameters"):
        for name in ("interfaceid", "instanceid"):
            parameters.attrib.pop(name, None)
