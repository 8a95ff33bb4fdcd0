# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a network interface to a vm; what is in its guest is left alone."""

from __future__ import annotations

from typing import Any

from ....._deps import need
from .....domain import nics
from .....model.errors import NameTaken
from .....model.request import Nic, Request
from .....model.text import some
from .....model.vm import Domain, Interface
from .....verbs.hardware.add_interface import AddInterfaceSpec
from .....verbs.hardware.interfaces import WantedInterface, differing
from ...context import JobContext
from .. import existing, restart
from . import disks, interfaces
from .errors import about_device


def add_interface(request: Request, context: JobContext) -> Domain:
    """Have a vm with one more interface; that it has it is no error.

    Raises NameTaken for the MAC address of another vm, or of another interface of this one,
    NetworkUnknown, NetworkUnsupported.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, AddInterfaceSpec)
    with about_device(request, "", context):
        interfaces.check(Nic(spec.network, spec.bridge), spec.card, context)
        mac = spec.mac or interfaces.free_mac(request, domain, context)
        interfaces.check_mac(mac, domain, context)
        _add(domain, mac, request, spec, context)
        return restart.if_needed(domain, request, spec, context)


def _check_same(there: Interface, spec: AddInterfaceSpec) -> None:
    """Raise NameTaken where somebody else has just added another one of that MAC address."""
    asked = WantedInterface(there.mac, spec.network, spec.bridge, spec.card)
    changes = differing(asked, there)
    if changes:
        raise NameTaken(
            f"it has one of the MAC address {there.mac} already, with another"
            f" {some(sorted(changes))}: ask again to have that changed"
        )


def _add(
    domain: Any, mac: str, request: Request, spec: AddInterfaceSpec, context: JobContext
) -> None:
    element = nics.new(mac, spec.network, spec.bridge, spec.card)
    with context.phase(request.id, "attach"):
        for root, is_live in disks.definitions(domain):
            there = nics.find(root, mac)
            if there is not None:
                # Of what runs libvirt may have forgotten its network.
                if not is_live:
                    _check_same(nics.describe(there), spec)
                continue
            said = interfaces.text(element)
            if is_live:
                interfaces.live(domain.attachDeviceFlags, said, domain.isPersistent(), request)
            else:
                with restart.changing(domain, request, spec, context):
                    domain.attachDeviceFlags(said, need("libvirt").VIR_DOMAIN_AFFECT_CONFIG)
