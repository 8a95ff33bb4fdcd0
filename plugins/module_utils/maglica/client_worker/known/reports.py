# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts have told, put together from their hellos, of which each tells what has changed.

Domains as lists show them are kept as JSON, which takes little memory: a question for all of them
goes through them in the order of their UUIDs, so that one which moves meanwhile stays in its place.
"""

from __future__ import annotations

import heapq
import json
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...model.errors import MessageInvalid
from ...model.reported import ReportedDomain
from ...model.request import HostReport
from ...wire import records
from ...wire.fitting import domain_fitting

# A domain's UUID and its host.
Place = tuple[str, str]
FIRST: Place = ("", "")


@dataclass
class _Told:
    """What one host has told. ``digest`` is its own name for all of it, None: it gave none.

    ``fresh``: the domains of a report that comes anew, as long as more of it is to come.
    """

    digest: str | None = None
    report: HostReport = field(default_factory=HostReport)
    uuids: set[str] = field(default_factory=set)
    fresh: set[str] | None = None


@dataclass(frozen=True)
class _Kept:
    name: str
    text: str


class Reports:
    """The reports of all hosts."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._kept: dict[Place, _Kept] = {}
        self._order: list[Place] = []

    def take(self, host: str, hello: Mapping[str, Any]) -> HostReport | None:
        """Take in what a hello tells; return the whole report as it is now.

        None where it goes on from what is not known here: then all of it is to be told anew. Raises
        MessageInvalid for a domain of another host.
        """
        shown: tuple[ReportedDomain, ...] = hello.get("shown", ())
        if any(each.host != host for each in shown):
            raise MessageInvalid(f"hello.shown: a domain of another host than {host}")
        since = hello.get("since")
        told = self._told.get(host)
        if since is not None and (told is None or told.digest != since):
            return None
        if told is None:
            told = self._told[host] = _Told()
        if since is None:
            told.report, told.fresh = HostReport(), set()
        for each in shown:
            self._keep(told, each)
        for uuid in hello.get("gone", ()):
            self._drop(told, (uuid, host))
        told.report = _changed(told.report, hello)
        told.digest = hello.get("digest")
        if told.fresh is not None and not hello.get("more", False):
            for uuid in told.uuids - told.fresh:
                self._drop(told, (uuid, host))
            told.fresh = None
        return told.report

    def forget(self, host: str) -> None:
        """Forget what a host has told."""
        told = self._told.pop(host, None)
        for uuid in tuple(told.uuids) if told else ():
            self._drop(told or _Told(), (uuid, host))

    def domain(self, host: str, uuid: str) -> ReportedDomain | None:
        """Return a domain as its host has told it, None if it has not."""
        kept = self._kept.get((uuid, host))
        if kept is None:
            return None
        found: ReportedDomain = records.reported_domain(json.loads(kept.text), "domain")
        return found

    def after(
        self, place: Place, news: Mapping[Place, ReportedDomain | None]
    ) -> Iterator[tuple[Place, str, str]]:
        """Yield place, name and JSON of each domain behind ``place``, in order.

        ``news`` of single domains go before what was told; None: it is gone.
        """
        told = self._order[bisect_right(self._order, place) :]
        new = sorted(each for each in news if each > place and each not in self._kept)
        for each in heapq.merge(told, new):
            if each not in news:
                kept = self._kept[each]
                yield each, kept.name, kept.text
            elif (domain := news[each]) is not None:
                yield each, domain.name, _text(domain)

    def _keep(self, told: _Told, domain: ReportedDomain) -> None:
        place = domain.uuid, domain.host
        if place not in self._kept:
            insort(self._order, place)
        self._kept[place] = _Kept(domain.name, _text(domain))
        told.uuids.add(domain.uuid)
        if told.fresh is not None:
            told.fresh.add(domain.uuid)

    def _drop(self, told: _Told, place: Place) -> None:
        told.uuids.discard(place[0])
        if self._kept.pop(place, None) is not None:
            del self._order[bisect_right(self._order, place) - 1]


def _text(domain: ReportedDomain) -> str:
    return json.dumps(domain_fitting(domain), separators=(",", ":"))


def _changed(report: HostReport, hello: Mapping[str, Any]) -> HostReport:
    """Return the report with the fields that a hello tells; of domains it tells single ones."""
    changed: dict[str, Any] = dict(hello["report"])
    gone = frozenset(hello.get("gone", ()))
    if "domains" in changed or gone:
        domains = {each.uuid: each for each in report.domains if each.uuid not in gone}
        domains.update((each.uuid, each) for each in changed.get("domains", ()))
        if len(domains) > records.MAX_DOMAINS:
            raise MessageInvalid(f"hello.report.domains: more than {records.MAX_DOMAINS} in all")
        changed["domains"] = tuple(sorted(domains.values(), key=lambda each: each.name))
    return replace(report, **changed)
