# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes a network interface of a vm; what is in its guest is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .....domain import nics
from .....model.errors import NameTaken, VmUnknown
from .....model.request import Nic, Request
from .....model.vm import Domain
from .....verbs.hardware.change_interface import ChangeInterfaceSpec
from ...context import JobContext
from .. import existing, restart
from . import disks, interfaces
from .errors import about_device


def change_interface(request: Request, context: JobContext) -> Domain:
    """Have an interface of a vm as is asked for, at its next start and, if it can, at once.

    A guest that runs keeps its card and its MAC address. Raises VmUnknown for a vm without that
    interface, NameTaken, NetworkUnknown, NetworkUnsupported.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, ChangeInterfaceSpec)
    with about_device(request, spec.mac, context):
        _need(domain, spec, context)
        interfaces.check(Nic(spec.network, spec.bridge), spec.card, context)
        if spec.new_mac is not None:
            interfaces.check_mac(spec.new_mac, domain, context)
        with context.phase(request.id, "define"):
            domain = _change(domain, request, spec, context)
        return restart.if_needed(domain, request, spec, context)


def _need(domain: Any, spec: ChangeInterfaceSpec, context: JobContext) -> None:
    """Raise VmUnknown if the vm has no such interface, and did not get its new address either."""
    macs = {mac for root, _live in disks.definitions(domain) for mac in nics.macs(root)}
    if not macs & {spec.mac, spec.new_mac}:
        raise VmUnknown(
            f"vm {spec.name} on host {context.host} has no interface {spec.mac}; those that it"
            f" has: {', '.join(sorted(macs)) or 'none'}"
        )


def _change(domain: Any, request: Request, spec: ChangeInterfaceSpec, context: JobContext) -> Any:
    """Change it in each definition that the vm has; return the vm (virDomain)."""
    is_persistent = domain.isPersistent()
    for root, is_live in disks.definitions(domain):
        element = nics.find(root, spec.mac)
        if element is None:
            continue
        before = interfaces.text(element)
        if not is_live:
            if spec.new_mac is not None and nics.find(root, spec.new_mac) is not None:
                raise NameTaken(f"another interface of it has the MAC address {spec.new_mac}")
            nics.change(element, spec.new_mac, spec.network, spec.bridge, spec.card)
            if interfaces.text(element) != before:
                with restart.changing(domain, request, spec, context):
                    domain = context.connect().defineXML(interfaces.text(root))
            continue
        # libvirt changes neither the address nor the model of a card that is plugged in.
        nics.change(element, None, spec.network, spec.bridge, replace(spec.card, model=None))
        if interfaces.text(element) != before:
            interfaces.live(
                domain.updateDeviceFlags, interfaces.text(element), is_persistent, request
            )
    return domain
