# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bases that nothing builds upon: found, and removed."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from .. import domain_xml
from .._deps import need
from ..domain_xml import Definition
from ..errors import ImageUnsupported, MaglicaError, StorageFailed
from . import bases, images, libvirtd, storage
from .context import JobContext
from .journal import READY

_NAME = re.compile(r"maglica-base\.[0-9a-f]{12}\.[0-9a-f]{8}\.[a-z0-9]{1,16}\.qcow2")

# Whoever makes a base or clones it holds the lock.
_AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB

log = logging.getLogger(__name__)


def collect(connection: Any, context: JobContext) -> None:
    """Remove the bases that no volume builds upon, but for the newest of each image that exists.

    Also those that the journal does not know: they are left of a journal that was lost. A base
    whose image is being cloned is left for the next time. Raises StorageFailed.
    """
    known = context.journal.bases()
    for image_uuid in dict.fromkeys(base.image_uuid for base in known):
        try:
            with bases.locked(context.settings.state_dir, image_uuid, _AT_ONCE):
                _collect_image(image_uuid, connection, context)
        except BlockingIOError:
            log.info("the bases of image %s are in use", image_uuid)
    _collect_unknown(connection, context)


def tidy(context: JobContext) -> None:
    """Collect after work whose result does not depend on it; the next one tries again."""
    try:
        collect(context.connect(), context)
    except MaglicaError as error:
        log.warning("bases can't be collected: %s", error)


def release(image: str, connection: Any, context: JobContext) -> int:
    """Remove the bases of an image that no volume builds upon; return how many these are.

    Raises StorageFailed, also when one is just being made or cloned from.
    """
    removed = 0
    uuids = {base.image_uuid for base in context.journal.bases() if base.image == image}
    for image_uuid in sorted(uuids):
        try:
            with bases.locked(context.settings.state_dir, image_uuid, _AT_ONCE):
                removed += _collect_image(image_uuid, connection, context, keep_newest=False)
        except BlockingIOError as error:
            raise StorageFailed("its base is in use by a request that is under way") from error
    return removed


def _collect_image(
    image_uuid: str, connection: Any, context: JobContext, keep_newest: bool = True
) -> int:
    """Remove an image's bases that nothing builds upon; return how many."""
    known = context.journal.bases(image_uuid)
    ready = [base for base in known if base.state == READY]
    if keep_newest:
        keep_newest = libvirtd.find(connection, image_uuid, context.host) is not None
    newest = ready[-1:] if keep_newest else []
    idle = [base for base in known if base not in newest]
    used = in_use(connection, context) if idle else None
    removed = 0
    for base in idle:
        paths = [disk["path"] for disk in base.disks.values()]
        if used is not None and not used.has(base.id, paths):
            log.info("removing base %s of image %s", base.id, base.image)
            bases.remove(base, connection, context)
            removed += 1
    return removed


def _collect_unknown(connection: Any, context: JobContext) -> None:
    volumes = {
        os.path.realpath(storage.volume_path(pool, name)): (pool, name)
        for pool in storage.pools(connection)
        for name in storage.volume_names(connection, pool)
        if _NAME.fullmatch(name)
    }
    # Read after the volumes: a base is journaled before its first volume is made.
    known = {
        os.path.realpath(disk["path"])
        for base in context.journal.bases()
        for disk in base.disks.values()
    }
    unknown = volumes.keys() - known
    used = in_use(connection, context) if unknown else None
    for path in unknown:
        pool, name = volumes[path]
        base_id = name.split(".")[2]
        if used is not None and not used.has(base_id, [path]):
            log.warning("removing base volume %s, which is in no journal", name)
            storage.delete(connection, pool.name, name)


@dataclass(frozen=True)
class Uses:
    """Files that others build upon, by their real paths, and the bases that vms say they need."""

    paths: frozenset[str]
    ids: frozenset[str]

    def has(self, base_id: str, paths: Collection[str]) -> bool:
        """Tell whether a base of that id, with files at these paths, is needed."""
        return base_id in self.ids or any(os.path.realpath(path) in self.paths for path in paths)


def in_use(connection: Any, context: JobContext) -> Uses:
    """Find out what the files in the pools and the disks of domains build upon.

    What can't be found out is an error, StorageFailed, and never "nothing".
    """
    libvirt = need("libvirt")
    files = {path for pool in storage.pools(connection) for path in _files(pool.path)}
    ids = set()
    try:
        for definition in filter(None, map(_described, connection.listAllDomains())):
            files.update(disk.source for disk in definition.disks if disk.source)
            if definition.made is not None and definition.made.base is not None:
                ids.add(definition.made.base)
    except libvirt.libvirtError as error:
        failure = libvirtd.kind_of(error, StorageFailed)
        raise failure(f"what uses the bases can't be found out: {error}") from error
    except ImageUnsupported as error:
        raise StorageFailed(f"what uses the bases can't be found out: {error}") from error
    found: set[str] = set()
    while files:
        below = {path for path in map(images.backing_of, files) if path}
        files = below - found
        found |= below
    # What a vm is just leaving may be needed again if that is interrupted.
    leaving = {intent.data["backing"] for intent in context.journal.announced(bases.PULL)}
    return Uses(frozenset(found | set(map(os.path.realpath, leaving))), frozenset(ids))


def _described(domain: Any) -> Definition | None:
    """Return a domain's definition; one that vanishes meanwhile has none."""
    libvirt = need("libvirt")
    try:
        return domain_xml.describe(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_file())
    except OSError as error:
        raise StorageFailed(
            f"the folder {folder} of a storage pool can't be read: {error.strerror}"
        ) from error
