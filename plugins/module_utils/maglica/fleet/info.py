# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the info modules return: the fleet as plain data, as far as it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..config.config import Config, HostEntry
from ..libvirtd.addresses import Preference
from ..libvirtd.hosts import Gather
from ..model.errors import HostDown, HostUnknown
from ..model.reported import AddressSource
from . import fleet
from . import shown as fleet_shown
from .filter import Filters, matches, rule
from .snapshot import Snapshot


@dataclass(frozen=True)
class Question:
    """What is asked, and of whom. ``names`` are patterns as in filter.Rule, none for all.

    ``on_hosts`` are names of hosts, none for all. ``image_pattern`` as in fleet.snapshot.
    ``fail``: a host that does not answer is an error, not a part of the answer.
    """

    config: Config
    names: tuple[str, ...] = ()
    on_hosts: tuple[str, ...] = ()
    image_pattern: str | None = None
    timeout: float = 10.0
    parallel: int = 0
    auth_file: str | None = None
    fail: bool = False

    def asked_hosts(self) -> list[HostEntry]:
        """Return the hosts to ask. Raises HostUnknown."""
        hosts = self.config.hosts
        unknown = sorted(set(self.on_hosts) - {host.name for host in hosts})
        if unknown:
            raise HostUnknown(f"host {unknown[0]} is not configured")
        return [host for host in hosts if self.is_of(host.name)]

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
    seen = _read(question, sources=sources, preference=preference, xml=xml, wanted=wanted)
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
    asked = question.asked_hosts()
    seen = _read(question, gather=Gather.MINIMAL, details=True)
    found = {host.name: host for host in seen.hosts}
    shown = [
        {
            **fleet_shown.host(entry, entry.weight, found.get(entry.name)),
            "vms": [domain.name for domain in seen.vms if domain.host == entry.name],
            "images": [domain.name for domain in seen.images if domain.host == entry.name],
        }
        for entry in asked
    ]
    return {"hosts": shown, **_rest(seen)}


def _read(question: Question, **reading: Any) -> Snapshot:
    seen = fleet.snapshot(
        question.asked_hosts(),
        question.timeout,
        parallel=question.parallel,
        auth_file=question.auth_file,
        image_pattern=question.image_pattern,
        **reading,
    )
    if question.fail and seen.unreachable:
        missing = (f"host {entry.host}: {entry.text}" for entry in seen.unreachable)
        raise HostDown("; ".join(missing))
    return seen


def _rest(seen: Snapshot) -> dict[str, Any]:
    return {
        "unreachable_hosts": fleet_shown.unreachable(seen.unreachable),
        "problems": list(seen.problems),
    }
