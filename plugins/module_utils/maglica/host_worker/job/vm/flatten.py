# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a linked vm independent of its base, whether it runs or not.

What the vm's disks have not of their own is copied into them, and their headers forget the base
last of all. After an interruption the header names the base again, as what was copied may not be
written yet, and all is done again.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from typing import Any

from ...._deps import need
from ....disk import overlays, volumes
from ....domain import definition
from ....domain.metadata import Made
from ....libvirtd import local
from ....libvirtd.local import inactive_xml, state_of
from ....model.errors import LibvirtFailed, MaglicaError, NotOwn, StorageFailed
from ....model.request import Request
from ....model.vm import Domain
from ...journal.intents import Effect
from ...ownership import own_files
from ..context import JobContext
from ..image import unused_bases
from . import existing, metadata, shown

POLL_SECONDS = 0.25
PHASE = "copy"


def flatten(request: Request, context: JobContext) -> Domain:
    """Copy what the vm's disks have below them; return the vm as it is then.

    A guest that runs goes on, libvirt copies beside it. Raises NoRoom, StorageFailed, VmUnknown,
    LibvirtFailed.
    """
    domain = existing.find(request, context)
    made = existing.check(domain, request, context)
    with local.errors(f"flatten {request.name}", context.host):
        try:
            _flatten_all(domain, made, request, context)
        except MaglicaError as error:
            text = f"cannot flatten {request.name} on host {context.host}: {error}"
            raise type(error)(text) from error
        # All is on the disks: nothing is to be put back any more.
        context.journal.forget(request.id)
        metadata.set_independent(domain)
        vm = shown.vm_of(domain, context.host)
    unused_bases.tidy(context)
    return vm


def _flatten_all(domain: Any, made: Made, request: Request, context: JobContext) -> None:
    disks = _own_disks(domain, made)
    # All of them are looked at before the first is filled.
    for path in disks.values():
        overlays.layers(context.connect(), path)
    with context.phase(request.id, PHASE):
        for target, path in disks.items():
            _flatten_disk(domain, target, path, request.id, context)


def _own_disks(domain: Any, made: Made) -> dict[str, str]:
    """Return the paths of the vm's own disks, by target: no others are touched.

    Raises StorageFailed when one of them is in use in another way, as below a snapshot, NotOwn for
    what the metadata can't name.
    """
    if made.adopted:
        raise NotOwn("it was adopted, so that its disks are not Maglica's to change")
    own = [volume for volume in made.volumes if not volumes.is_medium(volume.name)]
    if not own:
        raise StorageFailed("its definition names no volume as its own")
    own_files.check_names(own_files.of_vm(made), domain.UUIDString())
    xmls = [inactive_xml(domain)]
    if local.is_active(domain):
        xmls.append(domain.XMLDesc())
    attached = [
        {disk.target: disk.source for disk in definition.describe(xml).disks} for xml in xmls
    ]
    for volume in own:
        for sources in attached:
            if sources.get(volume.target) != volume.path:
                raise StorageFailed(
                    f"disk {volume.target} is {sources.get(volume.target) or 'detached'} now, and"
                    f" was made as {volume.path}: merge snapshots, or attach it as it was"
                )
    return {volume.target: volume.path for volume in own}


def _flatten_disk(
    domain: Any, target: str, path: str, request_id: str, context: JobContext
) -> None:
    """Do one disk; a guest that starts or ends meanwhile only changes the way."""
    while (layers := overlays.layers(context.connect(), path))[1:]:
        needed = overlays.needed_bytes(layers, context.alive)
        is_active = local.is_active(domain)
        if is_active:
            _need_running(domain)
        # QEMU lets the header forget the base before the tables that name the copies are written.
        data = {"uuid": domain.UUIDString(), "target": target, "path": path}
        below = {"backing": layers[1].path, "format": layers[1].format}
        context.journal.intend(request_id, Effect.PULL, {**data, **below})
        if not is_active:
            overlays.fill(path, needed, context.alive)
        elif not _pull(domain, target, request_id, context):
            overlays.lay_again(path, layers[1].path, layers[1].format)


def _pull(domain: Any, target: str, request_id: str, context: JobContext) -> bool:
    """Have libvirt copy beside the guest, and QEMU write all of it; False when the guest ended."""
    libvirt = need("libvirt")
    pull = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL
    try:
        now = domain.blockJobInfo(target)
        if now and now["type"] != pull:
            raise LibvirtFailed(f"disk {target} has another block job under way")
        if not now:
            domain.blockPull(target)
        copied = -1
        while (now := domain.blockJobInfo(target)) and now["type"] == pull:
            if now["cur"] != copied:
                copied = now["cur"]
                context.counted(request_id, PHASE, copied, now["end"])
            time.sleep(POLL_SECONDS)
        _write_back(domain, request_id, context)
    except libvirt.libvirtError as error:
        # A guest that has ended meanwhile is done as one that is off.
        if local.is_active(domain):
            raise LibvirtFailed(f"disk {target}: {error}") from error
        return False
    if _is_linked(domain, target):
        raise LibvirtFailed(f"disk {target}: QEMU could not copy what is below it")
    return True


def _is_linked(domain: Any, target: str) -> bool:
    """Tell whether a guest that runs still has something below a disk."""
    root = ET.fromstring(domain.XMLDesc())  # noqa: S314 - from libvirtd
    disks = [
        disk for disk in root.iter("disk") if disk.find(f"target[@dev='{target}']") is not None
    ]
    return any(disk.find("backingStore/source") is not None for disk in disks)


def _need_running(domain: Any) -> None:
    """Raise LibvirtFailed for a guest that is on and does not run, paused by somebody."""
    libvirt = need("libvirt")
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        raise LibvirtFailed(f"it is {state_of(domain)}: let it run, or stop it")


def _write_back(domain: Any, request_id: str, context: JobContext) -> None:
    """Have QEMU write all that it keeps: it does so when a guest stands still for a moment.

    Raises LibvirtFailed when somebody has paused the guest, and libvirt's own error.
    """
    _need_running(domain)
    context.journal.intend(request_id, Effect.PAUSE, {"uuid": domain.UUIDString()})
    domain.suspend()
    domain.resume()


def undo_pull(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """End a copy of what is below a disk; what it has copied so far does no harm."""
    libvirt = need("libvirt")
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None or not _says_linked(domain, data["path"], context):
        return
    try:
        if local.is_active(domain):
            job = domain.blockJobInfo(data["target"])
            if job and job["type"] == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
                domain.blockJobAbort(data["target"])
            # Also when it ended in the same moment, QEMU writes all that it keeps.
            _write_back(domain, request_id, context)
            return
    except libvirt.libvirtError as error:
        if local.is_active(domain):
            failure = local.kind_of(error, StorageFailed)
            raise failure(f"the copy of disk {data['target']} can't be ended: {error}") from error
    overlays.lay_again(data["path"], data["backing"], data["format"])


def _says_linked(domain: Any, path: str, context: JobContext) -> bool:
    """Tell whether a vm still says that its disk builds upon a base.

    If it does not, all was copied before; a journal that was restored from a backup knows less.
    """
    with local.errors("read the definition of a vm", context.host):
        made = definition.describe(inactive_xml(domain)).made
    if made is None or made.base is None:
        return False
    return any(volume.path == path for volume in made.volumes)


def undo_pause(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Let a guest run again that was to stand still for a moment."""
    libvirt = need("libvirt")
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    with local.errors("resume a vm", context.host):
        if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            domain.resume()
