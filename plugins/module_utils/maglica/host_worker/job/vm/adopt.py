# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes over a vm that others made: writes into its definition that Maglica may run and change it.

Nothing else of it is changed. What says so names its own UUID, so that a copy of it is not taken
for it.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from typing import Any

from ....disk import volumes
from ....domain import definition
from ....domain import metadata as domain_metadata
from ....domain.definition import Definition
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import (
    ImageUnsupported,
    LibvirtFailed,
    NotOwn,
    StorageFailed,
    VmUnknown,
)
from ....model.moment import Moment
from ....model.request import Request
from ....model.vm import Domain
from ...ownership import references
from ..context import JobContext
from . import existing, metadata, shown


def adopt(request: Request, context: JobContext) -> Domain:
    """Write Maglica's metadata into the definition of a domain that others made, and, while it
    runs, into that with which it does. One that is Maglica's already stays as it is.
    """
    domain = existing.look_up(request, context)
    act = f"adopt {request.name}"
    try:
        with local.errors(act, context.host):
            if not _is_done(domain):
                _check(domain, context)
                element = domain_metadata.adoption(
                    domain.UUIDString().lower(), request.id, Moment(time.time()), request.who
                )
                with context.phase(request.id, "define"):
                    metadata.write(domain, ET.tostring(element, encoding="unicode"))
            return shown.vm_of(domain, context.host)
    except (ImageUnsupported, StorageFailed) as error:
        raise type(error)(f"cannot {act} on host {context.host}: {error}") from error


def _is_done(domain: Any) -> bool:
    """Tell whether it is a vm of Maglica's by each of its definitions."""
    return all(definition.describe(xml).made for xml in (inactive_xml(domain), domain.XMLDesc()))


def _check(domain: Any, context: JobContext) -> None:
    """Raise what stands against the adoption of a domain, or libvirt's own error."""
    found = definition.describe(inactive_xml(domain))
    if not context.settings.adopt:
        raise NotOwn(
            "it lets no vm of others be adopted (adopt of [host_worker] in its configuration,"
            " host_worker_adopt of the role)"
        )
    act = f"cannot adopt {found.name} on host {context.host}"
    if found.is_made_image:
        raise VmUnknown(f"{act}: it is an original image that Maglica made, which is only cloned")
    if not domain.isPersistent():
        raise LibvirtFailed(
            f"{act}: it is transient, so that there is no definition to write into; define it"
            " (virsh define) first"
        )
    need_no_save(domain, act)
    _need_nothing_upon(found, context)


def need_no_save(domain: Any, act: str) -> None:
    """Raise LibvirtFailed for a domain with a saved state: it goes on with the definition in that,
    whatever is written into its own.
    """
    if domain.hasManagedSaveImage():
        raise LibvirtFailed(
            f"{act}: its state is saved (virsh managedsave), and it would go on with the definition"
            " that was saved with it; start it first (virsh start), or drop the saved state (virsh"
            " managedsave-remove)"
        )


def _need_nothing_upon(found: Definition, context: JobContext) -> None:
    """Raise StorageFailed where a file builds upon one of the domain's disks, as those of others'
    vms may: as soon as it runs, these are broken.

    Maglica's own do not: bases are copies.
    """
    paths = [
        volumes.path_of(context.connect(), disk)
        for disk in found.copied_disks
        if disk.kind in ("file", "block", "volume") and disk.source
    ]
    if not paths:
        return
    upon = references.find(context, beside=paths).upon(paths)
    if upon is not None:
        raise StorageFailed(
            f"its disk {upon.path} is what {upon.by} builds upon, which breaks when it runs: leave"
            " it as it is and clone it, or give what builds upon it a copy of its own"
        )
