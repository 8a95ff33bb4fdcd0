# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, read from libvirt in a few calls.

What may hang is asked by others (guest_looks): a report takes what they have found last.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._deps import need
from ...config.config import HostWorker
from ...disk import chain, pools, volumes
from ...disk.backend import Pool
from ...domain.seen import number
from ...guest.network.families import INSPECTION
from ...libvirtd import local
from ...libvirtd.address_sources import AskedDomain
from ...libvirtd.facts import memory_mib, state_name
from ...model.errors import MaglicaError
from ...model.moment import Moment
from ...model.reported import ReportedDomain
from ...model.request import (
    BaseSummary,
    DomainSummary,
    HostReport,
    ImageSummary,
    LookSummary,
    PoolSummary,
)
from ...model.text import short
from ...model.vm import Domain
from ..journal.bases import READY, Base
from ..journal.journal import Journal
from ..ownership import leftovers
from . import image_looks, shown, under_way
from .definitions import Definitions, Known
from .guest_looks import Look
from .net_devices import net_devices

NOTHING = Look()


class Inspector:
    """Reads one connection (virConnect); ``forget`` may be called by another thread."""

    def __init__(
        self,
        connection: Any,
        journal: Journal,
        settings: HostWorker,
        changed: deque[str] | None = None,
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._settings = settings
        self._changed = deque() if changed is None else changed
        self._known = Definitions(connection, self._changed)
        # The active pools, as the last report has found them.
        self._found: tuple[Pool, ...] = ()
        # The folders of own files and UEFI variables, as the last report has found them.
        self._variables: frozenset[str] = frozenset()
        # The present versions of the images that are off, by UUID.
        self._versions: dict[str, str | None] = {}
        self.unprepared: tuple[str, ...] = ()
        # The domains as lists show them, and as their guests are to be asked, by UUID.
        self.shown: tuple[ReportedDomain, ...] = ()
        self.guests: dict[str, AskedDomain] = {}

    @property
    def macs(self) -> frozenset[str]:
        """The MAC addresses of all domains, as the last report has found them."""
        return frozenset(mac for known in self._known.values() for mac in known.macs)

    def forget(self, uuid: str) -> None:
        """Read a domain's definition again for the next report."""
        self._changed.append(uuid)

    def report(self, look: Look = NOTHING) -> HostReport:
        """Return how the host is now; ``look`` is what its guests have said last.

        Raises LibvirtFailed and JournalFailed.
        """
        self._known.begin()
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
                domains=self._domains(look),
                networks=self._networks(),
                net_devices=net_devices(self._settings.uri),
                # After the domains, whose versions and bases are counted.
                bases=self._bases(bases),
                uri=self._settings.uri,
                problems=self._problems(look),
                **shown.facts(look.host),
            )
        self._variables = frozenset(
            str(Path(path).parent)
            for known in self._known.values()
            for path in (*known.own, known.nvram)
            if path is not None
        )
        named = (path for known in self._known.values() for path in known.named)
        report = replace(report, pools=under_way.added(report, written))
        needed = {known.base for known in self._known.values() if known.base is not None}
        # A definition that can't be read may name any of them.
        is_clear = all(known.readable for known in self._known.values())
        left = leftovers.unnamed(look_alikes, [*announced, *named], needed) if is_clear else ()
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

    def _domains(self, look: Look) -> tuple[DomainSummary, ...]:
        libvirt = need("libvirt")
        listed = self._connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
        transient = {
            domain.UUIDString()
            for domain in self._connection.listAllDomains(
                libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT
            )
        }
        autostart = libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART
        started = {each.UUIDString() for each in self._connection.listAllDomains(autostart)}
        found, seen = [], {}
        self._versions.clear()
        for domain, statistics in listed:
            uuid = domain.UUIDString()
            known = self._known.of(uuid, domain)
            if known is None:
                continue
            is_active = domain.ID() != -1
            may_be_image = known.made_image or (
                known.readable
                and not known.adopted
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
            state = state_name(number(statistics, "state.state") or 0)
            bare = Domain(domain.name(), uuid, self._settings.name, state, is_active)
            bare = replace(bare, autostart=uuid in started)
            seen[uuid] = shown.described(bare, known, look)
        self._known.keep(seen)
        self.shown = tuple(
            shown.reported(each, self._known[uuid], look) for uuid, each in seen.items()
        )
        self.guests = {uuid: shown.asked(each, self._known[uuid]) for uuid, each in seen.items()}
        return tuple(sorted(found, key=lambda summary: summary.name))

    def _problems(self, look: Look) -> tuple[str, ...]:
        unclear = (
            f"{short(each.name)} on host {each.host}: {problem}"
            for each in self.shown
            if (problem := self._known[each.uuid].problem) is not None
        )
        return tuple(sorted((*unclear, *look.problems, *self._journal.unreadable.values())))

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

    def _look_at_disks(self, uuid: str, known: Known) -> tuple[int, int]:
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
