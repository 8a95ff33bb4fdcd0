# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Original images: whether one can be cloned now, and what its disks are."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...._deps import need
from ....config.config import HostWorker
from ....disk import chain, pools, volumes
from ....disk.chain import Chain
from ....domain import definition
from ....domain.definition import Definition
from ....domain.metadata import OwnVolume
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import (
    ImageRunning,
    ImageUnknown,
    ImageUnsupported,
    LibvirtFailed,
)
from ..context import JobContext


@dataclass(frozen=True)
class Image:
    """An original image as it is now: its disks, by target, with all their layers.

    ``domain`` is libvirt's (virDomain), ``xml`` its inactive definition with all secrets.
    """

    domain: Any
    xml: str
    definition: Definition
    chains: Mapping[str, Chain]
    _reading: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def uuid(self) -> str:
        return self.definition.uuid

    @property
    def version(self) -> str | None:
        """What names this state of the disks; None when two states can't be told apart."""
        return chain.version(self.uuid, self.chains)

    @property
    def state(self) -> str:
        """The version; where that can't be told, a name for what was read this time."""
        return self.version or self._reading

    @property
    def allocated(self) -> int:
        """Bytes that a copy of all disks takes, but for block devices, which don't tell."""
        return sum(map(chain.allocated_bytes, self.chains.values()))


def read(name: str, context: JobContext) -> Image:
    """Look at the original image ``name`` and its disks, which are only read.

    Raises ImageUnknown, ImageRunning, ImageUnsupported, StorageFailed or LibvirtFailed.
    """
    connection = context.connect()
    domain = domain_named(connection, name)
    with local.errors(f"read the definition of {name}", context.host):
        if domain.isActive():
            raise ImageRunning("it is running: shut it down to clone it")
        if domain.hasManagedSaveImage():
            raise ImageUnsupported(
                "it has a saved state, so that its disks are those of a guest in the middle of its"
                " work: start it and shut it down"
            )
        is_persistent = domain.isPersistent()
        xml = inactive_xml(domain)
    described = definition.describe(xml)
    _need_original(described, is_persistent, context.settings)
    folders = {pool.path for pool in pools.pools(connection)}
    kept_paths = volumes.kept_paths(described.image)
    chains = {
        disk.target: chain.inspect(
            volumes.path_of(connection, disk), disk.format, folders, kept_paths
        )
        for disk in described.copied_disks
    }
    if not chains:
        raise ImageUnsupported("it has no disk to copy")
    for disk in described.copied_disks:
        volumes.need_as_stated(disk, chains[disk.target])
    return Image(domain, xml, described, chains)


def kept(image: Image) -> dict[str, OwnVolume] | None:
    """Return the volumes that keep what an image came as, by the targets of its disks.

    None unless these are all that its disks have: those of an image that Maglica made, whose own
    overlays nobody has written to. Raises ImageUnsupported, StorageFailed.
    """
    record = image.definition.image
    if record is None or not record.made:
        return None
    own = {os.path.realpath(volume.path): volume for volume in record.volumes}
    found: dict[str, OwnVolume] = {}
    for target, layers in image.chains.items():
        if len(layers) != 2 or not layers[1].kept or layers[0].size != layers[1].size:
            return None
        if os.path.realpath(layers[0].path) not in own or not chain.is_untouched(layers[0].path):
            return None
        found[target] = own[os.path.realpath(layers[1].path)]
    return found


def check_kept(image: Image, kept: Collection[OwnVolume], context: JobContext) -> None:
    """Raise ImageRunning unless the image still names as its own what keeps it.

    Who holds its lock may build upon that then: with its version it would be taken back otherwise.
    """
    domain = local.find(context.connect(), image.uuid, context.host)
    record = None
    if domain is not None:
        with local.errors(f"read the definition of {image.name}", context.host):
            record = definition.describe(inactive_xml(domain)).image
    if record is None or not set(kept) <= set(record.volumes):
        raise ImageRunning("the version that it had was taken back while it was read")


def check_unchanged(image: Image, context: JobContext) -> None:
    """Raise ImageRunning if the image was started, or its disks written to, since it was read."""
    now = {target: chain.again(layers) for target, layers in image.chains.items()}
    with local.errors(f"see whether {image.name} runs", context.host):
        is_running = image.domain.isActive()
    if is_running or chain.version(image.uuid, now) != image.version:
        raise ImageRunning("its disks were changed while they were read: shut it down")


def domain_named(connection: Any, name: str) -> Any:
    """Return a domain (virDomain). Raises ImageUnknown, LibvirtFailed, HostDown."""
    libvirt = need("libvirt")
    try:
        return connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise ImageUnknown("there is no such image") from error
        failure = local.kind_of(error, LibvirtFailed)
        raise failure(f"it can't be looked up: {error}") from error


def _need_original(described: Definition, is_persistent: bool, settings: HostWorker) -> None:
    if described.made is not None:
        who = "was adopted" if described.is_adopted else "Maglica made"
        raise ImageUnknown(f"it is a vm that {who}, no original image")
    if not is_persistent:
        raise ImageUnknown("it is a transient domain, no original image")
    if not (described.is_made_image or settings.may_be_image(described.name)):
        raise ImageUnknown("its name is not one that original images have by image_pattern")
