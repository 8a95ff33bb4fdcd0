# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a vm run."""

from __future__ import annotations

from typing import Any

from ...._deps import need
from ....libvirtd import local
from ....model.errors import LibvirtFailed
from ....model.request import Request
from ....model.vm import Domain
from ..context import JobContext
from . import existing, shown


def start(request: Request, context: JobContext) -> Domain:
    """Let a vm run: start one that is off, resume one that is paused, wake one that is suspended,
    reset one that has crashed.
    """
    domain = existing.find(request, context)
    libvirt = need("libvirt")
    with local.errors(f"start {request.name}", context.host):
        state = existing.once_not(domain, libvirt.VIR_DOMAIN_SHUTDOWN)
        if not local.is_active(domain):
            with context.phase(request.id, "start"):
                domain.create()
        elif state == libvirt.VIR_DOMAIN_CRASHED:
            # As the machine's reset button; libvirt pauses it then.
            domain.reset(0)
            domain.resume()
        else:
            go_on(domain, state)
        vm = shown.vm_of(domain, context.host)
    if vm.state in ("stopping", "suspended"):
        raise LibvirtFailed(
            f"cannot start {request.name} on host {context.host}: it is {vm.state} still, after"
            f" {existing.SETTLE_SECONDS} s"
        )
    return vm


def go_on(domain: Any, state: int) -> None:
    """Let a guest that stands still in ``state`` (virDomainState) go on: resume it, or wake it."""
    libvirt = need("libvirt")
    if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        domain.pMWakeup()
        existing.once_not(domain, state)
    elif state == libvirt.VIR_DOMAIN_PAUSED:
        domain.resume()
