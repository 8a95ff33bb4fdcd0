# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the acts on a vm that exists share.

Each finds the vm by UUID *and* name, does nothing that is done already, so that it may be run again
after any interruption, and returns the vm as it is then. Raises a MaglicaError that names the vm,
the host and the cause.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

from ...._deps import need
from ....libvirtd import local
from ....model.errors import VmUnknown
from ....model.request import Request
from ....verbs.verb import OnVm
from ..context import JobContext

POLL_SECONDS = 0.25
# What a guest does in a moment, go off or wake up, is waited for so long.
SETTLE_SECONDS = 10

S = TypeVar("S", bound=OnVm)


def spec_of(request: Request, of: type[S]) -> S:
    """Return what a request about a vm says. Raises VmUnknown."""
    if not isinstance(request.spec, of):
        raise VmUnknown(f"request {request.id} names no vm")
    return request.spec


def find(request: Request, context: JobContext) -> Any:
    """Return the vm (virDomain) that a request is about. Raises VmUnknown, LibvirtFailed."""
    spec = spec_of(request, OnVm)
    domain = local.find(context.connect(), spec.uuid, context.host)
    if domain is None:
        raise VmUnknown(
            f"cannot {request.kind} {spec.name} on host {context.host}: no vm has the UUID"
            f" {spec.uuid}; it was removed, or another has taken its place"
        )
    check_name(domain, spec, context.host)
    return domain


def check_name(domain: Any, spec: OnVm, host: str) -> None:
    """Raise VmUnknown for a vm that was renamed, or whose place another has taken."""
    if domain.name() != spec.name:
        raise VmUnknown(
            f"the vm with the UUID {spec.uuid} on host {host} is named {domain.name()!r},"
            f" not {spec.name!r}"
        )


def once_not(domain: Any, passing: int) -> int:
    """Return a domain's state (virDomainState), once it is not ``passing`` any more."""
    ends = time.monotonic() + SETTLE_SECONDS
    while (state := int(domain.state()[0])) == passing and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
    return state


def destroy(domain: Any) -> None:
    """End a domain at once; that it has ended by itself is no error."""
    libvirt = need("libvirt")
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if local.is_active(domain):
            raise
