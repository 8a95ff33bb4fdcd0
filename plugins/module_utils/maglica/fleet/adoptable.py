# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the vms that are there an adoption of many is about: those that meet a filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..libvirtd.host_reader import Reading
from ..model.errors import ConfigInvalid, HostDown, NameInvalid, NameTaken
from ..model.text import some
from ..model.vm import Domain
from .filter import Filters, rule
from .snapshot import Snapshot
from .source import Fleet

# What a filter may ask for; fleet.filter has more of them.
KEYS = ("name", "host", "state", "kind", "uuid", "tag")
_VM = ["vm"]


def filters_of(options: Iterable[Mapping[str, Any]]) -> Filters:
    """Return the filters that a module's option states. Raises NameInvalid, also for none, which
    all domains of all hosts would meet.

    One that does not name a kind is for vms: what is off, and others have made, is an image.
    """
    try:
        rules = tuple(rule({"kind": _VM, **_said(each)}) for each in options)
    except ConfigInvalid as error:
        raise NameInvalid(f"filters: {error}") from None
    if not rules:
        raise NameInvalid("filters: the list is empty, which names no vm")
    return Filters(rules)


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in options.items() if value is not None}
    if not said:
        raise NameInvalid("filters: one has no condition")
    return said


def find(fleet: Fleet, filters: Filters, *, adopt: bool) -> list[Domain]:
    """Return the domains that meet the filters, by name: those of others, and those that were
    adopted; with ``adopt`` false only the latter.

    Raises HostDown when a host that may have one does not answer, NameTaken for two of one name.
    """
    seen = fleet.snapshot(Reading(sources=(), wanted=filters.wants), filters.may_want_host)
    for silent in seen.unreachable:
        raise HostDown(f"cannot tell which vms meet the filters: host {silent.host}: {silent.text}")
    return among(seen, adopt=adopt)


def among(seen: Snapshot, *, adopt: bool) -> list[Domain]:
    """Return those of the domains that an adoption, or its end, may be about."""
    domains = [*seen.vms, *(image for image in seen.images if not image.made)]
    found = [each for each in domains if each.adopted or (adopt and not each.made)]
    for name, times in Counter(each.name for each in found).items():
        if times > 1:
            hosts = some(sorted(each.host for each in found if each.name == name))
            raise NameTaken(
                f"several hosts have a vm {name}: {hosts}; say which one with host in the filters"
            )
    return sorted(found, key=lambda each: each.name)
