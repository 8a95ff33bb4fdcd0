# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what hosts have reported, page by page: first the hosts by name, then the domains by UUID.

A page ends with words that say where: ``host NAME`` or ``domain UUID HOST``.
"""

from __future__ import annotations

import json
from typing import Any

from ..model.errors import MessageInvalid
from ..model.plain import lean
from ..model.reported import ReportedHost
from ..wire import features, records
from ..wire.fitting import first, size
from ..wire.frames import Message
from ..wire.messages import PAGE_ROOM
from .client_messages import ANSWER_ROOM
from .known.reports import FIRST, Place
from .state import Call, Context

_HOST, _DOMAIN = "host", "domain"
# The most bytes of the pools of one host, and of its networks: whatever it has told, a page can
# have it.
_LIST_ROOM = PAGE_ROOM // 4


def domains(context: Context, call: Call) -> Message:
    """Show the hosts and domains that are asked for, from where the last page has ended."""
    part, name, place = _begin(call.body.get("after", ""))
    on = frozenset(call.body.get("hosts", ()))
    named = frozenset(call.body.get("names", ()))
    hosts: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    room = ANSWER_ROOM
    if part == _HOST:
        for each in context.hosts.names():
            if each <= name or (on and each not in on):
                continue
            entry = features.known_to(call.features, lean(_host(context, each)))
            room -= size(entry) + 1
            if room < 0 and hosts:
                return _page(hosts, found, f"{_HOST} {name}")
            hosts.append(entry)
            name = each
    for here, domain, text in context.hosts.reports.after(place, context.hosts.news()):
        if (on and here[1] not in on) or (named and domain not in named):
            continue
        room -= len(text) + 1
        # Those of one UUID, of which one may be about to move, stay together if that can be.
        is_other = here[0] != place[0] or room < ANSWER_ROOM - PAGE_ROOM
        if room < 0 and (hosts or found) and is_other:
            return _page(hosts, found, " ".join((_DOMAIN, *place)))
        found.append(features.domain_known_to(call.features, json.loads(text)))
        place = here
    return _page(hosts, found, None)


def _begin(after: str) -> tuple[str, str, Place]:
    """Return which part comes next, and the host's name or the place behind which it begins."""
    words = after.split(" ")
    if after == "" or (words[0] == _HOST and len(words) == 2):
        return _HOST, words[-1], FIRST
    if words[0] == _DOMAIN and len(words) == 3:
        return _DOMAIN, "", (words[1], words[2])
    raise MessageInvalid("domains.after: not the next of an answer to domains")


def _page(hosts: list[Any], found: list[Any], end: str | None) -> Message:
    body = {"hosts": hosts, "domains": found}
    return Message("domains", body if end is None else {**body, "next": end})


def _host(context: Context, name: str) -> ReportedHost:
    reported = context.hosts.reported(name)
    report = context.hosts.shown(name)
    conflict = context.hosts.workers.conflict(name)
    problems = (conflict[: records.MAX_PROBLEM], *report.problems) if conflict else report.problems
    return ReportedHost(
        name=name,
        # One that is remembered from before a start has told nothing that lists could show.
        alive=context.hosts.alive(name) and reported is not None,
        weight=context.hosts.candidates[name].weight,
        age_s=None if reported is None else round(max(0.0, context.clock() - reported), 3),
        libvirt_error=report.libvirt_error,
        uri=report.uri,
        hostname=report.hostname,
        cpus=report.cpus or None,
        memory_total_mib=report.memory_total_mib or None,
        memory_free_mib=report.memory_free_mib if report.memory_total_mib else None,
        libvirt_version=report.libvirt_version,
        hypervisor_version=report.hypervisor_version,
        pools=first(report.pool_states, _LIST_ROOM)[0],
        networks=first(report.networks, _LIST_ROOM)[0],
        problems=problems[: records.MAX_PROBLEMS],
        worker_version=context.hosts.workers.version(name),
    )
