# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a definition: what they are, changed in place; and those of a clone, which are
the image's with new MAC addresses, or those asked for.
"""

from __future__ import annotations

import copy
import hashlib
import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Callable

from ..model.card import Card, Model
from ..model.errors import ImageUnsupported
from ..model.request import Nic
from ..model.vm import Interface

# QEMU's own prefix, with the bit set that says "locally administered".
MAC_PREFIX = "52:54:00"
# What stays of an interface that is connected otherwise: the device as the guest sees it, and what
# it is kept from. A VLAN and a virtual port are of its old connection's switch: the other network
# says itself on which VLAN its guests are.
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
_OF_ANY = _DEVICE | {"mac", "target"}
# Parameters of a network filter that say who the guest is. libvirt sets MAC, and learns IP.
_IDENTITY = frozenset({"IP", "IPV6", "MAC"})
_ADDED = frozenset({"driver", "model"})


def settled(
    now: Sequence[Interface], later: Sequence[Interface], bridge_of: Callable[[str], str | None]
) -> tuple[tuple[Interface, ...], tuple[Interface, ...] | None]:
    """Return the interfaces that a domain has which runs, and those that it has once it is started
    anew, by the definition that it has then; None: the same. ``bridge_of`` tells the bridge of a
    network.
    """
    if len(now) == len(later) and all(_are_same(*each, bridge_of) for each in zip(now, later)):
        return tuple(later), None
    return tuple(now), tuple(later)


def _are_same(now: Interface, later: Interface, bridge_of: Callable[[str], str | None]) -> bool:
    """Tell whether an interface that runs is as it is defined.

    Where one has been connected to a network of a bridge, libvirt knows the bridge only. The tags
    of one on a network may be that network's.
    """
    may_be_forgotten = later.bridge is None and now.bridge is not None
    is_forgotten = may_be_forgotten and now.bridge == bridge_of(later.network or "")
    if not is_forgotten and (now.network, now.bridge) != (later.network, later.bridge):
        return False
    told = [(each.mac, each.model, each.link, each.filter) for each in (now, later)]
    return told[0] == told[1] and (later.bridge is None or now.vlan == later.vlan)


def mac_address(request_id: str, index: int, taken: Collection[str] = ()) -> str:
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


def rewrite(
    root: ET.Element,
    nics: Sequence[Nic] | None,
    request_id: str,
    cards: Sequence[Card] = (),
    taken: Collection[str] = (),
) -> None:
    """Give the domain ``root`` its own interfaces, in place.

    ``nics`` None keeps the image's, each with a new MAC address. Otherwise there are as many as
    ``nics`` has; each keeps the device of the image's interface at its place, if there is one, else
    the model of the last. A Nic that names neither network nor bridge, or the same one as the
    image's at its place, is connected as that. A network filter stays in any case, and gets the
    addresses of ``nics``. ``cards`` say what else of them is to be otherwise, each at its place.
    No MAC address that is made up is one of ``taken``, those of others.
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
        mac = nic.mac or mac_address(request_id, index, {*macs, *taken})
        macs.append(mac)
        element = _interface(old, index, nic, mac)
        if index < len(cards):
            set_card(element, cards[index])
        devices.insert(place + index, element)


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


def describe(element: ET.Element) -> Interface:
    """Return what an <interface> says."""
    source = element.find("source")
    network = bridge = None
    if source is not None:
        network = source.get("network") or source.get("bridge") or source.get("dev")
        if not source.get("network"):
            bridge = source.get("bridge")
    return Interface(
        mac=mac(element),
        network=network,
        bridge=bridge,
        model=_attribute(element, "model", "type"),
        link=_attribute(element, "link", "state") or "up",
        filter=_attribute(element, "filterref", "filter"),
        vlan=tuple(_tags(element)),
        virtualport=_attribute(element, "virtualport", "type"),
    )


def _attribute(element: ET.Element, path: str, name: str) -> str | None:
    found = element.find(path)
    return None if found is None else found.get(name)


def mac(interface: ET.Element) -> str:
    """Return its MAC address."""
    return (_attribute(interface, "mac", "address") or "").lower()


def is_private(interface: ET.Element) -> bool:
    """Tell whether its addresses mean nothing outside the guest."""
    return interface.get("type") == "user" or interface.find("backend[@type='passt']") is not None


def _tags(element: ET.Element) -> Iterator[int]:
    for tag in element.iterfind("vlan/tag"):
        told = tag.get("id", "")
        if told.isascii() and told.isdigit() and len(told) <= 4:
            yield int(told)


def macs(root: ET.Element) -> Iterator[str]:
    """Yield the MAC addresses of a definition's interfaces."""
    for element in root.iterfind("devices/interface/mac"):
        yield element.get("address", "").lower()


def find(root: ET.Element, mac: str) -> ET.Element | None:
    """Return the interface with that MAC address."""
    for element in root.iterfind("devices/interface"):
        if any(each.get("address", "").lower() == mac for each in element.findall("mac")):
            return element
    return None


def new(mac: str, network: str | None, bridge: str | None, card: Card) -> ET.Element:
    """Return a further interface, with virtio if the card says nothing else."""
    element = ET.Element("interface")
    ET.SubElement(element, "mac", {"address": mac})
    connect(element, network, bridge)
    set_card(element, card)
    if element.find("model") is None:
        ET.SubElement(element, "model", {"type": Model.VIRTIO.value})
    return element


def change(
    element: ET.Element, mac: str | None, network: str | None, bridge: str | None, card: Card
) -> None:
    """Change what is said, and leave the rest."""
    if mac is not None:
        for child in element.findall("mac"):
            child.set("address", mac)
    if network or bridge:
        connect(element, network, bridge)
    set_card(element, card)


def connect(element: ET.Element, network: str | None, bridge: str | None) -> None:
    """Connect an interface to a network or bridge, with nothing of its old connection's."""
    for child in [child for child in element if child.tag not in _OF_ANY]:
        element.remove(child)
    kind = "network" if network else "bridge"
    element.set("type", kind)
    element.insert(1, ET.Element("source", {kind: network or bridge or ""}))


def set_card(element: ET.Element, card: Card) -> None:
    """Have an interface's card as it is said."""
    if card.model is not None:
        _model(element, card.model.value)
    if card.link is not None:
        _replace(element, "link", [{"state": card.link.value}])
    if card.filter is not None:
        _replace(element, "filterref", [{"filter": card.filter}] if card.filter else [])
    if card.virtualport is not None:
        _replace(element, "virtualport", [{"type": card.virtualport.value}])
    if card.vlan is not None:
        _replace(element, "vlan", [])
    if card.vlan:
        trunk = {"trunk": "yes"} if len(card.vlan) > 1 else {}
        vlan = ET.SubElement(element, "vlan", trunk)
        for tag in card.vlan:
            ET.SubElement(vlan, "tag", {"id": str(tag)})


def _model(element: ET.Element, model: str) -> None:
    found = element.find("model")
    if found is not None and found.get("type") == model:
        return
    # What another card is told, and where it was plugged in, need not suit this one.
    for tag in ("driver", "address", "rom"):
        _replace(element, tag, [])
    _replace(element, "model", [{"type": model}])


def _replace(element: ET.Element, tag: str, by: Iterable[dict[str, str]]) -> None:
    for child in element.findall(tag):
        element.remove(child)
    for attributes in by:
        ET.SubElement(element, tag, attributes)
