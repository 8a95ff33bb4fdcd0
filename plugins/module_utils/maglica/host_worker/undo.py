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

from .. import domain_xml
from ..errors import StorageFailed
from . import bases, libvirtd, quick, storage, view
from .context import JobContext

VOLUME, FILE, DOMAIN = "volume", "file", "domain"
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
    storage.delete(context.connect(), data["pool"], data["name"])


def _file(_request_id: str, data: dict[str, Any], _context: JobContext) -> None:
    try:
        Path(data["path"]).unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed(f"{data['path']} can't be removed: {error.strerror}") from error


def _domain(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    domain = libvirtd.find(context.connect(), data["uuid"], context.host)
    if domain is None:
        return
    with libvirtd.errors(f"undo the definition of {data['name']}", context.host):
        xml = view.inactive_xml(domain)
        made = domain_xml.describe(xml).made
        if made is not None and made.request == request_id:
            quick.undefine(domain, xml)


def _base(_request_id: str, data: dict[str, Any], context: JobContext) -> None:
    bases.undo(data["id"], data["image_uuid"], context)


_UNDOERS: dict[str, Callable[[str, dict[str, Any], JobContext], None]] = {
    VOLUME: _volume,
    FILE: _file,
    DOMAIN: _domain,
    bases.INTENT: _base,
}
