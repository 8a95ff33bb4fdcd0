# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the info modules return: the fleet as plain data, as far as it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..libvirtd.addresses import Preference
from ..libvirtd.host_reader import Reading
from ..libvirtd.hosts import Gather
from ..model.errors import HostDown
from ..model.reported import AddressSource
from . import shown as fleet_shown
from .filter import Filters, image_names, matches, rule
from .snapshot import Snapshot
from .source import Access


@dataclass(frozen=True)
class Question:
    """What is asked, and of whom. ``names`` are patterns as in filter.Rule, none for all.

    ``on_hosts`` are names of hosts, none for all. ``image_pattern`` as in filter.image_names.
    ``fail``: a host that does not answer is an error, not a part of the answer.
    """

    access: Access
    names: tuple[str, ...] = ()
    on_hosts: tuple[str, ...] = ()
    image_pattern: str | None = None
    fail: bool = False

    def is_of(self, host: str) -> bool:
        """Say whether this host is to be asked."""
        return not self.on_hosts or host in self.on_hosts

    def is_about(self, name: str) -> bool:
        """Say whether ``names`` has this one, which may be that of no domain any more."""
        return not self.names or any(matches(pattern, name) for pattern in self.names)

    @property
    def filters(self) -> Filters:
        """The filters for ``names``. Raises ConfigInvalid when one is no regular expression."""
        return Filters((rule({"name": self.names}),) if self.names else ())


def vms(
    question: Question, sources: Sequence[AddressSource], preference: Preference, xml: bool
) -> dict[str, Any]:
    """Return ``vms`` and ``unreachable_hosts``. Raises HostUnknown, and HostDown if asked to."""
    wanted = question.filters.wants
    seen = _read(question, sources=tuple(sources), preference=preference, xml=xml, wanted=wanted)
    return {"vms": [fleet_shown.vm(domain) for domain in seen.vms], **_rest(seen)}


def images(question: Question, xml: bool) -> dict[str, Any]:
    """Return ``images`` and ``unreachable_hosts``."""
    filters = question.filters
    # What was cloned from an image is known of the vms only: all are read.
    seen = _read(question, sources=(), xml=xml)
    wanted = {domain.name for domain in seen.images if filters.want(domain)}
    shown = [image for image in fleet_shown.images(seen) if image["name"] in wanted]
    return {"images": shown, **_rest(seen)}


def hosts(question: Question) -> dict[str, Any]:
    """Return ``hosts``, each with the names of its vms and images, and ``unreachable_hosts``."""
    seen = _read(question, gather=Gather.MINIMAL, details=True)
    found = {host.name: host for host in seen.hosts}
    shown = [
        {
            **fleet_shown.host(asked, found.get(asked.name)),
            "vms": [domain.name for domain in seen.vms if domain.host == asked.name],
            "images": [domain.name for domain in seen.images if domain.host == asked.name],
        }
        for asked in seen.asked
    ]
    return {"hosts": shown, **_rest(seen)}


def _read(question: Question, **what: Any) -> Snapshot:
    reading = Reading(may_be_image=image_names(question.image_pattern), **what)
    with question.access.opened() as fleet:
        asked = fleet.only(question.on_hosts) if question.on_hosts else fleet
        seen = asked.snapshot(reading)
    if question.fail and seen.unreachable:
        missing = (f"host {entry.host}: {entry.text}" for entry in seen.unreachable)
        raise HostDown("; ".join(missing))
    return seen


def _rest(seen: Snapshot) -> dict[str, Any]:
    return {
        "unreachable_hosts": fleet_shown.unreachable(seen.unreachable),
        "problems": list(seen.problems),
    }
