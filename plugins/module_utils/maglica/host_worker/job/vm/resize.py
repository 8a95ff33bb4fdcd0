# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes a vm's size: of one that runs as far as its guest can, else for its next start."""

from __future__ import annotations

import logging
import time
import xml.etree.ElementTree as ET
from typing import Any

from ...._deps import need
from ....domain import definition as domain_xml
from ....domain import size as domain_size
from ....domain.definition import Definition
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import HostDown, ImageUnsupported, LibvirtFailed
from ....model.request import Request
from ....model.vm import Domain
from ....verbs import table
from ....verbs.resize import ResizeSpec
from ..context import JobContext
from . import existing, restart

# A guest gives memory back, or takes it, bit by bit. One that does nothing of it for so long does
# not listen: it has no driver for that, or has not loaded it yet.
DEAF_SECONDS = 3
POLL_SECONDS = 0.02
MOST_POLL_SECONDS = 0.5
# Of these a guest does nothing that it is told.
_STILL = ("paused", "suspended", "crashed")

_log = logging.getLogger(__name__)


def resize(request: Request, context: JobContext) -> Domain:
    """Give a vm other vcpus or memory, at its next start and, if it runs and can have it, at once.

    If it can't, it is restarted where the spec allows that. Raises LibvirtFailed for a guest that
    does not give back, or take, what no restart would change.
    """
    domain = existing.find(request, context)
    spec = existing.spec_of(request, ResizeSpec)
    with local.errors(f"resize {spec.name}", context.host):
        root = domain_xml.parse(inactive_xml(domain))
        before = ET.tostring(root, encoding="unicode")
        _set_size(root, spec, context.host)
        wanted = ET.tostring(root, encoding="unicode")
        if wanted != before:
            _need_persistent(domain, spec, context)
            changing = restart.changing(domain, request, spec, context)
            with context.phase(request.id, "define"), changing:
                domain = context.connect().defineXML(wanted)
        later = domain_xml.describe(wanted)
        if local.is_active(domain) and not restart.is_begun(request, context):
            _resize_live(domain, request, spec, later, context)
        return restart.if_needed(domain, request, spec, context)


def _need_persistent(domain: Any, spec: ResizeSpec, context: JobContext) -> None:
    """Raise LibvirtFailed for a vm that has no definition: it would get one."""
    if not domain.isPersistent():
        raise LibvirtFailed(
            f"cannot resize {spec.name} on host {context.host}: it is transient, and never starts"
            " again; define it (virsh define) first"
        )


def _now(domain: Any) -> Definition:
    return domain_xml.describe(domain.XMLDesc())


def _set_size(root: ET.Element, spec: ResizeSpec, host: str) -> None:
    definition = domain_xml.describe(ET.tostring(root, encoding="unicode"))
    try:
        if spec.vcpus is not None and spec.vcpus != definition.vcpus:
            domain_size.change_vcpus(root, spec.vcpus)
        if spec.memory_mib is not None and spec.memory_mib != definition.memory_mib:
            domain_size.change_memory(root, spec.memory_mib)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"cannot resize {spec.name} on host {host}: {error}") from error


def _resize_live(
    domain: Any, request: Request, spec: ResizeSpec, later: Definition, context: JobContext
) -> None:
    """Have a guest that runs the sizes that it shall have, as far as it can."""
    now, libvirt = _now(domain), need("libvirt")
    with context.phase(request.id, "live"):
        if spec.vcpus not in (None, now.vcpus) and later.vcpus <= now.max_vcpus:
            _try(lambda: domain.setVcpusFlags(later.vcpus, libvirt.VIR_DOMAIN_AFFECT_LIVE), request)
        if spec.memory_mib in (None, now.memory_mib) or later.memory_mib > now.max_memory_mib:
            return
        kib = later.memory_mib << 10
        is_told = _try(lambda: domain.setMemoryFlags(kib, libvirt.VIR_DOMAIN_AFFECT_LIVE), request)
        state = local.state_of(domain)
        reached = is_told and state not in _STILL and _follows(domain, later.memory_mib, context)
    if reached or now.max_memory_mib != later.max_memory_mib:
        return
    if state in _STILL:
        why = f"is {state}, so that it neither takes memory nor gives it back: have it run first"
    else:
        why = (
            "does not obey its memory balloon, which a restart would not change: it needs the"
            " driver virtio_balloon"
        )
    raise LibvirtFailed(
        f"cannot {table.act(request)} on host {context.host}: its guest has"
        f" {_now(domain).memory_mib} MiB and {why}"
    )


def _try(act: Any, request: Request) -> bool:
    """Do what not every guest can take while it runs; tell whether libvirt has done it."""
    libvirt = need("libvirt")
    try:
        act()
    except libvirt.libvirtError as error:
        if local.kind_of(error, LibvirtFailed) is HostDown:
            raise
        _log.info("request %s: not while the guest runs: %s", request.id, error)
        return False
    return True


def _follows(domain: Any, memory_mib: int, context: JobContext) -> bool:
    """Wait until a guest has that memory, for as long as it comes nearer; tell whether it has."""
    pause, last = POLL_SECONDS, -1
    heard = time.monotonic()
    while local.is_active(domain):
        found = _now(domain).memory_mib
        if found == memory_mib:
            return True
        now = time.monotonic()
        if found != last:
            last, heard = found, now
            context.alive()
        if now - heard > DEAF_SECONDS:
            return False
        time.sleep(pause)
        pause = min(2 * pause, MOST_POLL_SECONDS)
    return False
