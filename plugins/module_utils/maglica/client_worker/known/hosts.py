# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the hosts: their last reports, who is alive, what is under way will take."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ...model.memory_limit import DEFAULT, MemoryLimit
from ...model.reported import ReportedDomain
from ...model.request import HostReport, Request, State
from ...model.vm import Domain
from ...model.worker import Worker
from ...system.log_fields import about
from ...verbs import table
from ...verbs.verb import Takes
from ...wire.fitting import domain_kept
from ..placement.candidates import Candidate, Holdings
from .expected import Expected, complaint
from .host import Host
from .news import Told, left_by, shown_by
from .promised import Promised
from .reports import Place, Reports
from .workers import Workers

logger = logging.getLogger(__name__)

# Reports are kept in the journal this often, or as soon as a host's domains have changed.
KEEP_SECONDS = 60.0
# But one that takes long to write no sooner than after so many times as long: no host, however
# much it tells and however often that changes, has more than this part of the time.
KEEP_PART = 20


class KnownHosts:
    """All known hosts. Times named ``now`` are monotonic, ``seen`` is the time of day.

    ``limits`` are those of single hosts, ``limit`` is that of all others.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        timeout: float,
        limits: Mapping[str, MemoryLimit] | None = None,
        limit: MemoryLimit = DEFAULT,
    ) -> None:
        self._weights = weights
        self._limits = dict(limits or {})
        self._limit = limit
        self._timeout = timeout
        self._hosts: dict[str, Host] = {}
        self._promised = Promised()
        self.candidates: dict[str, Candidate] = {}
        # A host that has reported for the first time: to be kept before a clone is placed on it.
        self.first_to_keep = False
        self.reports = Reports()
        self.workers = Workers(timeout)
        self.expected = Expected(timeout)

    def know(self, names: Iterable[str]) -> None:
        """Take in hosts of these names that may not have reported yet."""
        for name in names:
            if name not in self._hosts:
                self._hosts[name] = Host(self._weights.get(name, 1.0))
                self._renew(name)

    def retire(self, names: frozenset[str]) -> None:
        """Count all hosts but these as down: they have no key any more."""
        self.expected.retain(names)
        for name, host in self._hosts.items():
            if name not in names and host.alive:
                host.alive = False
                with about(host=name):
                    logger.warning("host %s is down: it is not in the access file any more", name)
                self._renew(name)

    def retain(
        self, names: frozenset[str], open_of: Callable[[str], Sequence[Request]]
    ) -> list[str]:
        """Forget, and return, the hosts not in ``names`` that have no open request.

        Their vms' names are free then, and their images gone.
        """
        gone = [name for name in self._hosts if name not in names and not open_of(name)]
        for name in gone:
            del self._hosts[name], self.candidates[name]
            self.reports.forget(name)
            self.workers.forget(name)
        self._promised.forget(gone)
        return gone

    def recall(self, kept: Iterable[tuple[str, float, HostReport]], now: float) -> None:
        """Take in what the journal kept, at the start.

        Hosts that were alive when the worker stopped get the time of one timeout to say hello
        again; until then their requests are accepted as if they had.
        """
        rows = list(kept)
        newest = max((seen for _name, seen, _report in rows), default=0.0)
        for name, seen, report in rows:
            self.know([name])
            host = self._hosts[name]
            host.holdings, host.seen, host.kept = Holdings.of(report), seen, now
            if newest - seen <= KEEP_SECONDS + self._timeout:
                host.heard, host.alive = now, True
            self._renew(name)

    def missing(self, now: float, strays: bool) -> list[str]:
        """Return the hosts that are expected to tell still. ``strays``: some have told of requests
        that nobody knows here.
        """
        if not self.expected:
            return []
        others = strays or self._has_made()
        for name in self.expected.give_up(now, others):
            with about(host=name):
                logger.warning("%s", complaint(name))
        return self.expected.missing(now, others)

    def _has_made(self) -> bool:
        reports = [host.holdings.report for host in self._hosts.values() if host.holdings]
        return any(each.made for report in reports for each in report.domains)

    def hear(self, name: str, report: HostReport, now: float, seen: float) -> None:
        """Take in a host's report."""
        self.know([name])
        self.expected.heard(name)
        host = self._hosts[name]
        if not host.alive:
            with about(host=name):
                logger.info("host %s is alive", name)
        host.news.settle(report, now)
        report = host.news.placed_by(report)
        self.first_to_keep |= host.holdings is None
        if host.holdings is None or report.domains != host.holdings.report.domains:
            host.kept = None
        host.holdings = Holdings.of(report)
        host.seen, host.heard, host.reported, host.alive = seen, now, now, True
        for made in host.reservations.settle(host.holdings, now):
            self._promised.free(made)
        self._renew(name)

    def meet(self, name: str, worker: Worker | None, address: str, now: float) -> None:
        """Take in which worker has spoken as a host."""
        self.know([name])
        if self.workers.meet(name, worker, address, now):
            self._renew(name)
        if self.workers.conflict(name) is not None:
            # It is not silent, though nothing of what it says counts.
            self._hosts[name].heard = now

    def serves(self, name: str) -> bool:
        """Tell whether a host is to be told of requests."""
        return self.alive(name) and self.workers.conflict(name) is None

    def sweep(self, now: float) -> None:
        """Find the hosts that have been silent for too long, or of which only one is left."""
        for name in self.workers.sweep(now):
            self._renew(name)
        for name, host in self._hosts.items():
            if host.alive and (host.heard is None or now - host.heard > self._timeout):
                host.alive = False
                with about(host=name):
                    logger.warning("host %s is down: silent for %g s", name, self._timeout)
                self._renew(name)

    def alive(self, name: str) -> bool:
        host = self._hosts.get(name)
        return host is not None and host.alive

    def known(self, name: str) -> bool:
        return name in self._hosts

    def names(self) -> list[str]:
        return sorted(self._hosts)

    def seen(self, name: str) -> float:
        """Return the time of day of the host's last report, 0 if it has none."""
        return self._hosts[name].seen

    def reported(self, name: str) -> float | None:
        """Return when the host has reported last, None if it has not since the start."""
        return self._hosts[name].reported

    def news(self) -> dict[Place, ReportedDomain | None]:
        """Return the domains as lists show them of which results say what no report does yet."""
        return {
            (uuid, name): domain
            for name, host in self._hosts.items()
            for uuid, domain in host.news.shown().items()
        }

    def owner(self, name: str) -> str | None:
        """Return the host that has a domain ``name``, or where one was just made, or None."""
        for host, candidate in self.candidates.items():
            if candidate.holdings is not None and name in candidate.holdings.by_name:
                return host
        return self._promised.owner(name)

    def holders(self, uuid: str) -> list[str]:
        """Return the hosts that have a domain of that UUID, as far as their reports tell."""
        return sorted(
            host
            for host, candidate in self.candidates.items()
            if candidate.holdings is not None and uuid in candidate.holdings.by_uuid
        )

    def memory_to_start(self, name: str, uuid: str, resized_mib: int | None = None) -> int:
        """Return how much memory a start of the vm would commit on host ``name``, in MiB.

        0 for one that runs, or is being started. ``resized_mib``: what it will have by then.
        """
        host = self._hosts[name]
        domain = host.holdings.by_uuid.get(uuid) if host.holdings else None
        if (domain is not None and domain.active) or host.reservations.commits(uuid):
            return 0
        known = domain.memory_mib if domain else host.reservations.memory_mib(uuid)
        return known if resized_mib is None else resized_mib

    def reserve(self, request: Request, memory_mib: int = 0) -> None:
        """Count what an open clone, or a start (of a vm of ``memory_mib``), takes of its host."""
        host = self._hosts.get(request.host or "")
        if host is None or request.host is None or not _takes_room(request):
            return
        if table.of(request).makes_vm:
            self._promised.hold(request, request.host)
        host.reservations.add(request, host.holdings, memory_mib)
        self._renew(request.host)

    def release(self, request: Request, now: float) -> None:
        """Take in that a request has ended: what it took is free, unless it is done."""
        host = self._hosts.get(request.host or "")
        if host is None or request.host is None or not _takes_room(request):
            return
        if request.state is State.DONE:
            host.reservations.made(request.id, now)
        else:
            self.unreserve(request)

    def unreserve(self, request: Request) -> None:
        """Take back ``reserve``."""
        host = self._hosts.get(request.host or "")
        if host is None or request.host is None or not _takes_room(request):
            return
        host.reservations.drop(request.id)
        self._promised.free(request)
        self._renew(request.host)

    def stopped(self, name: str, uuid: str) -> None:
        """Take in that a host has stopped a vm: what its start had reserved is free."""
        host = self._hosts.get(name)
        if host is not None and host.holdings is not None:
            for vm in host.reservations.stopped(uuid, host.holdings):
                self._promised.free(vm)
            self._renew(name)

    def resized(self, name: str, uuid: str, memory_mib: int) -> None:
        """Take in the memory that a host has given a vm which is off, before a report says so."""
        host = self._hosts.get(name)
        domain = host.holdings.by_uuid.get(uuid) if host and host.holdings else None
        if host is not None and domain is None:
            host.reservations.resized(uuid, memory_mib)
            self._renew(name)
        if host is None or host.holdings is None or domain is None or domain.active:
            return
        domains = tuple(
            replace(each, memory_mib=memory_mib) if each is domain else each
            for each in host.holdings.report.domains
        )
        host.holdings = Holdings.of(replace(host.holdings.report, domains=domains))
        self._renew(name)

    def left(self, vm: Domain, ended: float, now: float) -> None:
        """Take in how a request has left a vm, before the next report of its host says so.

        ``ended`` is when, by the host's own clock (0: not known).
        """
        host = self._hosts.get(vm.host)
        if host is not None:
            report = self.shown(vm.host)
            before = next((each for each in report.domains if each.uuid == vm.uuid), None)
            known = host.news.shown().get(vm.uuid) or self.reports.domain(vm.host, vm.uuid)
            shown = domain_kept(shown_by(vm, known))
            host.tell(Told(vm.uuid, left_by(vm, before), shown, ended, now))
            self._place_by_news(vm.host)

    def shown(self, name: str) -> HostReport:
        """Return a host's last report, with what results have said since."""
        host = self._hosts[name]
        report = host.news.applied(host.holdings.report if host.holdings else HostReport())
        conflict = self.workers.conflict(name)
        return replace(report, problem=conflict) if conflict else report

    def removed(self, name: str, uuid: str, now: float, ended: float = 0.0) -> None:
        """Take in that a host has removed a vm, before its next report says so."""
        host = self._hosts.get(name)
        if host is None:
            return
        host.tell(Told(uuid, None, None, ended, now))
        # One that was made and removed before a report has shown it.
        for vm in host.reservations.gone(uuid):
            self._promised.free(vm)
            self._renew(name)
        self._place_by_news(name)

    def _place_by_news(self, name: str) -> None:
        host = self._hosts[name]
        if host.holdings is None:
            return
        report = host.news.placed_by(host.holdings.report)
        if report != host.holdings.report:
            host.holdings, host.kept = Holdings.of(report), None
            self._renew(name)

    def to_keep(self, now: float) -> list[tuple[str, float, HostReport]]:
        """Return what the journal should keep now; ``kept`` says that it did."""
        return [
            (name, host.seen, host.holdings.report)
            for name, host in self._hosts.items()
            if host.holdings is not None
            and now >= host.keep_from
            and (host.kept is None or (host.alive and now - host.kept >= KEEP_SECONDS))
        ]

    def kept(self, took: Mapping[str, float], now: float) -> None:
        """Take in which hosts' reports were kept, and how many seconds each took."""
        self.first_to_keep = False
        for name, seconds in took.items():
            self._hosts[name].kept = now
            self._hosts[name].keep_from = now + min(KEEP_PART * seconds, KEEP_SECONDS)

    def _renew(self, name: str) -> None:
        host = self._hosts[name]
        limit = self._limits.get(name, self._limit)
        reserved, conflict = host.reservations.total(), self.workers.conflict(name)
        worker = (conflict, self.workers.features(name), self.workers.version(name))
        self.candidates[name] = Candidate(
            name, host.holdings, host.alive, host.weight, reserved, limit, *worker
        )


def _takes_room(request: Request) -> bool:
    return table.of(request).takes is not Takes.NOTHING
