# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes a vm's size."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from ....domain import definition as domain_xml
from ....domain import size as domain_size
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import ImageUnsupported
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.resize import ResizeSpec
from ..context import JobContext
from . import existing, shown


def resize(request: Request, context: JobContext) -> Domain:
    """Give a vm's definition other vcpus or memory; a running guest has them after a restart."""
    domain = existing.find(request, context)
    spec = existing.spec_of(request, ResizeSpec)
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
    needed = now.active and size != (now.vcpus, now.memory_mib)
    return replace(now, vcpus=size[0], memory_mib=size[1], restart_needed=needed)


def _set_size(root: ET.Element, spec: ResizeSpec, host: str) -> None:
    definition = domain_xml.describe(ET.tostring(root, encoding="unicode"))
    try:
        if spec.vcpus is not None and spec.vcpus != definition.vcpus:
            domain_size.set_vcpus(root, spec.vcpus)
        if spec.memory_mib is not None and spec.memory_mib != definition.memory_mib:
            domain_size.set_memory(root, spec.memory_mib)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"cannot resize {spec.name} on host {host}: {error}") from error
