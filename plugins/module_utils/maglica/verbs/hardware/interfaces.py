# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network interfaces of a vm, as they are asked for: each is one that it has, by its MAC
address or else by its place, or a further one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from ...model import names
from ...model.card import Card, Link, Model, VirtualPort
from ...model.checks import Check, boolean, choice, integer, list_of, named, optional, record
from ...model.errors import MessageInvalid, NetworkUnsupported, VmUnknown
from ...model.plain import plain
from ...model.request import Nic
from ...model.vm import Domain, Interface
from ..verb import (
    ALLOW_RESTART,
    ENDING,
    FORCE,
    NAME,
    SHUTDOWN_TIMEOUT,
    OnVm,
    Option,
    WantedVm,
    vm_record,
    words,
)

FEATURE = "interfaces"
MAX_VLANS = 64
# The libvirt from which on a plain bridge of the kernel keeps guests to their VLANs.
BRIDGE_VLANS = (11, 0)


AS_IT_IS = Card()


@dataclass(frozen=True)
class WantedInterface:
    """How an interface of a vm shall be: there, or not (``present``); what is None is as it is.

    ``was`` is the MAC address by which it is named where it is to get another. ``further``: it is
    none of those that are there, unless one has its MAC address.
    """

    mac: str | None = None
    network: str | None = None
    bridge: str | None = None
    card: Card = AS_IT_IS
    present: bool = True
    was: str | None = None
    further: bool = False


class WantsInterfaces(WantedVm, Protocol):
    """What verbs about interfaces must know of how a vm shall be."""

    @property
    def interfaces(self) -> tuple[WantedInterface, ...]: ...


MAC = named(names.mac)
# An empty name is none.
_FILTER = Check(
    lambda value, path: "" if value == "" else NAME.read(value, path),
    {"anyOf": [NAME.schema, {"const": ""}]},
)
card = record(
    Card,
    model=optional(choice(Model)),
    link=optional(choice(Link)),
    filter=optional(_FILTER),
    vlan=optional(list_of(integer(1, 4094), MAX_VLANS)),
    virtualport=optional(choice(VirtualPort)),
)
_CARD = tuple(field.name for field in fields(Card))
RESTARTING = (ALLOW_RESTART, FORCE, SHUTDOWN_TIMEOUT)
OPTIONS = (
    Option("network", "--network", "the libvirt network that it is connected to", "text"),
    Option("bridge", "--bridge", "or the bridge of the host", "text"),
    Option("model", "--model", "the card that its guest sees", "text", choices=words(Model)),
    Option("link", "--link", "whether its cable is in", "text", choices=words(Link)),
    Option("filter", "--filter", "libvirt's network filter; an empty one is none", "any text"),
    Option("vlan", "--vlan", "the tag of its VLAN; several for a trunk", "numbers", "TAG"),
    Option(
        *("virtualport", "--virtualport", "the kind of switch that the bridge is", "text"),
        choices=words(VirtualPort),
    ),
)


def interface_record(cls: type[OnVm], **checks: Check) -> Check:
    """Return the check of an act on an interface, with the fields that only this act has."""
    connected = {"network": optional(NAME), "bridge": optional(NAME), "card": card}
    found = vm_record(cls, **connected, allow_restart=boolean, **ENDING, **checks)

    def read(value: Any, path: str) -> Any:
        spec = found.read(value, path)
        if spec.network and spec.bridge:
            raise MessageInvalid(f"{path}: names both a network and a bridge")
        return spec

    return Check(read, found.schema)


_wanted = record(
    WantedInterface,
    mac=optional(MAC),
    network=optional(NAME),
    bridge=optional(NAME),
    card=card,
    present=boolean,
    was=optional(MAC),
    further=boolean,
)
_NIC = frozenset(field.name for field in fields(Nic))


