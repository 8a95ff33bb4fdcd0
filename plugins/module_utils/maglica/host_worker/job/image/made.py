# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Original images that Maglica made: found, judged, and their old versions removed."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...._deps import need
from ....disk import chain
from ....domain import definition, image_metadata
from ....domain.definition import Definition
from ....domain.image_metadata import ImageRecord, OwnVersion
from ....domain.metadata import IMAGE_NAMESPACE, PREFIX, OwnVolume
from ....libvirtd import local
from ....libvirtd.local import inactive_xml
from ....model.errors import (
    ImageRunning,
    ImageUnsupported,
    LibvirtFailed,
    MaglicaError,
    NameTaken,
    NotOwn,
    StorageFailed,
)
from ....model.image import may_be_made_image
from ....system import locks
from ...journal.intents import Effect
from ...ownership import own_files, references
from ...ownership.own_files import OwnFiles
from ...ownership.references import References
from ..context import JobContext
from . import base as bases

_LOCKS = "images"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MadeImage:
    """An image that Maglica made: ``domain`` is libvirt's, ``xml`` its inactive definition."""

    domain: Any
    xml: str
    definition: Definition
    record: ImageRecord

    @property
    def uuid(self) -> str:
        return self.definition.uuid

    @property
    def is_whole(self) -> bool:
        """Whether the files of its newest version are there."""
        volumes = self.record.versions[-1].volumes if self.record.versions else ()
        return bool(volumes) and all(os.path.lexists(volume.path) for volume in volumes)


def lock_of(name: str, context: JobContext) -> Path:
    """Return the lock (system/locks.py) of whoever adds or removes the image of that name."""
    return context.settings.state_dir / _LOCKS / name


def find(name: str, context: JobContext) -> MadeImage | None:
    """Return the image of that name; None if there is no domain of that name at all.

    Raises NameTaken for a domain that is another's, ImageUnsupported, LibvirtFailed, HostDown.
    """
    libvirt = need("libvirt")
    try:
        domain = context.connect().lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        failure = local.kind_of(error, LibvirtFailed)
        raise failure(f"it can't be looked up: {error}") from error
    found = read(domain, context)
    if found is None:
        raise NameTaken("a domain of that name is there already, and Maglica did not make it")
    return found


def read(domain: Any, context: JobContext) -> MadeImage | None:
    """Return what a domain (virDomain) is as an image; None if Maglica did not make it as one."""
    with local.errors(f"read the definition of {domain.name()}", context.host):
        xml = inactive_xml(domain)
    described = definition.describe(xml)
    if described.image is None or not described.image.made:
        return None
    return MadeImage(domain, xml, described, described.image)


def again(image: MadeImage, context: JobContext) -> MadeImage:
    """Return an image as it is now. Raises ImageUnsupported if Maglica's it is no more."""
    now = read(image.domain, context)
    if now is None:
        raise ImageUnsupported("its definition says no more that Maglica made it")
    return now


def check_off(image: MadeImage, context: JobContext, what_for: str) -> None:
    """Raise ImageRunning, or ImageUnsupported for one with a saved state, unless it is off."""
    with local.errors("see whether it runs", context.host):
        if image.domain.isActive():
            raise ImageRunning(f"it is running: shut it down {what_for}")
        if image.domain.hasManagedSaveImage():
            raise ImageUnsupported(f"it has a saved state: start it and shut it down {what_for}")


def keep_if_started(image: MadeImage, context: JobContext, what_for: str) -> None:
    """Raise ImageRunning, with the definition given back, if it runs when that was just taken.

    libvirt takes it of a domain that runs without an error, and knows nothing of it at its end.
    """
    with local.errors(f"give back the definition of {image.definition.name}", context.host):
        if not local.is_active(image.domain):
            return
        context.connect().defineXML(image.xml)
    raise ImageRunning(f"it was started just now: shut it down {what_for}")


