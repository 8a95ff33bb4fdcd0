# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of an image with a new version: made, and taken back where its request ends."""

from __future__ import annotations

import logging
import os
from typing import Any

from ...._deps import need
from ....disk import nvram
from ....domain import clone, definition, new_image
from ....domain.new_image import NewImage
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import ImageRunning, ImageUnsupported, NotOwn, StorageFailed
from ....system import locks
from ...journal.intents import Effect
from ...ownership import references
from ..context import JobContext
from ..vm import remove
from . import base as bases
from . import made, unused_bases
from .made import MadeImage

log = logging.getLogger(__name__)


def define(request_id: str, plan: NewImage, old: MadeImage | None, context: JobContext) -> None:
    """Define an image's domain as planned, or anew if it is there as ``old``; it is announced.

    Raises ImageUnsupported, StorageFailed, LibvirtFailed, HostDown.
    """
    xml = new_image.definition(plan)
    hidden = nvram.hidden_path(xml, context.connect())
    if hidden is not None:
        path = clone.nvram_path(hidden, plan.name, plan.uuid)
        if os.path.lexists(path) and (old is None or old.record.nvram != path):
            raise StorageFailed(f"{path}, for its UEFI variables, is there already")
        xml = new_image.with_nvram(xml, path)
    data = {"uuid": plan.uuid, "name": plan.name, "before": old.xml if old else None}
    context.journal.intend(request_id, Effect.IMAGE, data)
    with local.errors("define it", context.host):
        flags = need("libvirt").VIR_DOMAIN_DEFINE_VALIDATE
        context.connect().defineXMLFlags(xml, flags)


def undo(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Take back the definition of an image, announced as Effect.IMAGE, with the bases of it.

    A version that vms need already stays, and so does one that somebody has started, written to or
    given another name: so do its files then, which are in use.
    """
    try:
        if "taken" in data:
            _give_back(request_id, data, context)
            return
        if _defined(request_id, data, context) is None:
            return
        # Meanwhile no clone begins to build upon the version.
        with locks.held(bases.lock_of(data["uuid"], context), waiting=context.alive):
            _take_back(request_id, data, context)
    except (ImageRunning, ImageUnsupported, NotOwn) as error:
        log.warning("image %s is left: %s", data["name"], error)


def _defined(request_id: str, data: dict[str, Any], context: JobContext) -> MadeImage | None:
    """Return the image if what was announced of it has come to be, and is still so.

    Raises NotOwn if somebody has given it another name, for it is theirs then.
    """
    domain = local.find(context.connect(), data["uuid"], context.host)
    image = None if domain is None else made.read(domain, context)
    if image is None or image.record.newest.request != request_id:
        return None
    if image.definition.name != data["name"]:
        raise NotOwn(f"it has got the name {image.definition.name!r}")
    return image


def _take_back(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    image = _defined(request_id, data, context)
    if image is None:
        return
    unused_bases.release_held(image.uuid, context)
    paths = [volume.path for volume in image.record.versions[-1].volumes]
    used = references.find(context).to(paths, paths, image.uuid)
    if used is not None:
        raise NotOwn(f"{used.path} is in use by {used.by}")
    # At the end, for the above has taken a while, in which somebody may have started it.
    image = made.again(image, context)
    made.check_replaceable(image, context)
    _announce_taking(request_id, data, image, context)
    with local.errors(f"undo the definition of {data['name']}", context.host):
        if data["before"] is None:
            remove.undefine(image.domain, image.xml, ends=False)
        else:
            context.connect().defineXML(data["before"])
    made.keep_if_started(image, context, "to have it taken back")


def _announce_taking(
    request_id: str, data: dict[str, Any], image: MadeImage, context: JobContext
) -> None:
    """Keep the definition that is to be taken, unless an earlier try has."""
    taken = {**data, "taken": image.xml}
    if all(intent.data != taken for intent in context.journal.intents(request_id)):
        context.journal.intend(request_id, Effect.IMAGE, taken)


def _give_back(request_id: str, data: dict[str, Any], context: JobContext) -> None:
    """Define an image again as it runs, if it was started as an earlier job took its definition.

    That job died before it could see that. A definition that its user has made since stays.
    """
    domain = local.find(context.connect(), data["uuid"], context.host)
    if domain is None or not local.is_active(domain):
        return
    with local.errors(f"give back the definition of {data['name']}", context.host):
        if domain.isPersistent() and not _is_of(inactive_xml(domain), data["before"]):
            return
        runs = definition.describe(domain.XMLDesc(0)).image
        if runs is not None and runs.newest.request == request_id:
            context.connect().defineXML(data["taken"])


def _is_of(xml: str, before: str | None) -> bool:
    """Tell whether a definition has the version that the image had before."""
    if before is None:
        return False
    now, then = definition.describe(xml).image, definition.describe(before).image
    return bool(now and then and now.newest.request == then.newest.request)
