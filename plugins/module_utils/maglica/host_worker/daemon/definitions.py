# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definitions of this host's domains, each read once and kept until the domain changes.

For the few changes of which libvirt tells nothing, every one is read again now and then, some with
each report.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..._deps import need
from ...disk import volumes
from ...domain import definition, nics, size
from ...domain.definition import Definition
from ...domain.image_metadata import ImageRecord
from ...libvirtd.facts import bridge_of
from ...libvirtd.host_reader import AGENT_RUNS, ON_NETWORK
from ...libvirtd.session import code, faults, words
from ...model.errors import ImageUnsupported, MaglicaError
from ...model.vm import Interface
from ..ownership import own_files

REREAD = 20


@dataclass(frozen=True)
class Known:
    """What a domain's definition says, as far as the report needs it.

    ``disks``: target, path, format. ``base``: the base that the vm builds upon. ``own``: the files
    that its metadata names as its own. ``nvram``: its UEFI variables, beside which a clone has its.
    ``definition`` is None where it can't be understood, for which ``problem`` is the reason: then
    nothing can be cloned from it. ``memory_mib`` is what it may take. ``made`` and ``adopted`` are
    so of vms, ``image`` is what is recorded of an original image. ``after`` has vcpus and MiB of
    memory after the next start, ``next_interfaces`` its interfaces then, where that is not what it
    has now. ``on_network`` and ``agent`` as
    in address_sources.AskedDomain.
    """

    made: bool
    vcpus: int
    memory_mib: int
    disks: tuple[tuple[str, str, str], ...]
    base: str | None = None
    own: tuple[str, ...] = ()
    nvram: str | None = None
    image: ImageRecord | None = None
    definition: Definition | None = None
    problem: str | None = None
    after: tuple[int | None, int | None] = (None, None)
    next_interfaces: tuple[Interface, ...] | None = None
    on_network: bool = False
    agent: bool = False
    adopted: bool = False

    @property
    def readable(self) -> bool:
        return self.definition is not None

    @property
    def named(self) -> tuple[str, ...]:
        """The files that the domain has, be they its own or not."""
        disks = self.definition.disks if self.definition else ()
        sources = [disk.source for disk in disks if disk.kind in ("file", "block")]
        copied = [path for _target, path, _kind in self.disks]
        return tuple(filter(None, (*self.own, self.nvram, *sources, *copied)))

    @property
    def macs(self) -> Iterator[str]:
        """The MAC addresses that the domain has now, and those that it has after its next start."""
        now = self.definition.interfaces if self.definition else ()
        return (each.mac for each in (*now, *(self.next_interfaces or ())))

    @property
    def made_image(self) -> bool:
        return self.image is not None and self.image.made


class Definitions:
    """The domains of one connection (virConnect), by UUID; ``changed`` may be added to by another
    thread: what stands there is read again.
    """

    def __init__(self, connection: Any, changed: deque[str]) -> None:
        self._connection = connection
        self._changed = changed
        self._known: dict[str, Known] = {}
        self._turn: deque[str] = deque()

    def __getitem__(self, uuid: str) -> Known:
        return self._known[uuid]

    def values(self) -> Iterator[Known]:
        return iter(self._known.values())

    def begin(self) -> None:
        """Forget what has changed, and some of the rest."""
        while self._changed:
            self._known.pop(self._changed.popleft(), None)
        if not self._turn:
            self._turn.extend(self._known)
        for _turn in range(min(REREAD, len(self._turn))):
            self._known.pop(self._turn.popleft(), None)

    def of(self, uuid: str, domain: Any) -> Known | None:
        """Return what the definition of a domain (virDomain) says; None if it is gone."""
        known = self._known.get(uuid) or self._read(domain)
        if known is not None:
            self._known[uuid] = known
        return known

    def keep(self, uuids: Collection[str]) -> None:
        """Forget all others."""
        for uuid in self._known.keys() - set(uuids):
            del self._known[uuid]

    def _read(self, domain: Any) -> Known | None:
        libvirt = need("libvirt")
        try:
            xml = domain.XMLDesc()
            described = definition.describe(xml)
            later = _later(domain, described)
            both = (described.interfaces, later.interfaces)
            now, next_interfaces = nics.settled(*both, bridge_of(domain))
            after = _sizes_after(described, later)
            described = replace(definition.noted(described, later), interfaces=now)
        except ImageUnsupported as error:
            return _unreadable(domain, str(error))
        except faults() as error:
            if code(error) == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            if not self._connection.isAlive():
                raise
            # What libvirt may not show, or not send, it may the next time.
            self._changed.append(domain.UUIDString())
            return _unreadable(domain, f"its definition can't be read: {words(error)}")
        made = described.made
        disks = [(disk.target, self._path(disk), disk.format) for disk in described.copied_disks]
        return Known(
            made=made is not None and not made.adopted,
            adopted=described.is_adopted,
            vcpus=described.vcpus,
            memory_mib=described.max_memory_mib,
            disks=tuple((target, path, kind) for target, path, kind in disks if path),
            base=made.base if made else None,
            own=own_files.of_domain(described).all_paths,
            nvram=described.nvram,
            image=described.image,
            definition=described,
            after=after,
            next_interfaces=next_interfaces,
            on_network=ON_NETWORK.search(xml) is not None,
            agent=AGENT_RUNS.search(xml) is not None,
        )

    def _path(self, disk: definition.DefinedDisk) -> str | None:
        if disk.kind != "volume":
            return disk.source
        try:
            return volumes.path_of(self._connection, disk)
        except MaglicaError:
            return None


def _unreadable(domain: Any, problem: str) -> Known:
    """Return what counts of a domain then: it is no image, but its name is taken and it runs."""
    try:
        memory_mib = domain.maxMemory() >> 10
    except faults():
        memory_mib = 0
    return Known(False, 0, memory_mib, (), problem=problem)


def _later(domain: Any, now: Definition) -> Definition:
    """Return what a domain is at its next start."""
    if domain.ID() == -1:
        return now
    return definition.describe(domain.XMLDesc(need("libvirt").VIR_DOMAIN_XML_INACTIVE))


def _sizes_after(now: Definition, later: Definition) -> tuple[int | None, int | None]:
    """Return the vcpus and memory of a domain after its next start, None for what stays."""
    vcpus, memory_mib = size.after(now, later)
    return (
        None if vcpus == now.vcpus else vcpus,
        None if memory_mib == now.memory_mib else memory_mib,
    )
