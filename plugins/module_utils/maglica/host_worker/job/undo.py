# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes back what a request's job announced, the last first.

Each step may run again at any time and finds nothing to do then, so that a job that died while it
undid is followed by one that goes on.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

from ..._deps import need
from ...disk import overlays
from ...domain import definition
from ...domain.metadata import OwnVolume
from ...libvirtd import local
from ...libvirtd.local import inactive_xml, state_of
from ...model.errors import LibvirtFailed, StorageFailed
from ..journal.intents import Effect
from ..ownership import own_files
from ..ownership.own_files import OwnFiles
from .context import JobContext
from .image import base
from .vm import remove

_KEYS = "keys"


def undo(request_id: str, context: JobContext) -> None:
    """Undo all that is announced for a request and forget it.

    Raises StorageFailed, LibvirtFailed or HostDown; what is left then is still announced.
    """
    for intent in reversed(context.journal.intents(request_id)):
        _UNDOERS[intent.kind](request_id, intent.data, context)
    shutil.rmtree(key_folder(context, request_id), ignore_errors=True)
    context.journal.forget(request_id)


def key_folder(context: JobContext, request_id: str) -> Path:
    """Return the folder in which the SSH host keys of a request's vm are made."""
    return Path(context.settings.state_dir) / _KEYS / request_id


def _volume(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    own_files.discard(OwnFiles(volumes=(OwnVolume(**data),)), context)


def _file(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    own_files.discard(OwnFiles(paths=(data["path"],)), context)


def _domain(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    with local.errors(f"undo the definition of {data['name']}", context.host):
        xml = inactive_xml(domain)
        made = definition.describe(xml).made
        if made is not None and made.request == request_id:
            remove.undefine(domain, xml)


def _base(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    base.undo(data["id"], data["image_uuid"], context)


def _look(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    own_files.discard(OwnFiles(paths=tuple(data["paths"])), context)


def _pull(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """End a copy of what is below a disk; what it has copied so far does no harm."""
    libvirt = need("libvirt")
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None or not _is_linked(domain, data["path"], context):
        return
    try:
        if local.is_active(domain):
            job = domain.blockJobInfo(data["target"])
            if job and job["type"] == libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL:
                domain.blockJobAbort(data["target"])
            # Also when it ended in the same moment, QEMU writes all that it keeps.
            write_back(domain, request_id, context)
            return
    except libvirt.libvirtError as error:
        if local.is_active(domain):
            failure = local.kind_of(error, StorageFailed)
            raise failure(f"the copy of disk {data['target']} can't be ended: {error}") from error
    overlays.lay_again(data["path"], data["backing"], data["format"])


def _is_linked(domain: Any, path: str, context: JobContext) -> bool:
    """Tell whether a vm still says that its disk builds upon a base.

    If it does not, all was copied before; a journal that was restored from a backup knows less.
    """
    with local.errors("read the definition of a vm", context.host):
        made = definition.describe(inactive_xml(domain)).made
    if made is None or made.base is None:
        return False
    return any(volume.path == path for volume in made.volumes)


def need_running(domain: Any) -> None:
    """Raise LibvirtFailed for a guest that is on and does not run, paused by somebody."""
    libvirt = need("libvirt")
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        raise LibvirtFailed(f"it is {state_of(domain)}: let it run, or stop it")


def write_back(domain: Any, request_id: str, context: JobContext) -> None:
    """Have QEMU write all that it keeps: it does so when a guest stands still for a moment.

    Raises LibvirtFailed when somebody has paused the guest, and libvirt's own error.
    """
    need_running(domain)
    context.journal.intend(request_id, Effect.PAUSE, {"uuid": domain.UUIDString()})
    domain.suspend()
    domain.resume()


def _pause(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Let a guest run again that was to stand still for a moment."""
    libvirt = need("libvirt")
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    with local.errors("resume a vm", context.host):
        if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
            domain.resume()


_UNDOERS: dict[Effect, Callable[[str, dict[str, Any], JobContext], None]] = {
    Effect.VOLUME: _volume,
    Effect.FILE: _file,
    Effect.DOMAIN: _domain,
    Effect.PULL: _pull,
    Effect.PAUSE: _pause,
    Effect.BASE: _base,
    Effect.LOOK: _look,
}
