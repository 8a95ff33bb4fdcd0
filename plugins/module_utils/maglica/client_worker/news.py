# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What results say of a host's vms before its next report does. Pure.

So whoever has just changed a vm sees it so, whichever command or task asks next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model.request import DomainSummary, HostReport
from ..model.vm import Domain
from ..wire.records import MAX_DOMAINS

# A report may be a little older than a result that came before it: so long what the result said
# stands against a report that does not know it, where either does not say when it was made.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class _Told:
    """A domain as a result left it, None if it is gone. ``ended`` is when, by the host's clock (0:
    not known), ``heard`` is when the result came.
    """

    domain: DomainSummary | None
    ended: float
    heard: float


class News:
    """The news of one host, by the vms' UUIDs. Times named ``now`` are monotonic."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def tell(self, uuid: str, domain: DomainSummary | None, ended: float, now: float) -> None:
        """Take in how a vm is; None: it is gone."""
        self._told[uuid] = _Told(domain, ended, now)

    def settle(self, report: HostReport, now: float) -> None:
        """Forget what a report takes in: it was made later, or says the same; and what is old."""
        by_uuid = {domain.uuid: domain for domain in report.domains}
        for uuid, told in list(self._told.items()):
            is_later = bool(told.ended) and report.taken > told.ended
            if is_later or by_uuid.get(uuid) == told.domain or now - told.heard > SETTLE_SECONDS:
                del self._told[uuid]

    def without_gone(self, report: HostReport) -> HostReport:
        """Return the report without the vms that were removed since."""
        gone = {uuid for uuid, told in self._told.items() if told.domain is None}
        if not any(domain.uuid in gone for domain in report.domains):
            return report
        return replace(report, domains=tuple(d for d in report.domains if d.uuid not in gone))

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
        before = DomainSummary(vm.name, vm.uuid, vm.active, True, is_vm, 0, 0)
    # A guest that runs has its new size from its next start on.
    size = before if vm.active and vm.restart_needed else vm
    return replace(
        before,
        name=vm.name,
        active=vm.active,
        vcpus=before.vcpus if size.vcpus is None else size.vcpus,
        memory_mib=before.memory_mib if size.memory_mib is None else size.memory_mib,
    )
