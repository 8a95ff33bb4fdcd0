# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short kinds of requests: start, stop, resize, tag.

Each finds the vm by UUID *and* name, does nothing that is done already, so that it may be run again
after any interruption, and returns the vm as it is then. Raises a MaglicaError that names the vm,
the host and the cause.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any, TypeVar

from ...._deps import need
from ....domain import definition as domain_xml
from ....domain import size as domain_size
from ....libvirtd import local
from ....libvirtd.local import inactive_xml, state_of
from ....model.errors import ImageUnsupported, LibvirtFailed, VmUnknown
from ....model.request import Request, Vm
from ....verbs.resize import ResizeSpec
from ....verbs.stop import StopSpec
from ....verbs.tag import TagSpec
from ....verbs.verb import OnVm
from ..context import JobContext
from . import metadata, shown

POLL_SECONDS = 0.25
# A guest that was still booting has not seen the first one.
BUTTON_SECONDS = 20
ALIVE_SECONDS = 5
# What a guest does in a moment, go off or wake up, is waited for so long.
SETTLE_SECONDS = 10


def start(request: Request, context: JobContext) -> Vm:
    """Let a vm run: start one that is off, resume one that is paused, wake one that is suspended,
    reset one that has crashed.
    """
    domain = find(request, context)
    libvirt = need("libvirt")
    with local.errors(f"start {request.name}", context.host):
        state = _once_not(domain, libvirt.VIR_DOMAIN_SHUTDOWN)
        if not local.is_active(domain):
            with context.phase(request.id, "start"):
                domain.create()
        elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
            domain.pMWakeup()
            _once_not(domain, state)
        elif state == libvirt.VIR_DOMAIN_CRASHED:
            # As the machine's reset button; libvirt pauses it then.
            domain.reset(0)
            domain.resume()
        elif state == libvirt.VIR_DOMAIN_PAUSED:
            domain.resume()
        return shown.vm_of(domain, context.host)


def _once_not(domain: Any, passing: int) -> int:
    """Return a domain's state (virDomainState), once it is not ``passing`` any more."""
    ends = time.monotonic() + SETTLE_SECONDS
    while (state := int(domain.state()[0])) == passing and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
    return state


def stop(request: Request, context: JobContext) -> Vm:
    """Ask the guest to shut down and wait until it is off; after the timeout end it, if forced."""
    domain = find(request, context)
    spec = spec_of(request, StopSpec)
    with local.errors(f"stop {spec.name}", context.host):
        # The last view of a vm that is transient: it is gone when it is off.
        last = shown.vm_of(domain, context.host)
        with context.phase(request.id, "shutdown"):
            is_off = _shut_down(domain, spec.stop_timeout, context)
        if not is_off:
            if not spec.force:
                raise LibvirtFailed(
                    f"cannot stop {spec.name} on host {context.host}: the guest did not shut down"
                    f" within {spec.stop_timeout} s (it is {state_of(domain)}); force would end it"
                )
            destroy(domain)
        return replace(last, state="stopped")


def resize(request: Request, context: JobContext) -> Vm:
    """Give a vm's definition other vcpus or memory; a running guest has them after a restart."""
    domain = find(request, context)
    spec = spec_of(request, ResizeSpec)
    with local.errors(f"resize {spec.name}", context.host):
        root = domain_xml.parse(inactive_xml(domain))
        before = ET.tostring(root, encoding="unicode")
        _set_size(root, spec, context.host)
        wanted = ET.tostring(root, encoding="unicode")
        if wanted != before:
            with context.phase(request.id, "define"):
                domain = context.connect().defineXML(wanted)
        now = shown.vm_of(domain, context.host)
        later = domain_xml.describe(wanted)
    size = (later.vcpus, later.memory_mib)
    needed = now.state != "stopped" and size != (now.vcpus, now.memory_mib)
    return replace(now, vcpus=size[0], memory_mib=size[1], restart_needed=needed)


def _set_size(root: ET.Element, spec: ResizeSpec, host: str) -> None:
    definition = domain_xml.describe(ET.tostring(root, encoding="unicode"))
    if definition.made is None:
        raise VmUnknown(
            f"cannot resize {spec.name} on host {host}: Maglica did not make it, and it changes no"
            " other definitions"
        )
    try:
        if spec.vcpus is not None and spec.vcpus != definition.vcpus:
            domain_size.set_vcpus(root, spec.vcpus)
        if spec.memory_mib is not None and spec.memory_mib != definition.memory_mib:
            domain_size.set_memory(root, spec.memory_mib)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"cannot resize {spec.name} on host {host}: {error}") from error


def tag(request: Request, context: JobContext) -> Vm:
    """Give a vm these tags and no others, whether it runs or not."""
    domain = find(request, context)
    spec = spec_of(request, TagSpec)
    with local.errors(f"tag {spec.name}", context.host):
        made = domain_xml.describe(domain.XMLDesc()).made
        if made is None:
            raise VmUnknown(
                f"cannot tag {spec.name} on host {context.host}: Maglica did not make it, and it"
                " changes no other definitions"
            )
        if made.tags != tuple(sorted(set(spec.tags))):
            with context.phase(request.id, "define"):
                metadata.set_tags(domain, spec.tags)
        return shown.vm_of(domain, context.host)


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


def _shut_down(domain: Any, timeout: float, context: JobContext) -> bool:
    """Press the power button, again now and then, until the domain is off; False at the timeout."""
    begun = pressed = told = time.monotonic()
    if not local.is_active(domain):
        return True
    _press(domain)
    while local.is_active(domain):
        now = time.monotonic()
        if now - begun >= timeout:
            return False
        if now - pressed >= BUTTON_SECONDS:
            pressed = now
            _press(domain)
        if now - told >= ALIVE_SECONDS:
            told = now
            context.alive()
        time.sleep(POLL_SECONDS)
    return True


def _press(domain: Any) -> None:
    libvirt = need("libvirt")
    try:
        domain.shutdown()
    except libvirt.libvirtError:
        # It may have gone off by itself in the same moment.
        if local.is_active(domain):
            raise


def destroy(domain: Any) -> None:
    """End a domain at once; that it has ended by itself is no error."""
    libvirt = need("libvirt")
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if local.is_active(domain):
            raise
