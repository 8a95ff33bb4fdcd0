# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes an original image that Maglica made, with what its metadata names as its own."""

from __future__ import annotations

from typing import Any

from ....libvirtd import local
from ....model.errors import ImageUnknown, MaglicaError, NotOwn, StorageFailed
from ....model.request import Request
from ....model.text import some
from ....system import locks
from ....verbs.remove_image import RemoveImageSpec
from ...journal.intents import Effect
from ...ownership import own_files, references
from ...ownership.own_files import OwnFiles
from ..context import JobContext
from ..vm import remove
from . import base as bases
from . import made, unused_bases
from .made import MadeImage

_WHAT_FOR = "to remove it"


def remove_image(request: Request, context: JobContext) -> None:
    """Remove an image that Maglica made: its bases, its domain, the files of all its versions.

    As soon as the domain is gone there is only one way, forward. Raises, with nothing done but
    unused bases removed, ImageUnknown for an image that Maglica did not make, ImageRunning, and
    NotOwn for one that vms need, which are named.
    """
    spec = request.spec
    if not isinstance(spec, RemoveImageSpec):
        raise ImageUnknown(f"request {request.id} names no image")
    try:
        with locks.held(made.lock_of(spec.image, context), waiting=context.alive):
            domain = local.find(context.connect(), spec.uuid, context.host)
            if domain is not None:
                _take_away(domain, request, spec, context)
            with context.phase(request.id, "volumes"):
                for intent in context.journal.intents(request.id):
                    own_files.discard(OwnFiles.from_json(intent.data), context)
                context.journal.looks.forget(spec.image)
    except MaglicaError as error:
        text = f"cannot remove image {spec.image} on host {context.host}: {error}"
        raise type(error)(text) from error


def _image(domain: Any, spec: RemoveImageSpec, context: JobContext) -> MadeImage:
    image = made.read(domain, context)
    if image is None:
        raise ImageUnknown("Maglica did not make it: it is left alone")
    if image.definition.name != spec.image:
        raise ImageUnknown(f"the image with the UUID {spec.uuid} is {image.definition.name}")
    return image


def _take_away(domain: Any, request: Request, spec: RemoveImageSpec, context: JobContext) -> None:
    """Undefine an image whose files may be removed after it, which are announced."""
    try:
        image = _image(domain, spec, context)
        if context.journal.intents(request.id):
            # An earlier run may have died as soon as it had taken its definition.
            made.keep_if_started(image, context, _WHAT_FOR)
        made.check_off(image, context, _WHAT_FOR)
        own_files.check_image_names(image.record, image.uuid)
        unused_bases.release(image.definition.name, context, image.uuid)
        with locks.held(bases.lock_of(image.uuid, context), wait=False):
            own = _unneeded(image, context)
            with context.phase(request.id, "undefine"):
                context.journal.intend(request.id, Effect.REMOVAL, own.to_json())
                _undefine(image, context)
    except BlockingIOError as error:
        _forget(request, spec, context)
        raise StorageFailed("it is in use by a request that is under way") from error
    except MaglicaError:
        _forget(request, spec, context)
        raise


def _forget(request: Request, spec: RemoveImageSpec, context: JobContext) -> None:
    """Forget what is announced, also by an earlier run, of an image that has its disks still."""
    if local.find(context.connect(), spec.uuid, context.host) is not None:
        context.journal.forget(request.id)


def _unneeded(image: MadeImage, context: JobContext) -> OwnFiles:
    """Return the image's own files. Raises NotOwn where they are needed, or StorageFailed."""
    own = own_files.of_image(image.record)
    left = context.journal.bases(image.uuid)
    paths = [*own.all_paths, *(disk.path for base in left for disk in base.disks)]
    known = references.find(context)
    users = known.users(paths, image.uuid)
    if users:
        raise NotOwn(f"it is needed by {some(users)}: remove what needs it first")
    known.check_seen(image.uuid)
    if left:
        raise NotOwn(f"its base {left[0].id} is in use")
    own_files.check(own, context, image.uuid)
    return own


def _undefine(image: MadeImage, context: JobContext) -> None:
    # All that was found out before has taken a while, in which somebody may have started it.
    image = made.again(image, context)
    made.check_off(image, context, _WHAT_FOR)
    with local.errors("undefine it", context.host):
        remove.undefine(image.domain, image.xml, ends=False)
    made.keep_if_started(image, context, _WHAT_FOR)
