# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are Maglica's own: judged, and removed.

A volume is shown to be Maglica's by the metadata of the vm or image whose it is, or by the journal.
It is removed if pool and name still lead to the path that is named there, and nothing of others
refers to it. Everything else stays where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...disk import files, nvram, volumes
from ...domain.definition import Definition
from ...domain.image_metadata import ImageRecord
from ...domain.metadata import Made, OwnVolume
from ...model.errors import NotOwn
from ...model.image import image_uuid
from . import references
from .references import OwnerContext, References

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnFiles:
    """What is removed together: volumes, and the files at ``paths``.

    A volume may lie upon another: upon one before it, or after it where an older worker named them.
    """

    volumes: tuple[OwnVolume, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def all_paths(self) -> tuple[str, ...]:
        return (*(volume.path for volume in self.volumes), *self.paths)

    def each(self) -> Iterator[OwnFiles]:
        """Yield each of them alone."""
        yield from (OwnFiles(volumes=(volume,)) for volume in self.volumes)
        yield from (OwnFiles(paths=(path,)) for path in self.paths)

    def to_json(self) -> dict[str, Any]:
        """Return what an intent keeps of them."""
        return {"volumes": [asdict(volume) for volume in self.volumes], "paths": self.paths}

    @staticmethod
    def from_json(data: dict[str, Any]) -> OwnFiles:
        own = tuple(OwnVolume(**volume) for volume in data["volumes"])
        return OwnFiles(own, tuple(data["paths"]))


def of_vm(made: Made) -> OwnFiles:
    """Return what a vm's metadata names as its own."""
    return OwnFiles(made.volumes, () if made.nvram is None else (made.nvram,))


def of_image(image: ImageRecord) -> OwnFiles:
    """Return what an image's metadata names as its own: of all its versions."""
    return OwnFiles(image.volumes, () if image.nvram is None else (image.nvram,))


def of_domain(described: Definition) -> OwnFiles:
    """Return what the metadata of a domain names as its own, with what it keeps; nothing of one of
    others.
    """
    if described.made is not None:
        own = of_vm(described.made)
        return replace(own, volumes=(*own.volumes, *described.made.kept.values()))
    return OwnFiles() if described.image is None else of_image(described.image)


def check_names(own: OwnFiles, uuid: str) -> None:
    """Raise NotOwn for a file that Maglica would have given another name as one of the vm ``uuid``.

    Whoever edits a definition could let its metadata name any file.
    """
    named = [(path, nvram.is_of_vm(Path(path).name, uuid)) for path in own.paths]
    named += [(each.path, volumes.is_of_vm(Path(each.path).name, uuid)) for each in own.volumes]
    _check_named(named, own.volumes)


def check_image_names(image: ImageRecord, uuid: str) -> None:
    """Raise NotOwn as ``check_names`` does, for the image ``uuid``.

    The names of a version's volumes tell which request brought it.
    """
    named = [(path, nvram.is_of_vm(Path(path).name, uuid)) for path in of_image(image).paths]
    named += [
        (each.path, volumes.is_of_image(Path(each.path).name, image_uuid(version.what.request)))
        for version in image.versions
        for each in version.volumes
    ]
    _check_named(named, image.volumes)


def _check_named(named: Iterable[tuple[str, bool]], own: Iterable[OwnVolume]) -> None:
    for path, is_named in named:
        if not is_named:
            raise NotOwn(f"{path} is named by its metadata, and by no name that Maglica gives")
    for volume in own:
        if Path(volume.path).name != volume.name:
            raise NotOwn(f"volume {volume.name} is named by its metadata as {volume.path}")


def check(own: OwnFiles, context: OwnerContext, uuid: str | None = None) -> None:
    """Raise NotOwn unless all of it may be removed, together with the domain ``uuid``.

    What is gone already does not matter. Raises StorageFailed for what can't be found out.
    """
    for one in own.each():
        _is_own(one, context)
    _check_unused(own, own.all_paths, references.find(context), uuid)


def discard(own: OwnFiles, context: OwnerContext) -> None:
    """Remove what may be removed, each for itself; the rest stays and is named in the log.

    For what has no domain any more, or never had one. What others of it lie upon goes after these,
    in whatever order they are named: if they stay, so does it. Raises StorageFailed for what can't
    be found out or removed now.
    """
    known = None
    gone: list[str] = []
    # As they are named now, all go at once.
    todo = [*reversed((*own.each(),))]
    while True:
        refused: list[tuple[OwnFiles, NotOwn]] = []
        for one in todo:
            try:
                if _is_own(one, context):
                    known = known or references.find(context, beside=own.all_paths)
                    _check_unused(one, gone, known)
                    remove(one, context)
                gone.extend(one.all_paths)
            except NotOwn as error:
                refused.append((one, error))
        if len(refused) == len(todo):
            break
        todo = [one for one, _why in refused]
    for _one, why in refused:
        _log.warning("left where it is: %s", why)


def remove(own: OwnFiles, context: OwnerContext) -> None:
    """Remove it, as far as it is there still. Raises NotOwn, StorageFailed."""
    for volume in own.volumes:
        volumes.remove(context.connect(), volume)
    for path in own.paths:
        if files.is_there(path):
            files.remove(path)


def _is_own(one: OwnFiles, context: OwnerContext) -> bool:
    """Tell whether it is there; raises NotOwn if that is not Maglica's."""
    found = [volumes.find(context.connect(), volume) is not None for volume in one.volumes]
    return any(found) or any(map(files.is_there, one.paths))


def _check_unused(
    one: OwnFiles, among: Collection[str], known: References, uuid: str | None = None
) -> None:
    used = known.to(one.all_paths, among, uuid)
    if used is not None:
        raise NotOwn(f"{used.path} is in use by {used.by}")
