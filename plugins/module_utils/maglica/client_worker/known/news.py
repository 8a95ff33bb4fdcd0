# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What results say of a host's vms before its next report does. Pure.

So whoever has just changed a vm sees it so, whichever command or task asks next.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ...model.reported import AddressSource, ReportedDomain, ReportedInterface
from ...model.request import DomainSummary, HostReport
from ...model.vm import Disk, Domain
from ...wire.records import MAX_DOMAINS

# A report may be a little older than a result that came before it: so long what the result said
# stands against a report that does not know it, where either does not say when it was made.
SETTLE_SECONDS = 60.0


# What a reported domain has otherwise than the vm of a result.
_NOT_SAME = ("interfaces", "disks", "versions", "next_vcpus", "next_memory_mib")


@dataclass(frozen=True)
class Told:
    """A domain of that UUID as a result left it, and as lists show it then, None if it is gone.

    ``ended`` is when, by the host's clock (0: not known), ``heard`` is when the result came.
    """

    uuid: str
    domain: DomainSummary | None
    shown: ReportedDomain | None
    ended: float
    heard: float


class News:
    """The news of one host, by the vms' UUIDs. Times named ``now`` are monotonic."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}

    def tell(self, told: Told) -> None:
        """Take in how a vm is."""
        self._told[told.uuid] = told

    def shown(self) -> dict[str, ReportedDomain | None]:
        """Return the vms of which there is news as lists show them; None: it is gone."""
        return {uuid: told.shown for uuid, told in self._told.items()}

    def settle(self, report: HostReport, now: float) -> None:
        """Forget what a report takes in: it was made later, or says the same; and what is old."""
        by_uuid = {domain.uuid: domain for domain in report.domains}
        for uuid, told in list(self._told.items()):
            is_later = bool(told.ended) and report.taken > told.ended
            # Where both say when, only that tells; what else is known of a vm may be older.
            is_same = by_uuid.get(uuid) == told.domain and not (told.ended and report.taken)
            if is_later or is_same or now - told.heard > SETTLE_SECONDS:
                del self._told[uuid]

    def placed_by(self, report: HostReport) -> HostReport:
        """Return the report as clones are placed by it: without the vms that were removed since;
        what was adopted since is no image, and what was given back may be one.
        """
        told = {uuid: told.domain for uuid, told in self._told.items()}
        now = ((each, told.get(each.uuid, each)) for each in report.domains)
        domains = tuple(
            each if each.made else replace(each, may_be_image=left.may_be_image)
            for each, left in now
            if left is not None
        )
        return report if domains == report.domains else replace(report, domains=domains)

    def applied(self, report: HostReport) -> HostReport:
        """Return the report as it will be when the host has looked again."""
        if not self._told:
            return report
        domains = {domain.uuid: domain for domain in report.domains}
        for uuid, told in self._told.items():
            if told.domain is None:
                domains.pop(uuid, None)
            else:
                domains[uuid] = told.domain
        shown = list(domains.values())
        if len(shown) > MAX_DOMAINS:
            # A full report has left some out: the news must not make it one that nobody accepts.
            shown.sort(key=lambda each: (each.uuid not in self._told, not each.is_image))
            del shown[MAX_DOMAINS:]
        return replace(report, domains=tuple(sorted(shown, key=lambda each: each.name)))


def left_by(vm: Domain, before: DomainSummary | None) -> DomainSummary:
    """Return the domain of a vm as a result shows it; ``before``: as it was reported last."""
    if before is None:
        is_vm = vm.made is not False and not vm.is_image
        before = DomainSummary(vm.name, vm.uuid, vm.active, not vm.adopted, is_vm, 0, 0)
    # A guest that runs has its new size from its next start on.
    size = before if vm.active and vm.restart_needed else vm
    memory_mib = before.memory_mib if size.memory_mib is None else size.memory_mib
    if vm.active and before.active:
        # What it has given back it may have again.
        memory_mib = max(memory_mib, before.memory_mib)
    # One that is adopted is no image any more, and may be one again when it is given back.
    may_be_image = (before.may_be_image or vm.is_image) and not vm.adopted
    return replace(
        before,
        name=vm.name,
        active=vm.active,
        may_be_image=may_be_image,
        vcpus=before.vcpus if size.vcpus is None else size.vcpus,
        memory_mib=memory_mib,
    )


def shown_by(vm: Domain, before: ReportedDomain | None) -> ReportedDomain:
    """Return the vm of a result as lists show it; ``before``: as it was reported last.

    What a result does not know, as addresses that a guest has got, is as it was.
    """
    known = before or ReportedDomain(vm.name, vm.uuid, vm.host, vm.state, vm.active)
    addresses = {each.mac: each.addresses for each in known.interfaces if vm.active}
    sizes = {each.target: each for each in known.disks}
    same = {
        field.name: getattr(vm, field.name)
        for field in fields(ReportedDomain)
        if field.name not in _NOT_SAME
    }
    if vm.active and vm.restart_needed:
        same.update(vcpus=known.vcpus, memory_mib=known.memory_mib, restart_needed=False)
        same.update(
            next_vcpus=None if vm.vcpus == known.vcpus else vm.vcpus,
            next_memory_mib=None if vm.memory_mib == known.memory_mib else vm.memory_mib,
        )
    return ReportedDomain(
        **same,
        interfaces=tuple(
            ReportedInterface.of(
                each,
                {
                    **addresses.get(each.mac, {}),
                    **({AddressSource.RECORDED.value: each.addresses} if each.addresses else {}),
                },
            )
            for each in vm.interfaces
        ),
        disks=tuple(_sized(each, sizes.get(each.target, each)) for each in vm.disks),
        versions=vm.versions or known.versions,
    )


def _sized(disk: Disk, before: Disk) -> Disk:
    capacity, allocation = disk.capacity_bytes, disk.allocation_bytes
    return replace(
        disk,
        capacity_bytes=before.capacity_bytes if capacity is None else capacity,
        allocation_bytes=before.allocation_bytes if allocation is None else allocation,
    )
