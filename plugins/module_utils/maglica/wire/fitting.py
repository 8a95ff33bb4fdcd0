# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's report, cut to the room that a message has for it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from ..model.plain import plain
from ..model.request import HostReport

_Entry = TypeVar("_Entry")


def fitting(report: HostReport, room: int) -> HostReport:
    """Return ``report`` with as many of its entries as fit in ``room`` bytes of JSON.

    Pools and networks go before domains, images before other domains; then comes what is recorded
    of images, then bases, which are only missed as room on the host that is not taken after all.
    Looks and leftovers come last.
    """
    if _size(report) <= room:
        return report
    bare = replace(report, pools=(), networks=(), domains=(), images=())
    bare = replace(bare, bases=(), looks=(), leftovers=())
    room -= _size(bare)
    pools, room = _first(report.pools, room)
    networks, room = _first(report.networks, room)
    images_first = sorted(report.domains, key=lambda domain: not domain.is_image)
    domains, room = _first(images_first, room)
    images, room = _first(report.images, room)
    bases, room = _first(report.bases, room)
    looks, room = _first(report.looks, room)
    leftovers, room = _first(report.leftovers, room)
    return replace(
        report,
        pools=pools,
        networks=networks,
        domains=domains,
        images=images,
        bases=bases,
        looks=looks,
        leftovers=leftovers,
    )


def _first(entries: Iterable[_Entry], room: int) -> tuple[tuple[_Entry, ...], int]:
    """Return the first of ``entries`` that fit, and the room that is left."""
    kept = []
    for entry in entries:
        left = room - _size(entry) - 1
        if left < 0:
            break
        kept.append(entry)
        room = left
    return tuple(kept), room


def _size(value: Any) -> int:
    return len(json.dumps(plain(value), separators=(",", ":")))
