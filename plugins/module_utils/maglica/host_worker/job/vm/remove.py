# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes a vm that Maglica made, with what its metadata names as its own and nothing else."""

from __future__ import annotations

from typing import Any

from ...._deps import need
from ....domain import definition
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import MaglicaError, StorageFailed
from ....model.request import Request
from ....model.vm import Domain
from ....verbs.remove import RemoveSpec
from ...journal.intents import Effect
from ...ownership import own_files
from ...ownership.own_files import OwnFiles
from ..context import JobContext
from ..image import made as made_images
from ..image import unused_bases
from . import existing, shown


def remove(request: Request, context: JobContext) -> Domain:
    """Remove a vm that Maglica made, with its own volumes, UEFI variables, saved state and TPM.

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
    return removed


def _take_away(domain: Any, request: Request, context: JobContext) -> Domain:
    """Undefine a domain whose own files may be removed after it, which are announced."""
    spec, libvirt = existing.spec_of(request, RemoveSpec), need("libvirt")
    try:
        made = existing.check(domain, request, context)
        xml = inactive_xml(domain)
        with context.phase(request.id, "undefine"):
            own = own_files.of_vm(made)
            own_files.check_names(own, spec.uuid)
            own_files.check(own, context, spec.uuid)
            context.journal.intend(request.id, Effect.REMOVAL, own.to_json())
            undefine(domain, xml)
    except (MaglicaError, libvirt.libvirtError):
        if local.find(context.connect(), spec.uuid, context.host) is not None:
            # It has its disks still, and keeps them.
            context.journal.forget(request.id)
        raise
    return shown.of_definition(xml, context.host)


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
