# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fake cell of vm_fake.py does with interfaces of its vms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maglica.domain import nics as domain_nics
from maglica.model.card import Card
from maglica.model.plain import plain
from maglica.model.request import Nic
from maglica.model.vm import Domain, Interface
from maglica.verbs.hardware import interfaces
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec


def added(domain: Domain, spec: AddInterfaceSpec) -> Domain:
    mac = spec.mac or f"52:54:00:00:00:{len(domain.interfaces):02x}"
    nic = interfaces.promised([Nic(spec.network, spec.bridge, mac)], [spec.card])
    return replace(domain, interfaces=(*domain.interfaces, *nic))


def changed(domain: Domain, spec: ChangeInterfaceSpec) -> Domain:
    """What its guest can't have while it runs is left for its next start."""
    said = {name: value for name, value in plain(spec.card).items() if value is not None}
    said |= {"vlan": tuple(spec.card.vlan)} if spec.card.vlan is not None else {}
    if spec.network or spec.bridge:
        said |= {"network": spec.network or spec.bridge, "bridge": spec.bridge}
    said |= {"mac": spec.new_mac} if spec.new_mac else {}
    later = tuple(
        replace(nic, **said) if nic.mac == spec.mac else nic for nic in domain.later_interfaces
    )
    waits = domain.active and not spec.allow_restart and {"mac", "model"} & set(said)
    if not waits:
        return replace(domain, interfaces=later, next_interfaces=None)
    return replace(domain, next_interfaces=later).sized(domain.vcpus, domain.memory_mib)


def removed(domain: Domain, spec: RemoveInterfaceSpec) -> Domain:
    left = tuple(nic for nic in domain.interfaces if nic.mac != spec.mac)
    return replace(domain, interfaces=left)


def made(nics: Sequence[Nic] | None, cards: Sequence[Card], seed: str) -> tuple[Interface, ...]:
    return tuple(
        Interface(
            nic.mac or domain_nics.mac_address(seed, index),
            nic.network or nic.bridge or "default",
            tuple(address.partition("/")[0] for address in nic.addresses),
            nic.bridge,
            card.model and card.model.value,
            card.link.value if card.link else "up",
            card.filter or None,
            tuple(card.vlan or ()),
            card.virtualport and card.virtualport.value,
        )
        for index, (nic, card) in enumerate(
            zip((Nic(),) if nics is None else nics, (*cards, *[Card()] * 16))
        )
    )
