# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, read from libvirt in a few calls.

A definition is read once and kept until the domain changes; for the few changes of which libvirt
tells nothing, every one is read again now and then, some with each report.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..._deps import need
from ...config.config import HostWorker
from ...disk import chain, pools, volumes
from ...disk.backend import Pool
from ...domain import definition
from ...domain.image_metadata import ImageRecord
from ...guest.network.families import INSPECTION
from ...libvirtd import local
from ...libvirtd.facts import memory_mib
from ...model.errors import ImageUnsupported, MaglicaError
from ...model.moment import Moment
from ...model.request import (
    BaseSummary,
    DomainSummary,
    HostReport,
    ImageSummary,
    LookSummary,
    PoolSummary,
)
from ..journal.bases import READY, Base
from ..journal.journal import Journal
from ..ownership import leftovers, own_files
from . import image_looks, under_way

REREAD = 20


@dataclass(frozen=True)
class _Known:
    """What a domain's definition says, as far as the report needs it.

    ``disks``: target, path, format. ``base``: the base that the vm builds upon. ``own``: the files
    that its metadata names as its own. ``nvram``: its UEFI variables, beside which a clone has its.
    ``readable``: whether the definition can be understood; if not, nothing can be cloned from it.
    ``made`` is so of vms, ``image`` is what is recorded of an original image.
    """

    made: bool
    vcpus: int
    memory_mib: int
    disks: tuple[tuple[str, str, str], ...]
    base: str | None = None
    own: tuple[str, ...] = ()
    nvram: str | None = None
    readable: bool = True
    image: ImageRecord | None = None

    @property
    def made_image(self) -> bool:
        return self.image is not None and self.image.made


