# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a network interface away from a vm."""

from __future__ import annotations

import time
from typing import Any

from ....._deps import need
from .....domain import definition, nics
from .....libvirtd import local
from .....model.request import Request
from .....model.vm import Domain
from .....verbs.hardware.remove_interface import RemoveInterfaceSpec
from ...context import JobContext
from .. import existing, restart
from . import disks, interfaces
from .errors import about_device


def remove_interface(request: Request, context: JobContext) -> Domain:
    """Have a vm without an interface; that it has none of that MAC address is no error.

    One that its guest does not let go of is gone from its next start on.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, RemoveInterfaceSpec)
    with about_device(request, spec.mac, context):
        with context.phase(request.id, "detach"):
            for root, is_live in disks.definitions(domain):
                element = nics.find(root, spec.mac)
                if element is None:
                    continue
                said = interfaces.text(element)
                if not is_live:
                    with restart.changing(domain, request, spec, context):
                        domain.detachDeviceFlags(said, need("libvirt").VIR_DOMAIN_AFFECT_CONFIG)
                elif interfaces.live(
                    domain.detachDeviceFlags, said, domain.isPersistent(), request
                ):
                    _wait(domain, spec.mac, context)
        return restart.if_needed(domain, request, spec, context)


def _wait(domain: Any, mac: str, context: JobContext) -> None:
    """Wait a moment until a guest has let go of a card."""
    ends = time.monotonic() + disks.RELEASE_SECONDS
    while local.is_active(domain) and time.monotonic() < ends:
        if nics.find(definition.parse(domain.XMLDesc()), mac) is None:
            return
        context.alive()
        time.sleep(disks.POLL_SECONDS)
