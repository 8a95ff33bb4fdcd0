# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the steps by which a vm runs, or is paused: see domain/power.py."""

from __future__ import annotations

from typing import Any, Callable

from ....._deps import need
from .....domain.power import Act, Power, acts, is_lost
from .....libvirtd import local
from .....libvirtd.facts import state_name
from .....model.errors import LibvirtFailed
from .....model.request import Request
from .....model.vm import Domain
from .....verbs import table
from ...context import JobContext
from .. import existing, shown

# What may be over in a moment.
_PASSING = ("stopping", "suspended")


def bring(wanted: Power, request: Request, context: JobContext) -> Domain:
    """Have the vm of a request run, or be paused. Raises LibvirtFailed for one that is not so then.

    Nothing is announced: running it again takes the steps that are left.
    """
    libvirt = need("libvirt")
    domain = existing.find(request, context)
    with local.errors(table.act(request), context.host):
        state = state_name(existing.once_not(domain, libvirt.VIR_DOMAIN_SHUTDOWN))
        if not local.is_active(domain):
            state = "stopped"
        steps = acts(wanted, state)
        need_persistent(domain, steps, request, context)
        if steps and steps[0] is not Act.SETTLE:
            with context.phase(request.id, phase_of(steps)):
                for step in steps:
                    take(step, domain)
        vm = shown.vm_of(domain, context.host)
    if vm.state in _PASSING:
        raise LibvirtFailed(
            f"cannot {table.act(request)} on host {context.host}: it is {vm.state} still,"
            f" after {existing.SETTLE_SECONDS} s"
        )
    return vm


def need_persistent(
    domain: Any, steps: tuple[Act, ...], request: Request, context: JobContext
) -> None:
    """Raise LibvirtFailed for a transient vm that would be gone instead of started again."""
    if is_lost(steps, bool(domain.isPersistent())):
        raise LibvirtFailed(
            f"cannot {table.act(request)} on host {context.host}: it is transient, and"
            " would be gone when it is off"
        )


def phase_of(steps: tuple[Act, ...]) -> str:
    return "pause" if steps[-1] in (Act.PAUSE, Act.CREATE_PAUSED) else "start"


def take(step: Act, domain: Any) -> None:
    """Take one of the steps that need no patience."""
    _TAKEN[step](domain)


def wake(domain: Any) -> None:
    """Wake a suspended guest, and wait until it is awake; not for long."""
    domain.pMWakeup()
    existing.once_not(domain, need("libvirt").VIR_DOMAIN_PMSUSPENDED)


def _create_paused(domain: Any) -> None:
    domain.createWithFlags(need("libvirt").VIR_DOMAIN_START_PAUSED)


_TAKEN: dict[Act, Callable[[Any], None]] = {
    Act.CREATE: lambda domain: domain.create(),
    Act.CREATE_PAUSED: _create_paused,
    Act.RESUME: lambda domain: domain.resume(),
    Act.WAKE: wake,
    Act.PAUSE: lambda domain: domain.suspend(),
    Act.DESTROY: existing.destroy,
}
