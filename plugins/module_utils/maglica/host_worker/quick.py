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
from ..errors import ImageUnsupported, LibvirtFailed, MaglicaError, StorageFailed, VmUnknown
from ..model import Request, Vm, VmSpec
from . import libvirtd, metadata, storage, unused_bases, view
from .context import JobContext

# Announces that a domain and then its volumes, (pool, name) each, are taken away.
REMOVAL = "removal"
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
    """Remove a vm that Maglica made, with its disks, NVRAM, saved state and TPM.

    As soon as the domain is gone there is only one way, forward: what is announced is removed by
    the next run, whatever the first one died of.
    """
    spec = _spec(request)
    domain = libvirtd.find(context.connect(), spec.uuid, context.host)
    removed = Vm(name=spec.name, uuid=spec.uuid, host=context.host, state=view.GONE)
    act = f"remove {spec.name}"
    try:
        with libvirtd.errors(act, context.host):
            if domain is not None:
                removed = _take_away(domain, request, context)
            with context.phase(request.id, "volumes"):
                _delete_volumes(request, context)
    except StorageFailed as error:
        raise StorageFailed(f"cannot {act} on host {context.host}: {error}") from error
    return removed


def _take_away(domain: Any, request: Request, context: JobContext) -> Vm:
    """Undefine a domain whose volumes can be removed after it, which are announced."""
    spec, libvirt = _spec(request), need("libvirt")
    try:
        _check_name(domain, spec, context.host)
        xml = view.inactive_xml(domain)
        definition = domain_xml.describe(xml)
        if definition.made is None:
            raise VmUnknown(
                f"cannot remove {spec.name} on host {context.host}: Maglica did not make it,"
                " so its disks are not Maglica's to remove"
            )
        with context.phase(request.id, "undefine"):
            disks = [disk.source for disk in definition.disks if disk.kind == "file"]
            volumes = storage.vm_volumes(context.connect(), spec.uuid, disks)
            context.journal.intend(request.id, REMOVAL, {"volumes": volumes})
            undefine(domain, xml)
    except (MaglicaError, libvirt.libvirtError):
        if libvirtd.find(context.connect(), spec.uuid, context.host) is not None:
            # It has its disks still, and keeps them.
            context.journal.forget(request.id)
        raise
    return view.of_definition(xml, context.host)


def _delete_volumes(request: Request, context: JobContext) -> None:
    connection = context.connect()
    intents = context.journal.intents(request.id)
    announced = [volume for intent in intents for volume in intent.data["volumes"]]
    for pool, name in announced or storage.vm_volumes(connection, _spec(request).uuid):
        storage.delete(connection, pool, name)
    unused_bases.tidy(context)


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
