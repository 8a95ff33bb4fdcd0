# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short kinds of requests: start, stop, remove, resize, tag.

Each finds the vm by UUID *and* name, does nothing that is done already, so that it may be run again
after any interruption, and returns the vm as it is then. Raises a MaglicaError that names the vm,
the host and the cause.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

from .. import domain_size, domain_xml
from .._deps import need
from ..errors import ImageUnsupported, LibvirtFailed, VmUnknown
from ..model import Request, Vm, VmSpec
from . import bases, libvirtd, metadata, storage, view
from .context import JobContext

POLL_SECONDS = 0.25
# A guest that was still booting has not seen the first one.
BUTTON_SECONDS = 20
ALIVE_SECONDS = 5


def start(request: Request, context: JobContext) -> Vm:
    """Start a vm that is off, resume one that is paused."""
    domain = find(request, context)
    libvirt = need("libvirt")
    with libvirtd.errors(f"start {request.name}", context.host):
        state = domain.state()[0]
        if state == libvirt.VIR_DOMAIN_PAUSED:
            domain.resume()
        elif state == libvirt.VIR_DOMAIN_PMSUSPENDED:
            domain.pMWakeup()
        elif not libvirtd.is_active(domain):
            with context.phase(request.id, "start"):
                domain.create()
        return view.vm_of(domain, context.host)


def stop(request: Request, context: JobContext) -> Vm:
    """Ask the guest to shut down and wait until it is off; after the timeout end it, if forced."""
    domain = find(request, context)
    spec = _spec(request)
    with libvirtd.errors(f"stop {spec.name}", context.host):
        # The last view of a vm that is transient: it is gone when it is off.
        last = view.vm_of(domain, context.host)
        with context.phase(request.id, "shutdown"):
            is_off = _shut_down(domain, spec.timeout, context)
        if not is_off:
            if not spec.force:
                raise LibvirtFailed(
                    f"cannot stop {spec.name} on host {context.host}: the guest did not shut down"
                    f" within {spec.timeout} s (it is {view.state_of(domain)}); force would end it"
                )
            _destroy(domain)
        return replace(last, state="stopped")


def remove(request: Request, context: JobContext) -> Vm:
    """Remove a vm that Maglica made, with its disks, NVRAM, saved state and TPM."""
    spec = _spec(request)
    connection = context.connect()
    domain = libvirtd.find(connection, spec.uuid, context.host)
    removed = Vm(name=spec.name, uuid=spec.uuid, host=context.host, state=view.GONE)
    with libvirtd.errors(f"remove {spec.name}", context.host):
        if domain is not None:
            _check_name(domain, spec, context.host)
            xml = view.inactive_xml(domain)
            if domain_xml.describe(xml).made is None:
                raise VmUnknown(
                    f"cannot remove {spec.name} on host {context.host}: Maglica did not make it,"
                    " so its disks are not Maglica's to remove"
                )
            removed = view.of_definition(xml, context.host)
            with context.phase(request.id, "undefine"):
                undefine(domain, xml)
        with context.phase(request.id, "volumes"):
            storage.delete_vm_volumes(connection, spec.uuid)
            bases.tidy(context)
    return removed


def resize(request: Request, context: JobContext) -> Vm:
    """Give a vm's definition other vcpus or memory; a running guest has them after a restart."""
    domain = find(request, context)
    spec = _spec(request)
    with libvirtd.errors(f"resize {spec.name}", context.host):
        root = domain_xml.parse(view.inactive_xml(domain))
        before = ET.tostring(root, encoding="unicode")
        _set_size(root, spec, context.host)
        wanted = ET.tostring(root, encoding="unicode")
        if wanted != before:
            with context.phase(request.id, "define"):
                domain = context.connect().defineXML(wanted)
        now = view.vm_of(domain, context.host)
        later = domain_xml.describe(wanted)
    size = (later.vcpus, later.memory_mib)
    needed = now.state != "stopped" and size != (now.vcpus, now.memory_mib)
    return replace(now, vcpus=size[0], memory_mib=size[1], restart_needed=needed)


def _set_size(root: ET.Element, spec: VmSpec, host: str) -> None:
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
    spec = _spec(request)
    with libvirtd.errors(f"tag {spec.name}", context.host):
        made = domain_xml.describe(domain.XMLDesc()).made
        if made is None:
            raise VmUnknown(
                f"cannot tag {spec.name} on host {context.host}: Maglica did not make it, and it"
                " changes no other definitions"
            )
        if made.tags != tuple(sorted(set(spec.tags))):
            with context.phase(request.id, "define"):
                metadata.set_tags(domain, spec.tags)
        return view.vm_of(domain, context.host)


def _spec(request: Request) -> VmSpec:
    if not isinstance(request.spec, VmSpec):
        raise VmUnknown(f"request {request.id} names no vm")
    return request.spec


def find(request: Request, context: JobContext) -> Any:
    spec = _spec(request)
    domain = libvirtd.find(context.connect(), spec.uuid, context.host)
    if domain is None:
        raise VmUnknown(
            f"cannot {request.kind.value} {spec.name} on host {context.host}: no vm has the UUID"
            f" {spec.uuid}; it was removed, or another has taken its place"
        )
    _check_name(domain, spec, context.host)
    return domain


def _check_name(domain: Any, spec: VmSpec, host: str) -> None:
    if domain.name() != spec.name:
        raise VmUnknown(
            f"the vm with the UUID {spec.uuid} on host {host} is named {domain.name()!r},"
            f" not {spec.name!r}"
        )


def _shut_down(domain: Any, timeout: float, context: JobContext) -> bool:
    """Press the power button, again now and then, until the domain is off; False at the timeout."""
    begun = pressed = told = time.monotonic()
    if not libvirtd.is_active(domain):
        return True
    _press(domain)
    while libvirtd.is_active(domain):
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
        if libvirtd.is_active(domain):
            raise


def _destroy(domain: Any) -> None:
    libvirt = need("libvirt")
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if libvirtd.is_active(domain):
            raise


def undefine(domain: Any, xml: str) -> None:
    """End a domain and remove its definition, with NVRAM, saved state and TPM state."""
    libvirt = need("libvirt")
    if libvirtd.is_active(domain):
        _destroy(domain)
    root = domain_xml.parse(xml)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if domain.isPersistent():
        # Only what the definition has: libvirt's drivers refuse flags that mean nothing to them.
        if root.find("os/nvram") is not None or root.find("os[@firmware='efi']") is not None:
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        if root.find("devices/tpm") is not None:
            # Since libvirt 8.9; before, libvirt removed the TPM's state in any case.
            flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
        if _has_checkpoints(domain):
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        domain.undefineFlags(flags)


def _has_checkpoints(domain: Any) -> bool:
    libvirt = need("libvirt")
    try:
        return bool(domain.listAllCheckpoints())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False
        raise
