# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the acts on a vm that exists share.

Each finds the vm by UUID *and* name, among those that Maglica made or adopted, does nothing that is
done already, so that it may be run again after any interruption, and returns the vm as it is then.
Raises a MaglicaError that names the vm, the host and the cause.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

from ...._deps import need
from ....domain import definition
from ....domain.metadata import Made
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import ImageUnsupported, VmProtected, VmUnknown
from ....model.request import Request
from ....verbs import table
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
    """Return the vm (virDomain) that a request is about. Raises what ``check`` raises, too."""
    domain = look_up(request, context)
    check(domain, request, context)
    return domain


def look_up(request: Request, context: JobContext) -> Any:
    """Return the domain (virDomain) that a request is about, whoever made it. Raises VmUnknown."""
    spec = spec_of(request, OnVm)
    domain = local.find(context.connect(), spec.uuid, context.host)
    if domain is None:
        raise VmUnknown(
            f"cannot {table.act(request)} on host {context.host}: no vm has the UUID"
            f" {spec.uuid}; it was removed, or another has taken its place"
        )
    _check_name(domain, request, context)
    return domain


def _check_name(domain: Any, request: Request, context: JobContext) -> None:
    spec = spec_of(request, OnVm)
    if domain.name() != spec.name:
        raise VmUnknown(
            f"the vm with the UUID {spec.uuid} on host {context.host} is named {domain.name()!r},"
            f" not {spec.name!r}"
        )


def check(domain: Any, request: Request, context: JobContext) -> Made:
    """Return what Maglica wrote into the definition of the vm that a request is about.

    All other domains are left alone, whatever is asked for: to start an original image would change
    its disks, and how a vm of others is to be is not Maglica's to say. Raises VmUnknown for these,
    and for a vm that was renamed, or whose place another has taken; ImageUnsupported for a
    definition that can't be read; LibvirtFailed, HostDown;
    VmProtected where data of a vm that is protected would be destroyed.
    """
    spec, host = spec_of(request, OnVm), context.host
    _check_name(domain, request, context)
    act = table.act(request)
    try:
        with local.errors(act, host):
            found = definition.describe(inactive_xml(domain))
            if found.made is not None:
                if found.made.protected and table.of(request).destroys:
                    raise VmProtected.of(request.kind, spec.name, host)
                return found.made
            is_off = domain.isPersistent() and not domain.isActive()
    except ImageUnsupported as error:
        raise ImageUnsupported(f"cannot {act} on host {host}: {error}") from error
    if found.is_made_image:
        why = "it is an original image that Maglica made, which is only cloned"
    elif is_off and context.settings.may_be_image(spec.name):
        why = "Maglica did not make it; it is an original image, which is only cloned"
    else:
        why = "Maglica did not make it; it is left alone, unless it is adopted first"
    raise VmUnknown(f"cannot {act} on host {host}: {why}")


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