def _told(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return one as ``_wanted`` has it: what is of the card stands by itself there."""
    card = {key: each for key, each in value.items() if key in _CARD and each is not None}
    own = ("network", "bridge", "mac", "present", "was", "further")
    other = {key: each for key, each in value.items() if key in own}
    return {**other, "card": card}


def split(
    interfaces: Sequence[Any] | None,
) -> tuple[tuple[WantedInterface, ...], list[Any] | None, list[Any]]:
    """Return the interfaces that are asked for, also as plain data; and of those that a new vm has
    what CloneSpec has of them: None if nothing is said of them, and their cards.

    Raises MessageInvalid.
    """
    if interfaces is None:
        return (), None, []
    given = [plain(each) for each in interfaces]
    found = [_wanted(_told(each), f"interfaces[{index}]") for index, each in enumerate(given)]
    _check(found)
    of_new = [
        {key: value for key, value in each.items() if key in _NIC}
        for each, interface in zip(given, found)
        if interface.present
    ]
    cards = [plain(each.card) for each in found if each.present]
    none_said = all(value is None for each in cards for value in each.values())
    nics = of_new if of_new or not given else None
    return tuple(found), nics, [] if none_said else cards


def _check(found: Sequence[WantedInterface]) -> None:
    macs: set[str] = set()
    for index, each in enumerate(found):
        path = f"interfaces[{index}]"
        if each.network and each.bridge:
            raise MessageInvalid(f"{path}: names both a network and a bridge")
        if not each.present and each.mac is None:
            raise MessageInvalid(f"{path}: to be absent it needs its mac, since places change")
        if each.mac in macs:
            raise MessageInvalid(f"{path}: the MAC address {each.mac} stands twice in the list")
        macs.update(filter(None, (each.mac,)))


def matched(
    asked: WantsInterfaces, existing: Domain
) -> Iterator[tuple[WantedInterface, Interface | None]]:
    """Yield the interfaces that are asked for, each with the one that it is; None: it has none yet.

    Those with a MAC address that the vm has are these; the others are, in their order, those that
    none names. Raises VmUnknown for one that must be there.
    """
    there = {each.mac: each for each in existing.later_interfaces}
    named = {mac for each in asked.interfaces for mac in (each.mac, each.was) if mac}
    free = iter([each for mac, each in there.items() if mac not in named])
    for each in asked.interfaces:
        now = there.get(each.was or each.mac or "") or there.get(each.mac or "")
        if now is None and each.was is not None:
            known = ", ".join(there) or "none"
            raise VmUnknown(
                f"vm {existing.name} on host {existing.host} has no interface {each.was}; those"
                f" that it has: {known}"
            )
        if now is None and each.present and not each.further:
            now = next(free, None)
        yield each, now


def differing(asked: WantedInterface, now: Interface) -> dict[str, Any]:
    """Return what of an interface is to change, by the names that both have."""
    card = asked.card
    is_bridge = now.bridge is not None
    # A worker that does not tell of more has told the bridge's name, too.
    is_known = now.link is not None
    wrong_kind = {"network": is_bridge, "bridge": is_known and not is_bridge}
    changes: dict[str, Any] = {}
    for name, wrong in wrong_kind.items():
        value = getattr(asked, name)
        if value is not None and (wrong or value != now.network):
            changes[name] = value
    told: dict[str, Any] = {"mac": asked.mac, "model": card.model, "link": card.link}
    told |= {"filter": card.filter, "vlan": card.vlan, "virtualport": card.virtualport}
    for name, value in told.items():
        known = getattr(now, name)
        if value is not None and plain(value or None) != plain(known or None):
            changes[name] = value
    return changes


def is_reconnected(changes: Mapping[str, Any]) -> bool:
    """Tell whether an interface is connected to another network or bridge by these changes."""
    return bool(changes.get("network") or changes.get("bridge"))


def shown(interface: Interface) -> dict[str, Any]:
    """Return one that is there as a diff shows it."""
    told = {name: plain(getattr(interface, name)) for name in _SHOWN}
    return {name: value for name, value in told.items() if value not in (None, [])}


def promised(nics: Sequence[Nic], cards: Sequence[Card]) -> tuple[Interface, ...]:
    """Return a new vm's interfaces as they will be, as far as that is known.

    A name stands in the place of a MAC address that is still to be made up.
    """
    found = []
    for index, (nic, card) in enumerate(zip(nics, (*cards, *[Card()] * len(nics)))):
        told = {name: plain(value) for name, value in vars(card).items()}
        told["vlan"] = tuple(card.vlan or ())
        connected = nic.network or nic.bridge
        told["link"] = told["link"] or "up"
        found.append(Interface(nic.mac or f"#{index}", connected, (), nic.bridge, **told))
    return tuple(found)


_SHOWN = ("mac", "network", "bridge", *_CARD)


def check_vlan(
    spec: Card, version: str | None, connected: str = "", is_switch: bool = False
) -> None:
    """Raise NetworkUnsupported for VLAN tags that the libvirt of that version can't put on an
    interface; ``is_switch``: what it is connected to is an Open vSwitch by itself.
    """
    if not spec.vlan or is_switch or spec.virtualport is VirtualPort.OPENVSWITCH:
        return
    numbers = (version or "").split(".")[:2]
    if all(each.isdigit() for each in numbers) and tuple(map(int, numbers)) < BRIDGE_VLANS:
        on = f" on {connected}" if connected else ""
        raise NetworkUnsupported(
            f"VLAN tags{on} take an Open vSwitch (virtualport: openvswitch), or libvirt"
            f" {'.'.join(map(str, BRIDGE_VLANS))} for a plain bridge; this host has libvirt"
            f" {version}"
        )


def with_port(card: Card, now: Interface | None) -> Card:
    """Return a card that says of what kind its switch is where its tags must be judged."""
    is_switch = now is not None and now.virtualport == VirtualPort.OPENVSWITCH.value
    if card.vlan and card.virtualport is None and is_switch:
        return replace(card, virtualport=VirtualPort.OPENVSWITCH)
    return card
