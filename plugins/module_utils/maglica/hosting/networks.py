# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host have a network."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from ..model.errors import ConfigInvalid, LibvirtFailed
from . import network as forms
from .network import NetworkDefinition
from .present import NETWORK, Change, Hosting, State

DEVICES = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
DNSMASQ = Path("/var/lib/libvirt/dnsmasq")
# As distributions' packages of libvirt define the network default.
SHIPPED = Path("/usr/share/libvirt/networks/default.xml")


def plan(hosting: Hosting, wanted: NetworkDefinition, autostart: bool, optional: bool) -> Change:
    """Return what has to be done. Raises ConfigInvalid if what is there stands against it.

    ``optional``: what somebody else has made stays as it is, and what stands against it is noted.
    The one that a package has brought is nobody's until it has run.
    """
    forms.check(wanted)
    try:
        return _plan(hosting, wanted, autostart, optional)
    except ConfigInvalid as error:
        if not optional:
            raise
        return hosting.without(NETWORK, wanted.name, str(error))


def _plan(hosting: Hosting, wanted: NetworkDefinition, autostart: bool, optional: bool) -> Change:
    found = hosting.find(NETWORK, wanted.name)
    if found is None:
        return _new(hosting, wanted, autostart)
    before, uuid = hosting.state(NETWORK, found), found.UUIDString()
    there = forms.read(before.xml)
    hosting.check_there(NETWORK, found, forms.differences(wanted, there))
    is_unused = not before.active and _is_as_shipped(before.xml) and not _has_run(there)
    if optional and there.uuid != uuid and not is_unused:
        hosting.check_runs(NETWORK, wanted.name, before)
        return Change(before, before, uuid)
    as_wanted = Change(before, State(before.xml, True, autostart), uuid)
    if before.active:
        return as_wanted
    no_bridge, no_subnet = _device_clash(there), _subnet_clash(there)
    if no_subnet and not no_bridge and wanted.address is None and is_unused:
        return _elsewhere(hosting, before, there, uuid, autostart)
    if no_bridge or no_subnet:
        raise ConfigInvalid(
            f"network {wanted.name} of host {hosting.host} is there, but can't be started:"
            f" {no_bridge or no_subnet}. Change it (virsh net-edit), or take another name"
        )
    return as_wanted


def apply(hosting: Hosting, wanted: NetworkDefinition, change: Change) -> None:
    """Do what ``plan`` returned.

    A first start that fails leaves no trace of having run, so that it is tried again.
    """
    there = forms.read(change.after.xml)
    had_run = _has_run(there)
    try:
        hosting.apply(NETWORK, wanted.name, change)
    except LibvirtFailed:
        found = hosting.find(NETWORK, wanted.name)
        # It may have been started by somebody else meanwhile.
        if found is not None and not had_run and not hosting.state(NETWORK, found).active:
            _trace(there).unlink(missing_ok=True)
        raise


def _new(hosting: Hosting, wanted: NetworkDefinition, autostart: bool) -> Change:
    made = forms.complete(wanted, _taken(hosting))
    clash = _device_clash(made) or _subnet_clash(made)
    if clash:
        raise ConfigInvalid(f"network {made.name} of host {hosting.host} can't be made: {clash}")
    return Change(State(), State(forms.xml(made), True, autostart), made.uuid)


def _elsewhere(
    hosting: Hosting, before: State, there: NetworkDefinition, uuid: str, autostart: bool
) -> Change:
    """Return what gives the network that a package has brought, and nobody used, a free subnet."""
    subnet = forms.free_subnet(_taken(hosting))
    if subnet is None:
        raise ConfigInvalid(
            f"host {hosting.host} has no free subnet for network {there.name}: {there.subnet} and"
            " all others that it could be given are in use"
        )
    moved = forms.with_subnet(there, subnet)
    note = f"network {there.name} of host {hosting.host} gets {subnet}: {there.subnet} is in use"
    return Change(before, State(forms.xml(moved, uuid), True, autostart), uuid, note)


def _taken(hosting: Hosting) -> list[IPv4Network]:
    """Return the subnets that the host uses, or has networks for."""
    defined = [forms.read(text).subnet for text in hosting.definitions(NETWORK)]
    return [net for _device, net in _routes()] + [net for net in defined if net]


def _routes() -> list[tuple[str, IPv4Network]]:
    return forms.subnets_of_routes(ROUTES.read_text())


def _device_clash(network: NetworkDefinition) -> str:
    """Return in words why a network that does not run can't have its bridge; nothing if it can."""
    bridge = DEVICES / network.bridge if network.bridge else None
    if network.mode == "bridge" and bridge and not (bridge / "bridge").is_dir():
        what = "is no bridge of the kernel" if bridge.exists() else "is not there"
        return f"the host's bridge {network.bridge} {what}, and is not made here"
    if network.makes_bridge and bridge and bridge.exists():
        return f"the host has a device {network.bridge} of its own, and libvirt would make it"
    return ""


def _subnet_clash(network: NetworkDefinition) -> str:
    """Return in words why it can't have its subnet."""
    subnet = network.subnet
    for device, other in _routes():
        if subnet and other.overlaps(subnet):
            return f"its subnet {subnet} is in use, the host reaches {other} by {device}"
    return ""


def _has_run(network: NetworkDefinition) -> bool:
    """Tell whether a network was ever started: libvirt leaves the configuration of its dnsmasq."""
    return _trace(network).exists()


def _trace(network: NetworkDefinition) -> Path:
    return DNSMASQ / f"{network.name}.conf"


def _is_as_shipped(text: str) -> bool:
    return SHIPPED.exists() and forms.is_as_shipped(text, SHIPPED.read_text())
