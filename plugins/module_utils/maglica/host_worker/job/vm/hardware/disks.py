# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the acts on disks of a vm share: which is meant, and how it comes to a vm and goes."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

from ....._deps import need
from .....disk import pools, volumes
from .....disk.backend import Pool
from .....domain import definition, disks
from .....domain.definition import DefinedDisk
from .....domain.disks import FurtherDisk
from .....domain.metadata import Made, OwnVolume
from .....libvirtd import local
from .....libvirtd.local import inactive_xml
from .....model.errors import StorageFailed, VmUnknown
from ....ownership import own_files
from ....ownership.own_files import OwnFiles
from ...context import JobContext

# A guest lets go of a disk in a moment, if it does.
RELEASE_SECONDS = 10
POLL_SECONDS = 0.1


def need_own(volume: OwnVolume, domain: Any) -> None:
    """Raise NotOwn for a volume that only the metadata, which may be edited, calls the vm's own."""
    own_files.check_names(OwnFiles((volume,)), domain.UUIDString())


def definitions(domain: Any) -> list[tuple[ET.Element, bool]]:
    """Return the definitions of a domain, each with whether it is the one that it runs with."""
    found = []
    if domain.isPersistent():
        found.append((definition.parse(inactive_xml(domain)), False))
    if local.is_active(domain):
        found.append((definition.parse(domain.XMLDesc()), True))
    return found


def is_attached(domain: Any, volume: OwnVolume) -> bool:
    """Tell whether a volume is a disk of a domain, now and at its next start."""
    return all(disks.find(root, volume) is not None for root, _live in definitions(domain))


def half(domain: Any, volume: OwnVolume) -> tuple[bool, DefinedDisk] | None:
    """Return what a volume is in one of a domain's two definitions alone, and whether that is the
    one that it runs with; None: it is in both or in none.
    """
    told = [(is_live, disks.described(root, volume)) for root, is_live in definitions(domain)]
    found = [(is_live, disk) for is_live, disk in told if disk is not None]
    return found[0] if 0 < len(found) < len(told) else None


def need_attached(domain: Any, made: Made, name: str) -> OwnVolume:
    """Return the own disk of that name, which is attached as it was made.

    Raises VmUnknown, NotOwn, or StorageFailed for one that lies below a snapshot.
    """
    volume = made.disks.get(name)
    if volume is None:
        known = ", ".join(sorted(made.disks)) or "none"
        raise VmUnknown(
            f"vm {domain.name()} has no disk {name} of its own; those that it has: {known}"
        )
    need_own(volume, domain)
    if not is_attached(domain, volume):
        raise StorageFailed(
            f"its volume {volume.path} is not attached, or below a snapshot: merge snapshots, or"
            " attach it as it was"
        )
    return volume


def plug(domain: Any, further: FurtherDisk, volume: OwnVolume, live: bool) -> None:
    """Attach a disk to a vm as it runs, or to its definition, unless it is there.

    Raises libvirt's own error.
    """
    for root, is_live in definitions(domain):
        if is_live is live and disks.find(root, volume) is None:
            for element in disks.add(root, further, volume.target):
                domain.attachDeviceFlags(ET.tostring(element, encoding="unicode"), flag(live))


def unplug(domain: Any, volume: OwnVolume, context: JobContext, but: bool | None = None) -> None:
    """Detach a disk from a vm, first of all from its guest. ``but`` is left as it is: what it runs
    with (True), or its definition (False).

    Raises StorageFailed if that does not let it go, with nothing changed.
    """
    for root, is_live in reversed(definitions(domain)):
        element = disks.find(root, volume)
        if element is None or is_live is but:
            continue
        domain.detachDeviceFlags(ET.tostring(element, encoding="unicode"), flag(is_live))
        if is_live and not _is_released(domain, volume, context):
            raise StorageFailed(
                f"its guest does not let go of it within {RELEASE_SECONDS} s: unmount it there, or"
                " stop the vm first"
            )


def _is_released(domain: Any, volume: OwnVolume, context: JobContext) -> bool:
    ends = time.monotonic() + RELEASE_SECONDS
    while local.is_active(domain):
        if disks.find(definition.parse(domain.XMLDesc()), volume) is None:
            return True
        if time.monotonic() > ends:
            return False
        context.alive()
        time.sleep(POLL_SECONDS)
    return True


def flag(live: bool) -> int:
    libvirt = need("libvirt")
    found: int = libvirt.VIR_DOMAIN_AFFECT_LIVE if live else libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return found


def pool_of(volume: OwnVolume, context: JobContext) -> Pool:
    """Return the pool that has a volume. Raises NotOwn, StorageFailed."""
    known = {pool.name: pool for pool in pools.pools(context.connect())}
    pool = known.get(volume.pool)
    if pool is None:
        raise StorageFailed(f"the storage pool {volume.pool} of {volume.path} is not active")
    if volumes.find(context.connect(), volume) is None:
        raise StorageFailed(f"its volume {volume.path} is gone")
    return pool


def at(volume: OwnVolume, target: str) -> OwnVolume:
    """Return a volume as the one of another target."""
    return replace(volume, target=target)
