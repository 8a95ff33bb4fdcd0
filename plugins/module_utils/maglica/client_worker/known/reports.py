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
from ...model.plain import plain
from ...model.reported import ReportedDomain
from ...model.request import HostReport
from ...wire import records
from ...wire.fitting import MAX_DOMAIN_BYTES, domain_fitting, fitting
from ...wire.messages import PAGE_ROOM

# A domain's UUID and its host.
Place = tuple[str, str]
FIRST: Place = ("", "")
# The most bytes that are kept of a host's domains: a usual vm takes some 1.5 KiB. Of what is beyond
# only what it surely is is kept, and no more than as much again: a host can't fill this machine.
MAX_BYTES = records.MAX_DOMAINS * 4096
# The most bytes of a report in an answer: what else is said of its host, and of the client worker,
# has room beside it.
REPORT_ROOM = PAGE_ROOM - (64 << 10)


@dataclass(frozen=True)
class _Kept:
    name: str
    text: str


@dataclass(frozen=True)
class _Told:
    """What one host has told. ``digest`` is its own name for all of it, None: it gave none.

    ``shown`` are its domains by UUID, each of them one of the report's, or ``stale``: of before a
    report that comes anew, as long as more of it is to come.
    """

    digest: str | None = None
    report: HostReport = field(default_factory=HostReport)
    shown: Mapping[str, _Kept] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()


class Reports:
    """The reports of all hosts."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}
        self._order: list[Place] = []
        # What clients were told last of reports, with what that was made of.
        self._texts: dict[str, tuple[HostReport, str]] = {}

    def take(self, host: str, hello: Mapping[str, Any]) -> HostReport | None:
        """Take in what a hello tells; return the whole report as it is now.

        None where it goes on from what is not known here: then all of it is to be told anew. Raises
        MessageInvalid for a domain of another host, and where it is too much: nothing has changed
        then.
        """
        if any(each.host != host for each in hello.get("shown", ())):
            raise MessageInvalid(f"hello.shown: a domain of another host than {host}")
        since = hello.get("since")
        told = self._told.get(host)
        if since is not None and (told is None or told.digest != since):
            return None
        after = _after(told or _Told(), hello)
        self._put(host, after)
        return after.report

    def forget(self, host: str) -> None:
        """Forget what a host has told."""
        self._put(host, _Told())
        del self._told[host]
        self._texts.pop(host, None)

    def text(self, host: str, report: HostReport) -> str:
        """Return as JSON as much of a host's ``report``, as it is now, as an answer has room for.

        With very many domains that takes long: it is done once a report, not with each question.
        """
        made_of, text = self._texts.get(host, (None, ""))
        if made_of != report:
            text = json.dumps(plain(fitting(report, REPORT_ROOM)), separators=(",", ":"))
            self._texts[host] = (report, text)
        return text

    def domain(self, host: str, uuid: str) -> ReportedDomain | None:
        """Return a domain as its host has told it, None if it has not."""
        kept = self._kept((uuid, host))
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
        new = sorted(each for each in news if each > place and self._kept(each) is None)
        for each in heapq.merge(told, new):
            if each not in news:
                uuid, host = each
                kept = self._told[host].shown[uuid]
                yield each, kept.name, kept.text
            elif (domain := news[each]) is not None:
                yield each, domain.name, _text(domain)

    def _kept(self, place: Place) -> _Kept | None:
        uuid, host = place
        told = self._told.get(host)
        return told.shown.get(uuid) if told else None

    def _put(self, host: str, after: _Told) -> None:
        before = self._told.get(host, _Told()).shown.keys()
        for uuid in before - after.shown.keys():
            del self._order[bisect_right(self._order, (uuid, host)) - 1]
        for uuid in after.shown.keys() - before:
            insort(self._order, (uuid, host))
        self._told[host] = after


def _after(told: _Told, hello: Mapping[str, Any]) -> _Told:
    """Return what a host has told with this hello, too. Raises MessageInvalid for too much."""
    report, stale = told.report, told.stale
    if hello.get("since") is None:
        report, stale = HostReport(), frozenset(told.shown)
    report = _changed(report, hello)
    known = {each.uuid for each in report.domains}
    domains = {each.uuid: each for each in hello.get("shown", ()) if each.uuid in known}
    stale = stale - domains.keys() - frozenset(hello.get("gone", ()))
    texts = {uuid: _text(each) for uuid, each in domains.items()}
    size = _size(told.shown) + sum(map(len, texts.values()))
    is_full = len(told.shown.keys() | texts.keys()) > records.MAX_DOMAINS or size > MAX_BYTES
    if is_full or not hello.get("more", False):
        stale = frozenset()
    # Of a report that comes anew, what is told again is as it was until then.
    gone = frozenset(hello.get("gone", ())) | domains.keys()
    held = stale if hello.get("since") is None else stale | known
    shown = {uuid: kept for uuid, kept in told.shown.items() if uuid in held and uuid not in gone}
    size = _size(shown)
    for uuid, domain in domains.items():
        text = texts[uuid]
        if size + len(text) > MAX_BYTES:
            text = _text(domain, 0)
        size += len(text)
        shown[uuid] = _Kept(domain.name, text)
    if size > 2 * MAX_BYTES:
        raise MessageInvalid(f"hello.shown: more than {2 * MAX_BYTES} bytes in all")
    return _Told(hello.get("digest"), report, shown, stale)


def _size(shown: Mapping[str, _Kept]) -> int:
    return sum(len(each.text) for each in shown.values())


def _text(domain: ReportedDomain, most: int = MAX_DOMAIN_BYTES) -> str:
    return json.dumps(domain_fitting(domain, most), separators=(",", ":"))


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
