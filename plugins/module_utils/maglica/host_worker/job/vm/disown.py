# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives an adopted vm back to those who made it: removes what Maglica wrote into its definition."""

from __future__ import annotations

from dataclasses import replace

from ....domain import definition
from ....domain.metadata import Made
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import ImageUnsupported, NotOwn, VmProtected, VmUnknown
from ....model.request import Request
from ....model.vm import Domain
from ..context import JobContext
from . import adopt, existing, metadata, shown


def disown(request: Request, context: JobContext) -> Domain:
    """Remove Maglica's metadata from an adopted domain, and nothing else. One that is not adopted
    any more stays as it is. Raises NotOwn for one that has disks of Maglica's, VmProtected for one
    that is protected, since nobody would know of that any more.
    """
    domain = existing.look_up(request, context)
    act = f"cannot disown {request.name} on host {context.host}"
    try:
        with local.errors(f"disown {request.name}", context.host):
            said = [*filter(None, map(_made, (inactive_xml(domain), domain.XMLDesc())))]
            if any(not made.adopted for made in said):
                raise VmUnknown(
                    f"{act}: Maglica made it, so that there is nobody to give it back to"
                )
            added = sorted({name for made in said for name in (*made.disks, *made.kept)})
            if added:
                raise NotOwn(
                    f"{act}: Maglica has added its disks {', '.join(added)}: detach them first"
                )
            if any(made.protected for made in said):
                raise VmProtected.of("disown", request.name, context.host)
            if said:
                adopt.need_no_save(domain, act)
                with context.phase(request.id, "define"):
                    metadata.write(domain, None)
            vm = shown.vm_of(domain, context.host)
            may_be_image = domain.isPersistent() and context.settings.may_be_image(vm.name)
    except ImageUnsupported as error:
        raise ImageUnsupported(f"{act}: {error}") from error
    return replace(vm, is_image=may_be_image and not vm.active)


def _made(xml: str) -> Made | None:
    return definition.describe(xml).made
