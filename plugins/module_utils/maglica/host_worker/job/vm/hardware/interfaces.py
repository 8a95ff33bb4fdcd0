# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the acts on interfaces of a vm share: what one may be, and how a vm shows what is left for
its next start.

Nothing is written into a guest. Each act is done in the definition first, and then, as far as
libvirt and the guest can, in the vm that runs.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

from ....._deps import need
from .....domain import nics
from .....libvirtd import local
from .....model.card import Card
from .....model.errors import (
    HostDown,
    LibvirtFailed,
    NameTaken,
    NetworkUnknown,
    NetworkUnsupported,
)
from .....model.request import Nic, Request, Spec
from .....verbs.clone import CloneSpec
from .....verbs.hardware.add_interface import AddInterfaceSpec
from .....verbs.hardware.change_interface import ChangeInterfaceSpec
from .....verbs.hardware.interfaces import check_vlan
from .... import macs
from ...context import JobContext
from . import disks

_DEVICES = Path("/sys/class/net")

_log = logging.getLogger(__name__)


def check(nic: Nic, card: Card, context: JobContext) -> None:
    """Raise NetworkUnknown or NetworkUnsupported for what an interface can't be on this host."""
    connection = context.connect()
    is_switch = False
    if nic.network is not None:
        is_switch = _network(connection, nic.network).find("virtualport") is not None
    if nic.bridge is not None:
        _need_bridge(nic.bridge, card)
    if card.filter:
        _need_filter(connection, card.filter)
    if card.vlan and not is_switch:
        number = connection.getLibVersion()
        version = f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"
        check_vlan(card, version, nic.network or nic.bridge or "")


def _need_bridge(name: str, card: Card) -> None:
    """Raise NetworkUnknown for what is no bridge: a vm that is to be connected to it never starts.

    Only libvirtd of this machine is ever asked for changes.
    """
    device = _DEVICES / name
    if not device.exists():
        raise NetworkUnknown(f"there is no bridge {name}")
    # The kernel does not tell of which of its devices an Open vSwitch is made.
    if card.virtualport is None and not (device / "bridge").exists():
        raise NetworkUnknown(
            f"{name} is no bridge of the kernel's; for one of an Open vSwitch, say virtualport:"
            " openvswitch"
        )


def _network(connection: Any, name: str) -> ET.Element:
    libvirt = need("libvirt")
    try:
        network = connection.networkLookupByName(name)
        xml = network.XMLDesc() if network.isActive() else None
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, NetworkUnknown)
        raise failure(f"there is no network {name}: {error}") from error
    if xml is None:
        raise NetworkUnknown(f"the network {name} is not active")
    return ET.fromstring(xml)  # noqa: S314 - from libvirtd


def _need_filter(connection: Any, name: str) -> None:
    libvirt = need("libvirt")
    try:
        connection.nwfilterLookupByName(name)
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, NetworkUnsupported)
        raise failure(f"there is no network filter {name}: {error}") from error


def check_new(spec: CloneSpec, context: JobContext) -> None:
    """Raise what ``check`` raises for what a new vm's cards can't be; libvirt tells of the rest."""
    for nic, card in zip(spec.interfaces or (), spec.interface_devices):
        if card.filter or card.vlan:
            check(Nic(nic.network), card, context)


def check_mac(mac: str, domain: Any, context: JobContext) -> None:
    """Raise NameTaken for a MAC address that another vm of this host has, or is about to have."""
    owner = taken(context, domain.UUIDString()).get(mac) or _claimed(context).get(mac)
    if owner not in (None, domain.name()):
        raise _of_another(owner, mac)


def _claimed(context: JobContext) -> dict[str, str]:
    """Return which vm each MAC address is named for that open requests name: of several the one
    whose request came first, for each may be defined while another looks who has it.
    """
    found: dict[str, str] = {}
    for entry in context.journal.open():
        for mac in _named(entry.request.spec):
            found.setdefault(mac, entry.request.name)
    return found


def _named(spec: Spec) -> Iterator[str]:
    """Yield the MAC addresses that a spec names for its vm."""
    if isinstance(spec, CloneSpec):
        yield from (nic.mac for nic in spec.interfaces or () if nic.mac)
    elif isinstance(spec, AddInterfaceSpec) and spec.mac:
        yield spec.mac
    elif isinstance(spec, ChangeInterfaceSpec) and spec.new_mac:
        yield spec.new_mac


def _of_another(owner: str, mac: str | None) -> NameTaken:
    return NameTaken(f"{owner} has the MAC address {mac}: choose another")


def free_mac(request: Request, domain: Any, context: JobContext) -> str:
    """Return the MAC address that a request makes up, which no other vm of this host has."""
    return nics.mac_address(request.id, 0, taken(context, domain.UUIDString()))


def taken_of(specs: Sequence[CloneSpec], context: JobContext) -> dict[str, str]:
    """Return who has which MAC address on this host, as far as new vms must know it.

    To make one up it is enough to know which there are, which the worker knows; only where one is
    named all definitions are read. Raises LibvirtFailed, HostDown.
    """
    are_named = any(nic.mac for spec in specs for nic in spec.interfaces or ())
    known = None if are_named else macs.read(context.settings.state_dir)
    if known is not None:
        return dict.fromkeys(known, "another domain")
    with local.errors("read the MAC addresses of other domains", context.host):
        return {**_claimed(context), **taken(context)}


def claim(spec: CloneSpec, taken: dict[str, str]) -> None:
    """Note the MAC addresses that are named for a new vm. Raises NameTaken for one of others."""
    for nic in spec.interfaces or ():
        owner = taken.setdefault(nic.mac, spec.name) if nic.mac else spec.name
        if owner != spec.name:
            raise _of_another(owner, nic.mac)


def taken(context: JobContext, but: str = "") -> dict[str, str]:
    """Return who has which MAC address of the domains of this host, now or at their next start,
    of all but that with the UUID ``but``.
    """
    libvirt = need("libvirt")
    found: dict[str, str] = {}
    for other in context.connect().listAllDomains(0):
        if other.UUIDString() == but:
            continue
        try:
            roots = [root for root, _live in disks.definitions(other)]
            name = other.name()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                continue
            raise
        found.update((mac, name) for root in roots for mac in nics.macs(root))
    return found


def text(element: ET.Element) -> str:
    return ET.tostring(element, encoding="unicode")


def live(
    act: Callable[[str, int], Any], device: str, is_persistent: bool, request: Request
) -> bool:
    """Do with a device of a vm that runs what not each can; tell whether libvirt has done it.

    Raises libvirt's error where no definition has it for the next start.
    """
    libvirt = need("libvirt")
    try:
        act(device, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        if not is_persistent or local.kind_of(error, LibvirtFailed) is HostDown:
            raise
        _log.info("request %s: not while the guest runs: %s", request.id, error)
        return False
    return True
