# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts an ISO image into a vm's drive, or takes it out; the image itself is left as it is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from ....._deps import need
from .....domain import cdrom, definition
from .....domain.metadata import Made
from .....libvirtd.local import inactive_xml
from .....model.errors import LibvirtFailed, StorageFailed
from .....model.request import Request
from .....model.vm import Domain
from .....verbs.hardware.set_cdrom import NO_MEDIUM, Medium, SetCdromSpec
from ...context import JobContext
from .. import existing, restart, shown
from . import disks, media
from .errors import about_device

# QEMU's words, after "Tray of device ...".
_CLOSED = " is not open"


def set_cdrom(request: Request, context: JobContext) -> Domain:
    """Have a medium in a vm's drive, or none; that it is so is no error.

    A vm without a drive gets one, which takes a restart if it runs. Raises NotOwn, StorageFailed,
    ImageUnsupported, LibvirtFailed, with nothing done.
    """
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    spec = existing.spec_of(request, SetCdromSpec)
    with about_device(request, "", context):
        is_begun = restart.is_begun(request, context)
        reason = None if is_begun else _set_at_once(domain, made, spec, context)
        if reason is not None and not spec.allow_restart:
            raise StorageFailed(f"{reason}: {restart.way_out(domain)}")
        if reason is not None or is_begun:
            with restart.changing(domain, request, spec, context):
                _set(domain, made, spec, context, live=False)
            # What an earlier job, which died, has found before it changed it.
            former = restart.former(request, context)
            try:
                restart.run_anew(domain, request, spec, context)
            except LibvirtFailed:
                if not restart.is_begun(request, context):
                    _put_back(domain, made, former)
                    context.journal.forget(request.id)
                raise
        return shown.vm_of(domain, context.host)


def own_media(made: Made) -> frozenset[str]:
    """Return by what definitions name a vm's own media."""
    return frozenset(name for each in made.volumes for name in (each.path, each.name))


def source(medium: Medium | None) -> dict[str, str]:
    """Return what a definition says of a medium."""
    if medium in (None, NO_MEDIUM):
        return {}
    if medium.path is not None:
        return {"file": medium.path}
    return {"pool": medium.pool or "", "volume": medium.volume or ""}


def check(medium: Medium | None, context: JobContext) -> None:
    """Raise NotOwn, StorageFailed or ImageUnsupported for what may be in no vm's drive."""
    if medium not in (None, NO_MEDIUM):
        place = (medium.path, medium.pool or "", medium.volume or "")
        media.check(context.connect(), *place)


def _set_at_once(domain: Any, made: Made, spec: SetCdromSpec, context: JobContext) -> str | None:
    """Have the medium in the drive, also while the vm runs; return what stands against that."""
    if _needs_restart(domain, made, spec):
        return "it has no drive for it, which it can get while it is off only"
    try:
        _set(domain, made, spec, context, live=True)
    except need("libvirt").libvirtError as error:
        if _CLOSED not in str(error):
            raise
        # A guest that starts resets its drives: that closes the tray which libvirt has opened, and
        # takes to be open as long as the guest runs.
        return (
            "its guest has closed the drive just when it was opened, and libvirt does not see that"
        )
    return None


def _needs_restart(domain: Any, made: Made, spec: SetCdromSpec) -> bool:
    own = own_media(made)
    lacking = (
        is_live and cdrom.drive(root, own) is None for root, is_live in disks.definitions(domain)
    )
    return spec.medium is not None and any(lacking)


def _set(domain: Any, made: Made, spec: SetCdromSpec, context: JobContext, live: bool) -> None:
    libvirt = need("libvirt")
    check(spec.medium, context)
    for root, is_live in reversed(disks.definitions(domain)):
        if is_live and not live:
            continue
        wanted, drive = source(spec.medium), cdrom.drive(root, own_media(made))
        if drive is None and wanted:
            for element in cdrom.new(root, wanted):
                flag = libvirt.VIR_DOMAIN_AFFECT_CONFIG
                domain.attachDeviceFlags(ET.tostring(element, encoding="unicode"), flag)
        elif drive is not None and _now(drive) != wanted:
            cdrom.put(drive, wanted)
            flags = disks.flag(is_live)
            if is_live and spec.force:
                # Also where the guest has locked it.
                flags |= libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
            domain.updateDeviceFlags(ET.tostring(drive, encoding="unicode"), flags)


def _put_back(domain: Any, made: Made, former: str | None) -> None:
    """Have the drive as it was: the guest that was to be restarted for it runs on without it."""
    if former is None:
        return
    xmls, own = (former, inactive_xml(domain)), own_media(made)
    before, now = (cdrom.drive(definition.parse(xml), own) for xml in xmls)
    flag = disks.flag(False)
    if before is not None:
        domain.updateDeviceFlags(ET.tostring(before, encoding="unicode"), flag)
    elif now is not None:
        domain.detachDeviceFlags(ET.tostring(now, encoding="unicode"), flag)


def _now(drive: ET.Element) -> dict[str, str]:
    """Return what is said of a drive's medium: all of it where that is no file."""
    found = drive.find("source")
    names = ("file", "pool", "volume")
    said = {} if found is None else dict(found.attrib)
    return {key: said[key] for key in names if key in said} or said
