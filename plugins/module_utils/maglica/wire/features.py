# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said beside the fields that every peer knows, to those that have named it.

So a field can be added without a new version of the protocol: each side names the features that it
knows in its first message, and sends optional fields to nobody who did not name theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..verbs import table
from ..verbs.hardware.disks import FEATURE as DISKS
from ..verbs.hardware.interfaces import FEATURE as INTERFACES
from ..verbs.hardware.set_boot_order import FEATURE as BOOT_ORDER
from ..verbs.verb import ADOPTION, SETTINGS

# ``done`` and ``total`` of a host's progress, and of a request.
PROGRESS_COUNTS = "progress_counts"
# ``worker`` of a host's hello, ``worker_version`` of what is told of hosts, and ``client_worker``
# of an answer to ``hosts``.
WORKERS = "workers"
# ``journal`` of a welcome and of a hello, ``request`` of an ack and of a result.
LOST_REQUESTS = "lost_requests"
# Where a domain's screen and serial console are.
SCREENS = "screens"
# Those of verbs, and of fields of their specs, stand with the verbs.
OWN: tuple[str, ...] = (PROGRESS_COUNTS, WORKERS, LOST_REQUESTS, SCREENS, *table.FEATURES)
_ALL = frozenset(OWN)

# The optional fields of a request and of a host, by the feature that they come with.
_FIELDS = {PROGRESS_COUNTS: ("done", "total"), WORKERS: ("worker_version",)}
# Those of a domain.
_OF_DOMAIN: dict[str, tuple[str, ...]] = {
    ADOPTION: ("adopted", "foreign_disks"),
    SETTINGS: ("autostart", "description", "protected"),
    DISKS: ("kept_disks",),
    BOOT_ORDER: ("boot_order",),
    SCREENS: ("graphics", "console"),
    INTERFACES: ("next_interfaces",),
}
# Those of a domain's interface, and of its disk.
_OF_INTERFACE: dict[str, tuple[str, ...]] = {
    INTERFACES: ("bridge", "model", "link", "filter", "vlan", "virtualport")
}
_OF_DISK: dict[str, tuple[str, ...]] = {
    DISKS: ("name", "pool", "bus", "serial", "cache", "discard")
}


def known_to(features: Collection[str], told: dict[str, Any]) -> dict[str, Any]:
    """Return a plain request, or a host, with those fields only that a peer of these ``features``
    knows.
    """
    if _ALL.issubset(features):
        return told
    told = _without(_FIELDS, features, told)
    if told.get("vm"):
        told = {**told, "vm": domain_known_to(features, told["vm"])}
    if "spec" in told:
        told = {**told, "spec": spec_known_to(features, told["kind"], told["spec"])}
    return told


def domain_known_to(features: Collection[str], told: dict[str, Any]) -> dict[str, Any]:
    """Return a plain domain with those fields only that a peer of these ``features`` knows."""
    told = _without(_OF_DOMAIN, features, told)
    for name, fields in (("disks", _OF_DISK), ("interfaces", _OF_INTERFACE)):
        if name in told and not fields.keys() <= set(features):
            told = {**told, name: [_without(fields, features, each) for each in told[name]]}
    return told


def spec_known_to(features: Collection[str], kind: str, told: dict[str, Any]) -> dict[str, Any]:
    """Return the plain spec of a request of that kind, with those fields only that a peer of these
    ``features`` knows.
    """
    later = table.named(kind).later
    return {name: value for name, value in told.items() if later.get(name) in (None, *features)}


def _without(
    fields: dict[str, tuple[str, ...]], features: Collection[str], told: dict[str, Any]
) -> dict[str, Any]:
    unknown = {name for each, names in fields.items() if each not in features for name in names}
    return {name: value for name, value in told.items() if name not in unknown}