def check_replaceable(image: MadeImage, context: JobContext) -> None:
    """Raise unless a new version may take the place of what its disk is now.

    What somebody has written to it, or changed of its disks, is not Maglica's to throw away.
    """
    check_off(image, context, "to give it a new version")
    newest = image.record.versions[-1] if image.record.versions else OwnVersion(image.record.newest)
    own = own_disk(newest)
    disks = [disk.source for disk in image.definition.copied_disks]
    advice = "remove it, or add the new one under another name"
    if disks != ([own.path] if own else []):
        raise ImageUnsupported(f"its definition has other disks than Maglica gave it: {advice}")
    if own and os.path.lexists(own.path) and not chain.is_untouched(own.path):
        raise ImageUnsupported(
            "it was started and its disk written to since it was made, which a new version would"
            f" throw away: {advice}"
        )


def own_disk(version: OwnVersion) -> OwnVolume | None:
    """Return the volume that is the disk of the image's own domain while it has that version."""
    return version.volumes[-1] if version.volumes else None


def tidy(context: JobContext) -> None:
    """Remove what nobody needs of images' old versions; the next one tries again."""
    try:
        for image in _with_old_versions(context):
            try:
                with locks.held(bases.lock_of(image.uuid, context), wait=False):
                    # Until now a request may have given it a newer version.
                    now = read(image.domain, context)
                    if now is not None:
                        _tidy(now, context)
            except BlockingIOError:
                log.info("old versions of image %s are left: it is in use", image.definition.name)
            except (NotOwn, StorageFailed, ImageUnsupported) as error:
                log.warning("old versions of %s are left: %s", image.definition.name, error)
    except MaglicaError as error:
        log.warning("old versions of images can't be removed: %s", error)


def _with_old_versions(context: JobContext) -> list[MadeImage]:
    with local.errors("list the images", context.host):
        domains = [
            domain
            for domain in context.connect().listAllDomains()
            if may_be_made_image(domain.UUIDString())
        ]
    found = []
    for domain in domains:
        try:
            image = read(domain, context)
        except ImageUnsupported as error:
            log.warning("image %s is left as it is: %s", domain.name(), error)
            continue
        if image is not None and len(image.record.versions) > 1:
            found.append(image)
    return found


def _tidy(image: MadeImage, context: JobContext) -> None:
    """Remove the volumes of old versions that nothing refers to, and then the record of these."""
    if _may_be_undone(image, context):
        return
    own_files.check_image_names(image.record, image.uuid)
    known = references.find(context)
    known.check_seen(image.uuid)
    needed = frozenset(
        os.path.realpath(disk.path) for base in context.journal.bases() for disk in base.disks
    )
    gone = []
    for version in image.record.versions[:-1]:
        if _is_idle(version, known, needed):
            own_files.discard(OwnFiles(version.volumes), context)
        if not any(os.path.lexists(volume.path) for volume in version.volumes):
            gone.append(version.what.request)
    if gone:
        record = image_metadata.without_versions(image.record, gone)
        write(image, record, context)
        log.info("image %s: %d old versions removed", image.definition.name, len(gone))


def _may_be_undone(image: MadeImage, context: JobContext) -> bool:
    """Tell whether its newest version is still to be finished: undone, it would be the old one."""
    return any(
        intent.kind is Effect.IMAGE and intent.data["uuid"] == image.uuid
        for intent in context.journal.announced()
    )


def _is_idle(version: OwnVersion, known: References, needed: Collection[str]) -> bool:
    paths = [volume.path for volume in version.volumes]
    is_base = any(os.path.realpath(path) in needed for path in paths)
    return bool(paths) and not is_base and known.to(paths, paths) is None


def write(image: MadeImage, record: ImageRecord, context: JobContext) -> None:
    """Let the image's definition say so. Raises LibvirtFailed, HostDown."""
    libvirt = need("libvirt")
    with local.errors(f"note the versions of {image.definition.name}", context.host):
        image.domain.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            image_metadata.for_libvirt(record),
            PREFIX,
            IMAGE_NAMESPACE,
            libvirt.VIR_DOMAIN_AFFECT_CONFIG,
        )
