# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What refers to a file: definitions of domains, their snapshots, and files that build upon it.

Whatever is to be removed is looked up here first. What can't be found out is an error, never
"nothing".
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..._deps import need
from ...disk import chain, files, named_paths, pools
from ...domain import definition
from ...libvirtd import local
from ...model.errors import ImageUnsupported, NotOwn, StorageFailed
from ..journal.intents import Effect
from ..journal.journal import Journal

# What a definition says of itself.
_ABOUT = frozenset({"metadata", "title", "description"})


class OwnerContext(Protocol):
    """What must be at hand to tell what is whose; a job has it."""

    @property
    def journal(self) -> Journal: ...

    def connect(self) -> Any: ...


@dataclass(frozen=True)
class Reference:
    """A file, by its real path, and who refers to it, in words and by its UUID or real path.

    ``is_saved``: a domain does so in a snapshot or its saved state, whatever it has now.
    """

    path: str
    by: str
    uuid: str | None = None
    file: str | None = None
    is_saved: bool = False


class References:
    """All references on this host. ``bases`` are the ids of bases that vms say they need.

    ``unseen`` are files of domains that are not there now: what these build upon is not known.
    """

    def __init__(
        self, found: Iterable[Reference], bases: Iterable[str], unseen: Sequence[Reference] = ()
    ) -> None:
        self.unseen = unseen
        self._to: dict[Hashable, list[Reference]] = defaultdict(list)
        for reference in found:
            for key in _keys(reference.path):
                self._to[key].append(reference)
        self.bases = frozenset(bases)

    def to(
        self, paths: Collection[str], among: Collection[str] = (), uuid: str | None = None
    ) -> Reference | None:
        """Return what refers to one of these files; None if nothing does.

        Not counted are the files ``among`` which they are, and the domain ``uuid``: those that go
        with them.
        """
        own = set(map(os.path.realpath, (*paths, *among)))
        for path in sorted(set(map(os.path.realpath, paths))):
            for reference in (each for key in _keys(path) for each in self._to.get(key, ())):
                if reference.file not in own and (uuid is None or reference.uuid != uuid):
                    return reference
        return None

    def saved(self, path: str) -> Reference | None:
        """Return what refers to a file in a snapshot or a saved state; None if nothing does."""
        found = (each for key in _keys(os.path.realpath(path)) for each in self._to.get(key, ()))
        return next((reference for reference in found if reference.is_saved), None)

    def upon(self, paths: Collection[str]) -> Reference | None:
        """Return a file that builds upon one of these, and is none of them, as a reference."""
        own = set(map(os.path.realpath, paths))
        for path in sorted(own):
            for reference in (each for key in _keys(path) for each in self._to.get(key, ())):
                if reference.file is not None and reference.file not in own:
                    return reference
        return None

    def users(self, paths: Iterable[str], uuid: str | None = None) -> list[str]:
        """Return, in words, the domains that need one of these files, be it by files upon them.

        Not counted is the domain ``uuid``.
        """
        todo, done, found = set(map(os.path.realpath, paths)), set[str](), set[str]()
        while todo:
            path = todo.pop()
            done.add(path)
            for reference in (each for key in _keys(path) for each in self._to.get(key, ())):
                if reference.file is not None:
                    todo |= {reference.file} - done
                elif reference.uuid is None or reference.uuid != uuid:
                    found.add(reference.by)
        return sorted(found)

    def check_seen(self, uuid: str) -> None:
        """Raise NotOwn where a domain may need any file: what one of its own builds upon can't be
        seen. Not counted is the domain ``uuid``.
        """
        for each in self.unseen:
            if each.uuid != uuid:
                raise NotOwn(
                    f"{each.by} has {each.path}, which is not there now, so that it can't be told"
                    " whether it builds upon this: start that file's storage pool, or remove the"
                    " vm, first"
                )


def _keys(path: str) -> tuple[Hashable, ...]:
    """Return by what a file is known: its path, and what it has behind any other mount and link."""
    try:
        status = os.stat(path)  # noqa: PTH116 - Path.stat would raise for some names
    except OSError:
        return (path,)
    return path, (status.st_dev, status.st_ino)


