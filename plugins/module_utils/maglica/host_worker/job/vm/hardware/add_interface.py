# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds a network interface to a vm; what is in its guest is left alone."""

from __future__ import annotations

from typing import Any

from ....._deps import need
from .....domain import nics
from .....model.request import Nic, Request
from .....model.vm import Domain
from .....verbs.hardware.add_interface import AddInterfaceSpec
from ...context import JobContext
from .. import existing, restart
from . import disks, interfaces
from .errors import about_device


def add_interface(request: Request, context: JobContext) -> Domain:
    """Have a vm with one more interface; that it has one of that MAC address is no error.

    Raises NameTaken for the MAC address of another vm, NetworkUnknown, NetworkUnsupported.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, AddInterfaceSpec)
    with about_device(request, "", context):
        interfaces.check(Nic(spec.network, spec.bridge), spec.card, context)
        mac = spec.mac or interfaces.free_mac(request, domain, context)
        interfaces.check_mac(mac, domain, context)
        _add(domain, mac, request, spec, context)
        return restart.if_needed(domain, request, spec, context)


def _add(
    domain: Any, mac: str, request: Request, spec: AddInterfaceSpec, context: JobContext
) -> None:
    element = nics.new(mac, spec.network, spec.bridge, spec.card)
    with context.phase(request.id, "attach"):
        for root, is_live in disks.definitions(domain):
            if nics.find(root, mac) is not None:
                continue
            said = interfaces.text(element)
            if is_live:
                interfaces.live(domain.attachDeviceFlags, said, domain.isPersistent(), request)
            else:
                with restart.changing(domain, request, spec, context):
                    domain.attachDeviceFlags(said, need("libvirt").VIR_DOMAIN_AFFECT_CONFIG)
