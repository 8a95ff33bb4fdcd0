# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an adopted vm, which are removed with it only where that is asked for.

They are those that its definition names: its disks that are written to, and its UEFI variables.
What any of these builds upon stays, as do devices, links, what other hosts may see, what something
else on this host refers to, and what is Maglica's own, of a base or of a vm.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from ..._deps import need
from ...disk import files, mounts, pools, volumes
from ...domain import definition
from ...domain.definition import Definition
from ...domain.metadata import OwnVolume
from ...libvirtd import local
from ...libvirtd.local import inactive_xml
from ...model.errors import ImageUnsupported, NotOwn, StorageFailed
from . import leftovers, own_files, references
from .own_files import OwnFiles
from .references import OwnerContext

_log = logging.getLogger(__name__)


def of_adopted(described: Definition, context: OwnerContext) -> OwnFiles:
    """Return those files that nothing but the domain itself refers to.

    Raises StorageFailed, HostDown for what can't be found out.
    """
    paths = list(dict.fromkeys(_paths(described, context)))
    known, own = references.find(context, beside=paths), _own(context)
    found = OwnFiles()
    for path in paths:
        used = known.to([path], paths, described.uuid)
        if used is not None or os.path.realpath(path) in own:
            by = "Maglica itself" if used is None else used.by
            _log.warning("left where it is: %s is in use by %s", path, by)
            continue
        volume = _volume(context.connect(), path)
        if volume is None:
            found = OwnFiles(found.volumes, (*found.paths, path))
        else:
            found = OwnFiles((*found.volumes, volume), found.paths)
    return found


def _paths(described: Definition, context: OwnerContext) -> Iterator[str]:
    """Yield the paths of the files that may be removed at all."""
    named = [
        volumes.path_of(context.connect(), disk)
        for disk in described.copied_disks
        if disk.source in described.foreign_disks
    ]
    nvram = [described.nvram] if described.nvram in described.foreign_disks else []
    for path in filter(None, (*named, *nvram)):
        try:
            is_there = files.is_there(path)
        except NotOwn as error:
            _log.warning("left where it is: %s", error)
            continue
        shared = mounts.shared_kind(os.path.dirname(path))  # noqa: PTH120 - a text, as defined
        if is_there and shared is None:
            yield path
        elif is_there:
            _log.warning("left where it is: %s, which other hosts may see (%s)", path, shared)


def _own(context: OwnerContext) -> frozenset[str]:
    """Return the real paths of what the journal or a definition names as Maglica's own."""
    libvirt = need("libvirt")
    named = leftovers.announced(context.journal)
    try:
        for domain in context.connect().listAllDomains(0):
            named += own_files.of_domain(definition.describe(inactive_xml(domain))).all_paths
    except (ImageUnsupported, libvirt.libvirtError) as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"what is Maglica's own can't be found out: {error}") from error
    return frozenset(map(os.path.realpath, filter(None, named)))


def _volume(connection: Any, path: str) -> OwnVolume | None:
    """Return the volume of a pool that a file is, if libvirt knows it as one."""
    libvirt = need("libvirt")
    try:
        volume = connection.storageVolLookupByPath(path)
        pool = volume.storagePoolLookupByVolume()
        if pools.definition(pool).get("type") not in pools.KINDS or volume.path() != path:
            return None
        return OwnVolume("", pool.name(), volume.name(), path)
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_NO_SUPPORT):
            return None
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"whether {path} is a volume can't be found out: {error}") from error