def find(context: OwnerContext, beside: Iterable[str] = ()) -> References:
    """Look at all definitions of domains and all files in the pools' folders, and in those where
    the files ``beside`` which they lie are.

    Raises StorageFailed, HostDown.
    """
    libvirt = need("libvirt")
    connection = context.connect()
    try:
        folders = pools.folders(connection)
        away = pools.folders(connection, inactive=True)
        domains = list(filter(None, map(_described, connection.listAllDomains(0))))
    except libvirt.libvirtError as error:
        failure = local.kind_of(error, StorageFailed)
        raise failure(f"what is in use can't be found out: {error}") from error
    found = [reference for domain in domains for reference in domain.references(folders)]
    # Of a device, those beside it are none's business.
    around = (str(Path(path).parent) for path in beside if Path(path).is_file())
    looked_at = {*folders.values(), *around}
    known = {path for folder in looked_at for path in files.every(folder)}
    known.update(reference.path for reference in found)
    found.extend(backings(known))
    # What a vm is just leaving may be needed again if that is interrupted.
    leaving = (
        intent.data["backing"]
        for intent in context.journal.announced()
        if intent.kind is Effect.PULL
    )
    found.extend(Reference(os.path.realpath(path), "a vm that leaves it") for path in leaving)
    # One that only names what is an image's has no file that would refer to it.
    found.extend(
        Reference(os.path.realpath(disk.path), f"a base of the image {base.image}", base.image_uuid)
        for base in context.journal.bases()
        if not base.owns
        for disk in base.disks
    )
    known_bases = {base.id for base in context.journal.bases()}
    unseen = [
        Reference(path, f"the domain {domain.name}", domain.uuid)
        for domain in domains
        for path in domain.unseen(known_bases, folders, tuple(away.values()))
    ]
    named = (domain.base for domain in domains if domain.base is not None)
    return References(found, named, unseen)


def backings(paths: Iterable[str]) -> Iterator[Reference]:
    """Yield what these files build upon, and what that builds upon, to the last one.

    Raises StorageFailed.
    """
    # QEMU takes a relative name from the folder by which it was led to the file: a link's, or not.
    todo = {name for path in paths for name in (path, os.path.realpath(path))}
    done: set[str] = set()
    while todo:
        done |= todo
        below = set()
        for path in sorted(todo):
            for backing in chain.backings_of(path):
                below.add(backing)
                yield Reference(backing, f"the file {path}", file=os.path.realpath(path))
        todo = below - done


@dataclass(frozen=True)
class _Domain:
    """A domain's definitions: the one it has, that of its next start, and ``saved``, those of its
    snapshots and its saved state.

    ``base`` is the id of the base that a vm of Maglica's says it builds upon, with its ``volumes``.
    ``is_unread``: it can't be told whether it is one.
    """

    name: str
    uuid: str
    xmls: tuple[str, ...]
    saved: tuple[str, ...]
    base: str | None
    volumes: tuple[str, ...] = ()
    is_unread: bool = False

    def unseen(
        self, bases: Collection[str], folders: dict[str, str], away: Collection[str]
    ) -> Iterator[str]:
        """Yield those of its files that are not there, by which something may be needed that
        nothing else shows: of a vm whose base is none of ``bases``, or in a folder that is
        ``away``. What builds upon one of ``bases`` is known to need that.
        """
        if self.base in bases:
            return
        lost = self.volumes if self.base is not None else ()
        hidden = (
            each.path
            for each in self.references(folders)
            if self.is_unread or _is_below(each.path, away)
        )
        for path in sorted({*lost, *hidden}):
            if not os.path.lexists(path):
                yield path

    def references(self, folders: dict[str, str]) -> Iterator[Reference]:
        for xmls, is_saved in ((self.xmls, False), (self.saved, True)):
            for path in {path for xml in xmls for path in _paths(xml, self.name, folders)}:
                by = f"the domain {self.name}"
                yield Reference(os.path.realpath(path), by, self.uuid, is_saved=is_saved)


def _described(domain: Any) -> _Domain | None:
    """Read a domain's definitions; one that vanishes meanwhile has none."""
    libvirt = need("libvirt")
    try:
        inactive = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        xmls, saved = [inactive], []
        if domain.isActive():
            xmls.append(domain.XMLDesc(0))
        if domain.hasManagedSaveImage():
            # It goes on with this one, which may have more than the one that is defined.
            saved.append(domain.managedSaveGetXMLDesc(0))
        saved.extend(snapshot.getXMLDesc(0) for snapshot in _snapshots(domain))
        name, uuid = domain.name(), domain.UUIDString()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    try:
        made, is_unread = definition.describe(inactive).made, False
    except ImageUnsupported:
        made, is_unread = None, True
    base = made.base if made else None
    volumes = tuple(volume.path for volume in made.volumes) if made else ()
    return _Domain(name, uuid, tuple(xmls), tuple(saved), base, volumes, is_unread)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path.startswith(os.path.realpath(each).rstrip("/") + "/") for each in folders)


def _snapshots(domain: Any) -> list[Any]:
    libvirt = need("libvirt")
    try:
        return list(domain.listAllSnapshots(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return []
        raise


def _paths(xml: str, name: str, folders: dict[str, str]) -> Iterator[str]:
    """Yield each absolute path that a definition has anywhere but in what is said about it."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - written by libvirtd from its own tree
    except ET.ParseError as error:
        raise StorageFailed(f"the definition of domain {name} can't be read: {error}") from error
    todo = [root]
    while todo:
        element = todo.pop()
        todo.extend(child for child in element if child.tag not in _ABOUT)
        for text in (element.text or "", *element.attrib.values()):
            yield from named_paths.of_text(text.strip())
        folder = folders.get(element.get("pool", ""))
        if element.tag == "source" and folder and element.get("volume"):
            yield os.path.join(folder, element.get("volume", ""))  # noqa: PTH118 - as libvirt does