class Inspector:
    """Reads one connection (virConnect); ``forget`` may be called by another thread."""

    def __init__(self, connection: Any, journal: Journal, settings: HostWorker) -> None:
        self._connection = connection
        self._journal = journal
        self._settings = settings
        self._known: dict[str, _Known] = {}
        self._changed: deque[str] = deque()
        self._turn: deque[str] = deque()
        # The active pools, as the last report has found them.
        self._found: tuple[Pool, ...] = ()
        # The folders of own files and UEFI variables, as the last report has found them.
        self._variables: frozenset[str] = frozenset()
        # The present versions of the images that are off, by UUID.
        self._versions: dict[str, str | None] = {}
        self.unprepared: tuple[str, ...] = ()

    def forget(self, uuid: str) -> None:
        """Read a domain's definition again for the next report."""
        self._changed.append(uuid)

    def report(self) -> HostReport:
        """Return how the host is now. Raises LibvirtFailed and JournalFailed."""
        self._drop_changed()
        with local.errors("read the state", self._settings.name):
            total_mib, free_mib = memory_mib(self._connection)
            bases = self._journal.bases()
            # Before the pools: what is written meanwhile is taken.
            written = under_way.written(self._journal, bases)
            # Before the domains, whose disks lie in the pools' folders.
            summaries = self._pools()
            # A file is announced before it is made, and its vm defined before that is forgotten.
            look_alikes = leftovers.look_alikes(
                self._found, sorted({leftovers.NVRAM, *self._variables})
            )
            announced = leftovers.announced(self._journal)
            report = HostReport(
                cpus=self._connection.getInfo()[2],
                memory_total_mib=total_mib,
                memory_free_mib=free_mib,
                pools=summaries,
                domains=self._domains(),
                networks=self._networks(),
                # After the domains, whose versions and bases are counted.
                bases=self._bases(bases),
            )
        self._variables = frozenset(
            str(Path(path).parent)
            for known in self._known.values()
            for path in (*known.own, known.nvram)
            if path is not None
        )
        named = (path for known in self._known.values() for path in known.own)
        report = replace(report, pools=under_way.added(report, written))
        needed = {known.base for known in self._known.values() if known.base is not None}
        left = leftovers.unnamed(look_alikes, [*announced, *named], needed)
        images = self._images(report.domains)
        report = replace(report, leftovers=left, looks=self._looks(report), images=images)
        self.unprepared = self._unprepared(report)
        return report

    def _unprepared(self, report: HostReport) -> tuple[str, ...]:
        """Return the images that shall be prepared, and whose present version has no base yet.

        One that was looked at and refused has none until it changes. A base counts that is for the
        way in which clones are customized where none is asked for, as far as that is known.
        """
        off = {domain.name: domain.uuid for domain in report.domains if domain.is_image}
        versions = {name: self._versions.get(off.get(name, "")) for name in self._settings.prepare}
        ways = {look.image: look.way for look in report.looks if look.current}
        settled = {
            base.image
            for base in report.bases
            if base.current and ways.get(base.image, base.way) is base.way
        }
        settled |= {look.image for look in report.looks if look.current and not look.customizable}
        return tuple(name for name, found in versions.items() if found and name not in settled)

    def _drop_changed(self) -> None:
        while self._changed:
            self._known.pop(self._changed.popleft(), None)
        if not self._turn:
            self._turn.extend(self._known)
        for _turn in range(min(REREAD, len(self._turn))):
            self._known.pop(self._turn.popleft(), None)

    def _domains(self) -> tuple[DomainSummary, ...]:
        libvirt = need("libvirt")
        domains = self._connection.listAllDomains()
        transient = {
            domain.UUIDString()
            for domain in self._connection.listAllDomains(
                libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT
            )
        }
        found = []
        self._versions.clear()
        for domain in domains:
            uuid = domain.UUIDString()
            known = self._known.get(uuid) or self._read(domain)
            if known is None:
                continue
            self._known[uuid] = known
            is_active = domain.ID() != -1
            may_be_image = known.made_image or (
                known.readable
                and uuid not in transient
                and self._settings.may_be_image(domain.name())
            )
            is_image = may_be_image and not (is_active or known.made)
            copied, first = self._look_at_disks(uuid, known) if is_image else (0, 0)
            summary = DomainSummary(
                name=domain.name(),
                uuid=uuid,
                active=is_active,
                may_be_image=may_be_image,
                made=known.made,
                vcpus=known.vcpus,
                memory_mib=known.memory_mib,
                disk_bytes=copied,
                first_disk_bytes=first,
            )
            found.append(summary)
        gone = self._known.keys() - {summary.uuid for summary in found}
        for uuid in gone:
            del self._known[uuid]
        return tuple(sorted(found, key=lambda summary: summary.name))

    def _images(self, domains: Sequence[DomainSummary]) -> tuple[ImageSummary, ...]:
        """Return what is recorded of the original images, also of those that run."""
        recorded = ((domain, self._known[domain.uuid].image) for domain in domains)
        return tuple(
            ImageSummary(
                name=domain.name,
                uuid=domain.uuid,
                made=record.made,
                checksum=record.newest.checksum,
                origin=record.newest.origin,
                versions=len(record.versions),
            )
            for domain, record in recorded
            if record is not None and domain.may_be_image
        )

    def _read(self, domain: Any) -> _Known | None:
        """Return what a domain's definition says; None if the domain is gone."""
        libvirt = need("libvirt")
        try:
            described = definition.describe(domain.XMLDesc())
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        except ImageUnsupported:
            # No image then, but its name is taken and it runs.
            return _Known(False, 0, domain.maxMemory() >> 10, (), readable=False)
        made = described.made
        disks = [(disk.target, self._path(disk), disk.format) for disk in described.copied_disks]
        return _Known(
            made=made is not None,
            vcpus=described.vcpus,
            memory_mib=described.memory_mib,
            disks=tuple((target, path, kind) for target, path, kind in disks if path),
            base=made.base if made else None,
            own=own_files.of_domain(described).all_paths,
            nvram=described.nvram,
            image=described.image,
        )

    def _look_at_disks(self, uuid: str, known: _Known) -> tuple[int, int]:
        """Note which version of an image its disks are; return what a copy of them takes, and what
        a guest sees of the first one.

        0, and no version, for what can't be read: the clone will say why. Of block devices only a
        clone finds out what is in them.
        """
        folders = [pool.path for pool in self._found]
        kept = volumes.kept_paths(known.image)
        try:
            chains = {
                target: chain.inspect(path, kind, folders, kept)
                for target, path, kind in known.disks
            }
        except MaglicaError:
            return 0, 0
        self._versions[uuid] = chain.version(uuid, chains)
        copied = sum(map(chain.allocated_bytes, chains.values()))
        return copied, next((layers[0].size for layers in chains.values()), 0)

    def _path(self, disk: definition.DefinedDisk) -> str | None:
        if disk.kind != "volume":
            return disk.source
        try:
            return volumes.path_of(self._connection, disk)
        except MaglicaError:
            return None

    def _pools(self) -> tuple[PoolSummary, ...]:
        self._found = pools.pools(self._connection)
        allowed = self._settings.pools
        return tuple(
            self._summary(pool) for pool in self._found if not allowed or pool.name in allowed
        )

    def _summary(self, pool: Pool) -> PoolSummary:
        capacity, free = pool.capacity, pool.free
        if not capacity:
            # Its folder is not to be seen: what libvirt saw at the pool's last refresh.
            handle = self._connection.storagePoolLookupByName(pool.name)
            _state, capacity, _allocation, free = handle.info()
        return PoolSummary(pool.name, capacity, free, pool.shared)

    def _networks(self) -> tuple[str, ...]:
        libvirt = need("libvirt")
        active = libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE
        return tuple(sorted(each.name() for each in self._connection.listAllNetworks(active)))

    def _bases(self, bases: Sequence[Base]) -> tuple[BaseSummary, ...]:
        vms = Counter(known.base for known in self._known.values() if known.made)
        return tuple(self._base(base, vms[base.id]) for base in bases if base.state == READY)

    def _looks(self, report: HostReport) -> tuple[LookSummary, ...]:
        """Return what was found by looks at the images that are there, by their present names."""
        names = {domain.uuid: domain.name for domain in report.domains}
        return tuple(
            image_looks.summary(
                look, names[look.image_uuid], self._is_current(look.image_uuid, look.version)
            )
            for look in self._journal.looks.all()
            if look.image_uuid in names and look.inspection == INSPECTION
        )

    def _is_current(self, image_uuid: str, version: str) -> bool | None:
        now = self._versions.get(image_uuid)
        return None if now is None else now == version

    def _base(self, base: Base, vms: int) -> BaseSummary:
        return BaseSummary(
            id=base.id,
            image=base.image,
            version=base.version,
            pool=base.pool,
            allocated_bytes=under_way.size_of(base),
            created=Moment(base.created),
            current=self._is_current(base.image_uuid, base.version),
            areas=base.facts is not None and bool(base.facts.areas),
            vms=vms,
            way=base.way,
        )
