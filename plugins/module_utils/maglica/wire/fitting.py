# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts report, cut to the room that a message has for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from ..model.checks import Check
from ..model.errors import MessageInvalid
from ..model.plain import lean, plain
from ..model.reported import ReportedDomain
from ..model.request import HostReport
from ..model.text import to_tell
from . import records

_Entry = TypeVar("_Entry")
# The most bytes of one domain as lists show it.
MAX_DOMAIN_BYTES = 1 << 16
# What such a domain has not, if it is longer.
_LISTS = ("interfaces", "disks", "graphics", "versions", "ssh_host_keys", "tags", "foreign_disks")
_LONG: dict[str, Any] = {
    **dict.fromkeys(_LISTS, ()),
    **{"console": None, "next_interfaces": None},
}
# What stands in the place of a field that can't be told, if that is not null.
UNKNOWN = {"state": "unknown"}


def domain_fitting(domain: ReportedDomain, most: int = MAX_DOMAIN_BYTES) -> dict[str, Any]:
    """Return a domain as JSON can hold it, of one of more bytes than that what it surely is."""
    told: dict[str, Any] = lean(domain)
    if size(told) > most:
        told = lean(replace(domain, **_LONG))
    return told


def domain_kept(domain: ReportedDomain) -> ReportedDomain:
    """Return a domain as it is kept: one of more bytes than that as what it surely is."""
    return domain if size(lean(domain)) <= MAX_DOMAIN_BYTES else replace(domain, **_LONG)


def domain_valid(domain: ReportedDomain) -> ReportedDomain:
    """Return a domain as a message may have it: what is invalid of it is left out, and no more.

    What a definition or a guest says may be anything. Its UUID and host must be valid.
    """
    known: dict[str, Any] = {"name": to_tell(domain.name)[: records.MAX_TITLE]}
    for field in dataclasses.fields(domain):
        check, value = records.REPORTED_DOMAIN[field.name], getattr(domain, field.name)
        if field.name in known:
            continue
        if isinstance(value, tuple) and "maxItems" in check.schema:
            some = [each for each in value if _is_valid(check, [lean(each)])]
            known[field.name] = tuple(some[: check.schema["maxItems"]])
        elif _is_valid(check, lean(value)):
            known[field.name] = value
        else:
            known[field.name] = UNKNOWN.get(field.name)
    return ReportedDomain(**known)


def _is_valid(check: Check, value: Any) -> bool:
    try:
        check(value, "")
    except MessageInvalid:
        return False
    return True


def fitting(report: HostReport, room: int) -> HostReport:
    """Return ``report`` with as many of its entries as fit in ``room`` bytes of JSON.

    Pools and networks go before domains, images before other domains; then comes what is recorded
    of images, then bases, which are only missed as room on the host that is not taken after all.
    Looks and leftovers come last, and of network devices nothing is told.
    """
    if size(report) <= room:
        return report
    bare = replace(report, pools=(), networks=(), net_devices=None, domains=(), images=())
    bare = replace(bare, bases=(), looks=(), leftovers=())
    room -= size(bare)
    pools, room = first(report.pools, room)
    networks, room = first(report.networks, room)
    images_first = sorted(report.domains, key=lambda domain: not domain.is_image)
    domains, room = first(images_first, room)
    images, room = first(report.images, room)
    bases, room = first(report.bases, room)
    looks, room = first(report.looks, room)
    leftovers, room = first(report.leftovers, room)
    return replace(
        report,
        pools=pools,
        networks=networks,
        # A part of them would say that there are no others.
        net_devices=None,
        domains=domains,
        images=images,
        bases=bases,
        looks=looks,
        leftovers=leftovers,
    )


def first(entries: Iterable[_Entry], room: int) -> tuple[tuple[_Entry, ...], int]:
    """Return the first of ``entries`` that fit, and the room that is left."""
    kept = []
    for entry in entries:
        left = room - size(entry) - 1
        if left < 0:
            break
        kept.append(entry)
        room = left
    return tuple(kept), room


def size(value: Any) -> int:
    """Return how many bytes a value takes in a message."""
    return len(json.dumps(plain(value), separators=(",", ":")))
