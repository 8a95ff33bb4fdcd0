# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host have a network."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from ..model.errors import ConfigInvalid
from . import network as forms
from .network import NetworkDefinition
from .present import NETWORK, Change, Hosting, State

DEVICES = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
# As distributions' packages of libvirt define the network default.
SHIPPED = Path("/usr/share/libvirt/networks/default.xml")


def plan(hosting: Hosting, wanted: NetworkDefinition, autostart: bool) -> Change:
    """Return what has to be done. Raises ConfigInvalid if what is there stands against it."""
    forms.check(wanted)
    found = hosting.find(NETWORK, wanted.name)
    if found is None:
        return _new(hosting, wanted, autostart)
    before = hosting.state(NETWORK, found)
    there = forms.read(before.xml)
    differences = forms.differences(wanted, there)
    if differences:
        raise ConfigInvalid(
            f"network {wanted.name} of host {hosting.host} is there, and {'; '.join(differences)}."
            " It is not changed: say what it is, or take another name"
        )
    uuid = found.UUIDString()
    if before.active:
        return Change(before, State(before.xml, True, autostart), uuid)
    clash = _clash(there)
    if clash and wanted.address is None and not before.autostart and _is_as_shipped(before.xml):
        return _elsewhere(hosting, before, there, uuid, autostart)
    if clash:
        raise ConfigInvalid(
            f"network {wanted.name} of host {hosting.host} is there, but can't be started: {clash}."
            " Change it (virsh net-edit), or take another name"
        )
    return Change(before, State(before.xml, True, autostart), uuid)


def apply(hosting: Hosting, wanted: NetworkDefinition, change: Change) -> None:
    """Do what ``plan`` returned."""
    hosting.apply(NETWORK, wanted.name, change)


def _new(hosting: Hosting, wanted: NetworkDefinition, autostart: bool) -> Change:
    made = forms.complete(wanted, _taken(hosting))
    clash = _clash(made)
    if clash:
        raise ConfigInvalid(f"network {made.name} of host {hosting.host} can't be made: {clash}")
    return Change(State(), State(forms.xml(made), True, autostart), made.uuid)


def _elsewhere(
    hosting: Hosting, before: State, there: NetworkDefinition, uuid: str, autostart: bool
) -> Change:
    """Return what gives the network that a package has brought, and nobody used, a free subnet."""
    subnet = forms.free_subnet(_taken(hosting))
    if subnet is None:
        raise ConfigInvalid(f"host {hosting.host} has no free subnet for network {there.name}")
    moved = forms.with_subnet(there, subnet)
    note = f"network {there.name} of host {hosting.host} gets {subnet}: {there.subnet} is in use"
    return Change(before, State(forms.xml(moved, uuid), True, autostart), uuid, note)


def _taken(hosting: Hosting) -> list[IPv4Network]:
    """Return the subnets that the host uses, or has networks for."""
    defined = [forms.read(text).subnet for text in hosting.definitions(NETWORK)]
    return [net for _device, net in _routes()] + [net for net in defined if net]


def _routes() -> list[tuple[str, IPv4Network]]:
    return forms.subnets_of_routes(ROUTES.read_text())


def _clash(network: NetworkDefinition) -> str:
    """Return in words why a network that does not run can't be started; nothing if it can."""
    bridge = DEVICES / network.bridge if network.bridge else None
    if network.mode == "bridge" and bridge and not (bridge / "bridge").is_dir():
        what = "is no bridge of the kernel" if bridge.exists() else "is not there"
        return f"the host's bridge {network.bridge} {what}, and is not made here"
    if network.makes_bridge and bridge and bridge.exists():
        return f"the host has a device {network.bridge} of its own, and libvirt would make it"
    subnet = network.subnet
    for device, other in _routes():
        if subnet and other.overlaps(subnet):
            return f"its subnet {subnet} is in use, the host reaches {other} by {device}"
    return ""


def _is_as_shipped(text: str) -> bool:
    return SHIPPED.exists() and forms.is_as_shipped(text, SHIPPED.read_text())
