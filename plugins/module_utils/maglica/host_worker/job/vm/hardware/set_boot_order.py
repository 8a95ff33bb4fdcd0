# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says in a vm's definition from what it boots."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from .....domain import definition
from .....domain.hardware import boot
from .....libvirtd import local
from .....libvirtd.local import inactive_xml
from .....model.errors import LibvirtFailed
from .....model.request import Request
from .....model.vm import Domain
from .....verbs.hardware.set_boot_order import SetBootOrderSpec
from ...context import JobContext
from .. import existing, shown


def set_boot_order(request: Request, context: JobContext) -> Domain:
    """Have a vm boot from these devices from its next start on."""
    domain = existing.find(request, context)
    spec = existing.spec_of(request, SetBootOrderSpec)
    act = f"set the boot order of {spec.name}"
    with local.errors(act, context.host):
        if not domain.isPersistent():
            raise LibvirtFailed(
                f"cannot {act} on host {context.host}: it is transient, and never starts again"
            )
        root = definition.parse(inactive_xml(domain))
        words = [each.value for each in spec.boot_order]
        if words and boot.order(root) != tuple(words):
            boot.set_order(root, words)
            with context.phase(request.id, "define"):
                domain = context.connect().defineXML(ET.tostring(root, encoding="unicode"))
        return shown.vm_of(domain, context.host)
