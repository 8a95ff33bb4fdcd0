# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes a vm that Maglica made, with what its metadata names as its own and nothing else; one
that was adopted, with its files, only where that is asked for.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ...._deps import need
from ....domain import definition
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import MaglicaError, NotOwn, StorageFailed
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.remove import RemoveSpec, not_ours
from ...journal.intents import Effect
from ...ownership import foreign_files, own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext
from ..image import made as made_images
from ..image import unused_bases
from . import existing, shown

# What of an announced removal was not Maglica's own.
_FOREIGN = "foreign"


def remove(request: Request, context: JobContext) -> Domain:
    """Remove a vm that Maglica made, with its own volumes, UEFI variables, saved state and TPM; one
    that was adopted with those of its files that nothing else refers to, if that is asked for.

    As soon as the domain is gone there is only one way, forward: what is announced is removed by
    the next run, whatever the first one died of. Raises NotOwn, with nothing done, when something
    can't be shown to be the vm's own, or something of others refers to it.
    """
    spec = existing.spec_of(request, RemoveSpec)
    domain = local.find(context.connect(), spec.uuid, context.host)
    removed = Domain(spec.name, spec.uuid, context.host, shown.GONE, active=False)
    act = f"remove {spec.name}"
    try:
        with local.errors(act, context.host):
            if domain is not None:
                removed = _take_away(domain, request, context)
            with context.phase(request.id, "volumes"):
                for intent in context.journal.intents(request.id):
                    own_files.discard(OwnFiles.from_json(intent.data), context)
                unused_bases.tidy(context)
                made_images.tidy(context)
    except StorageFailed as error:
        raise type(error)(f"cannot {act} on host {context.host}: {error}") from error
    if spec.remove_foreign_disks:
        removed = replace(removed, foreign_disks=_gone(request, context))
    return removed


def _gone(request: Request, context: JobContext) -> tuple[str, ...]:
    """Return those of others' files that were announced which are not there any more."""
    intents = context.journal.intents(request.id)
    theirs = (OwnFiles.from_json(each.data) for each in intents if each.data.get(_FOREIGN))
    paths = dict.fromkeys(path for files in theirs for path in files.all_paths)
    return tuple(path for path in paths if not os.path.lexists(path))


def _take_away(domain: Any, request: Request, context: JobContext) -> Domain:
    """Undefine a domain whose own files may be removed after it, which are announced."""
    spec, libvirt = existing.spec_of(request, RemoveSpec), need("libvirt")
    try:
        made = existing.check(domain, request, context)
        xml = inactive_xml(domain)
        with context.phase(request.id, "undefine"):
            # What an earlier job has announced, which died here, may be the vm's no more.
            context.journal.forget(request.id)
            theirs = _of_others(xml, spec, context) if made.adopted else OwnFiles()
            own = own_files.of_vm(made)
            own_files.check_names(own, spec.uuid)
            own_files.check(own, context, spec.uuid)
            if theirs.all_paths:
                told = {**theirs.to_json(), _FOREIGN: True}
                context.journal.intend(request.id, Effect.REMOVAL, told)
            context.journal.intend(request.id, Effect.REMOVAL, own.to_json())
            undefine(domain, xml)
    except (MaglicaError, libvirt.libvirtError):
        if local.find(context.connect(), spec.uuid, context.host) is not None:
            # It has its disks still, and keeps them.
            context.journal.forget(request.id)
        raise
    return shown.of_definition(xml, context.host)


def _of_others(xml: str, spec: RemoveSpec, context: JobContext) -> OwnFiles:
    """Return the files that go with an adopted domain. Raises NotOwn unless that is asked for."""
    found = definition.describe(xml)
    if not spec.remove_foreign_disks:
        raise NotOwn(not_ours(found.foreign_disks))
    return foreign_files.of_adopted(found, context)


def undefine(domain: Any, xml: str, *, ends: bool = True) -> None:
    """End a domain, unless ``ends`` is false, and remove its definition, with saved state and TPM
    state.

    UEFI variables stay: libvirt would remove the file that the definition names, whose-ever it is.
    """
    libvirt = need("libvirt")
    # Asked first: one that runs without a definition, as an earlier run that died may have left
    # it, is no domain any more as soon as it has ended.
    is_defined = domain.isPersistent()
    if ends and local.is_active(domain):
        existing.destroy(domain)
    root = definition.parse(xml)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if is_defined:
        # Only what the definition has: libvirt's drivers refuse flags that mean nothing to them.
        if root.find("os/nvram") is not None or root.find("os[@firmware='efi']") is not None:
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
        if root.find("devices/tpm") is not None:
            # Since libvirt 8.9; before, libvirt removed the TPM's state in any case.
            flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0)
        if _has_checkpoints(domain):
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        domain.undefineFlags(flags)
    if ends and local.is_active(domain):
        # Started in between, it would run on, and keep its files.
        existing.destroy(domain)


def _has_checkpoints(domain: Any) -> bool:
    libvirt = need("libvirt")
    try:
        return bool(domain.listAllCheckpoints())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False
        raise
