# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the client worker how this host is: of what it has told before only what has changed; pure.

Each hello names by a digest what was told before it and what is told with it. A client worker that
knows something else asks for everything. What does not fit in one message is told by the next ones,
at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ...model.plain import plain
from ...model.reported import ReportedDomain
from ...model.request import HostReport, Request
from ...model.worker import Worker
from ...wire import features, messages
from ...wire.fitting import domain_fitting, domain_valid, first
from ...wire.frames import Message
from .messages import allowed

# What one of the requests that a hello lists takes: names, id, state and marks.
HELD_BYTES = 80
# A list of a report that is longer is cut: each has to fit in a message.
MAX_LIST_BYTES = messages.PAGE_ROOM // 2
# What a disk holds is told again when it is so much of it off: guests write all the time.
ALLOCATION_PART = 16

# A field of the report, or a domain as placement or as lists see it, by its UUID.
_Key = tuple[str, str]
_FIELD, _DOMAIN, _SHOWN = "report", "domain", "shown"


@dataclass(frozen=True)
class _Entry:
    """Something that is told: the value, for the next time, and what a message has for it, to a
    client worker that knows these features.
    """

    value: Any
    text: str
    known: frozenset[str]


_State = dict[_Key, _Entry]


class Teller:
    """Makes the hellos of one host. One is under way at a time."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._told: _State = {}
        self._sent: _State = {}
        self._goal: _State = {}
        self._valid: dict[str, tuple[ReportedDomain, ReportedDomain]] = {}
        # Whether the goal is what is to be told, or how the host is now.
        self._is_begun = False
        # The features that the client worker knows.
        self.known: frozenset[str] = frozenset()
        # Whether the next hello is to follow at once.
        self.has_more = False

    def hello(
        self,
        report: HostReport,
        shown: Sequence[ReportedDomain],
        held: Iterable[Request],
        worker: Worker | None = None,
        journal: str | None = None,
    ) -> Message:
        """Return the next hello; what did not fit in the last one goes before what is newer.

        ``worker`` is who says so, and ``journal`` the client worker's that has been told of all
        requests, or is told of them now; each for a client worker that knows of that.
        """
        requests = [
            {"id": each.id, "state": each.state.value} for each in islice(held, messages.MAX_LISTED)
        ]
        if not self._is_begun:
            self._goal = self._state(report, shown)
        gone = sorted({key[1] for key in self._told if key not in self._goal})
        room = messages.PAGE_ROOM - HELD_BYTES * len(requests) - HELD_BYTES * len(gone)
        # With a domain goes all that was told of it: what there still is of it comes first, anew.
        stays = {key: entry for key, entry in self._told.items() if key[1] not in gone}
        self._sent = dict(stays)
        told: list[tuple[_Key, _Entry]] = []
        self.has_more = False
        for key, entry in sorted(self._goal.items(), key=lambda each: each[0][1] not in gone):
            before = stays.get(key)
            if before is not None and before.text == entry.text:
                continue
            room -= len(entry.text) + HELD_BYTES
            if room < 0:
                self.has_more = True
                break
            told.append((key, entry))
            self._sent[key] = entry
        body = self._body(told, gone, requests)
        if worker is not None:
            body["worker"] = plain(worker)
        if journal is not None:
            body["journal"] = journal
        return Message("hello", body)

    def answered(self, well: bool, everything: bool) -> None:
        """Take in whether the last hello was taken, or everything is to be told anew."""
        if everything:
            self._told = {}
        elif well:
            self._told = self._sent
        self._is_begun = self.has_more and well and not everything
        self.has_more = self._is_begun or (well and everything)

    def _body(
        self, told: Sequence[tuple[_Key, _Entry]], gone: list[str], requests: list[dict[str, str]]
    ) -> dict[str, Any]:
        by_kind: dict[str, dict[str, Any]] = {_FIELD: {}, _DOMAIN: {}, _SHOWN: {}}
        for (kind, name), entry in told:
            by_kind[kind][name] = json.loads(entry.text)
        report = by_kind[_FIELD]
        if by_kind[_DOMAIN]:
            report["domains"] = list(by_kind[_DOMAIN].values())
        body: dict[str, Any] = {
            "host": self._host,
            "report": report,
            "requests": requests,
            "digest": _digest(self._sent),
            "features": list(features.OWN),
        }
        optional = {
            "since": _digest(self._told) if self._told else None,
            "shown": list(by_kind[_SHOWN].values()),
            "gone": gone,
            "more": self.has_more,
        }
        return {**body, **{name: value for name, value in optional.items() if value}}

    def _state(self, report: HostReport, shown: Sequence[ReportedDomain]) -> _State:
        """Return all that there is to tell."""
        state: _State = {}
        whole = allowed(report)
        for name, value in vars(whole).items():
            if name != "domains":
                self._put(state, (_FIELD, name), value)
        for domain in whole.domains:
            self._put(state, (_DOMAIN, domain.uuid), domain)
        known = {domain.uuid for domain in whole.domains}
        self._valid = {each.uuid: self._checked(each) for each in shown if each.uuid in known}
        for uuid, (_raw, valid) in self._valid.items():
            self._put(state, (_SHOWN, uuid), valid)
        return state

    def _put(self, state: _State, key: _Key, value: Any) -> None:
        before = self._goal.get(key) or self._told.get(key)
        is_for_it = before is not None and before.known == self.known
        if before is not None and is_for_it and _is_same(before.value, value):
            state[key] = before
            return
        if key[0] == _SHOWN:
            told = features.domain_known_to(self.known, domain_fitting(value))
        elif isinstance(value, tuple):
            told = plain(first(value, MAX_LIST_BYTES)[0])
        else:
            told = plain(value)
        state[key] = _Entry(value, json.dumps(told, separators=(",", ":")), self.known)

    def _checked(self, domain: ReportedDomain) -> tuple[ReportedDomain, ReportedDomain]:
        known = self._valid.get(domain.uuid)
        return known if known and known[0] == domain else (domain, domain_valid(domain))


def _is_same(before: Any, value: Any) -> bool:
    """Tell whether there is nothing new to tell of a value."""
    if not isinstance(value, ReportedDomain):
        return bool(before == value)
    old = {disk.target: disk.allocation_bytes for disk in before.disks}
    disks = tuple(
        replace(disk, allocation_bytes=old[disk.target])
        if _is_near(old.get(disk.target), disk.allocation_bytes)
        else disk
        for disk in value.disks
    )
    return bool(before == replace(value, disks=disks))


def _is_near(before: int | None, now: int | None) -> bool:
    return None not in (before, now) and abs(now - before) * ALLOCATION_PART < before  # type: ignore[operator]


def _digest(state: _State) -> str:
    total = hashlib.sha256()
    for (kind, name), entry in sorted(state.items()):
        total.update(f"{kind} {name} {entry.text}\n".encode())
    return total.hexdigest()[:32]
