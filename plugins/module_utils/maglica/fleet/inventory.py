# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in an inventory: a name of its own for each vm, image and host; pure."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap
from typing import Any

from ..model.text import short, some
from ..model.vm import Domain
from . import shown as fleet_shown
from .snapshot import Snapshot

# So many shared names are explained one by one.
_WARNINGS = 5
VMS, IMAGES, HOSTS = "vms", "images", "hosts"
# Those vms that others made and Maglica may run and change.
_ADOPTED = "adopted"
# The roles take the hosts of the group maglica_hosts: what is listed must not become their input.
_HOSTS_GROUP = "listed_hosts"
# What Ansible takes for the control machine (its constant LOCALHOST): as an inventory's host, a
# stranger's domain of such a name would get the tasks that are delegated to it. A host's name
# is the administrator's own word.
OWN = frozenset({"localhost", "127.0.0.1", "::1"})
# What Ansible takes for nothing else than a name: no pattern (such as a[0:3], a:b, !a, &a, ~a, *),
# no path or part of one, which it would read variables from, no file (@a) and no option; nor what
# a shell would take for more than a word. A host's name is the administrator's own word here too.
_NAME = re.compile(r"\w[\w.+@-]{0,199}")
# A domain of such a name would get the variables of another in host_vars.
# Caches and logs have a file for each host, whose name ends with the host's.
_MAX_BYTES = 200
_FILES = (".yml", ".yaml", ".json")
# What a resolver takes for an address of IPv4 (inet_aton(3)), such as 127.1, 0 or 0x7f000001, and
# what it takes for this machine itself.
_NUMBER = r"(?:0x[0-9a-f]*|[0-9]+)"
_ADDRESS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{0,3}}\.?", re.IGNORECASE)
_HERE = re.compile(r"(?:.*\.)?(?:ip6-)?(?:localhost[46]?|loopback)(?:\.localdomain[46]?)?\.?", re.I)

Naming = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class InventoryEntry:
    """An inventory host. ``shown`` is as fleet_shown has it, and its ``kind``.

    ``groups`` are without prefix and as written, so that a name may need changes to be a group's.
    ``domain`` is None for the entry of a host.
    """

    name: str
    shown: dict[str, Any]
    groups: tuple[str, ...]
    domain: Domain | None = None


def entries(snapshot: Snapshot, include: Collection[str], naming: Naming) -> list[InventoryEntry]:
    """Return the entries by the names that they would like to have: see ``distinct``.

    ``naming`` says what a domain is called by what is shown of it.
    """
    listed: list[InventoryEntry] = []
    if HOSTS in include:
        listed.extend(_hosts(snapshot))
    if IMAGES in include:
        listed.extend(_images(snapshot, naming))
    if VMS in include:
        listed.extend(_vm(domain, naming) for domain in snapshot.vms)
    return listed


def distinct(
    listed: Sequence[InventoryEntry], groups: Collection[str]
) -> tuple[list[InventoryEntry], list[str]]:
    """Return the entries with a name of its own for each, and warnings about the others.

    No domain gets the name of one of ``groups``, which Ansible would take for the group, nor one
    that it would take for something else than a name. Of those that would like the same name a host
    keeps it, else an image, and vms never do. Those for which no name is left are not in the
    answer.
    """
    named: list[tuple[InventoryEntry, InventoryEntry | None]] = []
    taken = set(groups)
    for kind in ("host", "image", "vm"):
        alike = [entry for entry in listed if entry.shown["kind"] == kind]
        found = _named(alike, taken if kind == "host" else taken | OWN)
        taken.update(entry.name for entry in found if entry)
        named.extend(zip(alike, found))
    return [entry for _wish, entry in named if entry], list(_warnings(named, groups))


def _named(alike: Sequence[InventoryEntry], taken: Collection[str]) -> list[InventoryEntry | None]:
    """Return each entry with the first of its names that is not taken and that no other wants."""
    names = [
        iter(_names(entry)) if entry.domain is None else filter(is_plain, _names(entry))
        for entry in alike
    ]
    found = [next(own, None) for own in names]
    while True:
        used = Counter(found)
        clashes = [
            place
            for place, name in enumerate(found)
            if name is not None and (used[name] > 1 or name in taken)
        ]
        if not clashes:
            return [replace(e, name=name) if name else None for e, name in zip(alike, found)]
        for place in clashes:
            found[place] = next(names[place], None)


def _names(entry: InventoryEntry) -> Iterator[str]:
    yield entry.name
    own, place = entry.shown["name"], _places(entry)[0]
    if entry.shown["kind"] == "image" and own != entry.name:
        # Images differ by their own names; what they are called instead may be alike.
        yield own
        yield f"{own}@{place}"
    else:
        yield f"{entry.name}@{place}"
    if entry.domain is not None:
        # Two vms of one host share a name only where something else than their name is used as
        # such. A host that lies may call its domains as those of others are called here.
        yield entry.domain.uuid
        yield f"{entry.domain.uuid}@{place}"


def shared_addresses(listed: Iterable[InventoryEntry]) -> list[str]:
    """Return a warning for each address that several vms have: Ansible reaches one of them by it,
    at most.
    """
    alike: dict[str, list[str]] = {}
    for entry in listed:
        if entry.domain is not None and entry.domain.address:
            who = f"{entry.name} on {entry.domain.host}"
            alike.setdefault(entry.domain.address, []).append(who)
    return _first(
        f"several vms have the address {address}, by which Ansible reaches one of them at most:"
        f" {some(sorted(names))}; see the options address_networks and connection"
        for address, names in sorted(alike.items())
        if len(names) > 1
    )


def shared_groups(groups: Mapping[str, str]) -> list[str]:
    """Return a warning for each group that is made of several, of ``groups`` by their names before
    what no group's name may have was replaced.
    """
    alike: dict[str, list[str]] = {}
    for name, group in groups.items():
        alike.setdefault(group, []).append(name)
    return _first(
        f"the group {group} is that of several: {some(sorted(names))}"
        for group, names in sorted(alike.items())
        if len(names) > 1
    )


def _first(warnings: Iterable[str]) -> list[str]:
    every = list(warnings)
    more = len(every) - _WARNINGS
    return every if more <= 0 else [*every[:_WARNINGS], f"and {more} more of this kind"]


def is_plain(name: str) -> bool:
    """Say whether Ansible, and the programs that it runs, take ``name`` for a name only."""
    if _NAME.fullmatch(name):
        return not name.endswith(_FILES) and len(name.encode()) <= _MAX_BYTES
    try:
        return "%" not in name and bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def leads_elsewhere(name: str) -> bool:
    """Say whether a program that connects to ``name``, as ssh does, would not look it up as a name.

    It would go to an address, to this machine itself, or as a user to another host (USER@HOST).
    """
    return "@" in name or ":" in name or bool(_ADDRESS.fullmatch(name) or _HERE.fullmatch(name))


def _places(entry: InventoryEntry) -> list[str]:
    return entry.shown.get("hosts") or [entry.shown.get("host") or entry.shown["name"]]


def _hosts(snapshot: Snapshot) -> list[InventoryEntry]:
    found = {host.name: host for host in snapshot.hosts}
    return [
        InventoryEntry(
            host.name,
            {"kind": "host", **fleet_shown.host(host, found.get(host.name))},
            (_HOSTS_GROUP,),
        )
        for host in snapshot.asked
    ]


def _images(snapshot: Snapshot, naming: Naming) -> list[InventoryEntry]:
    first = {domain.name: domain for domain in reversed(snapshot.images)}
    return [
        InventoryEntry(
            naming(shown),
            {"kind": "image", **shown},
            (IMAGES, f"state_{shown['state']}", *(f"host_{host}" for host in shown["hosts"])),
            first[shown["name"]],
        )
        for shown in fleet_shown.images(snapshot)
    ]


def _vm(domain: Domain, naming: Naming) -> InventoryEntry:
    shown = fleet_shown.vm(domain)
    groups = [VMS, f"state_{domain.state}", f"host_{domain.host}"]
    if domain.adopted:
        groups.append(_ADOPTED)
    return InventoryEntry(naming(shown), {"kind": "vm", **shown}, tuple(groups), domain)


def _warnings(
    named: Sequence[tuple[InventoryEntry, InventoryEntry | None]], groups: Collection[str]
) -> Iterator[str]:
    by_wish: dict[str, list[tuple[InventoryEntry, InventoryEntry | None]]] = {}
    for wish, entry in named:
        by_wish.setdefault(wish.name, []).append((wish, entry))
    shared = sorted(
        name
        for name, alike in by_wish.items()
        if any(entry is None or entry.name != name for _wish, entry in alike)
    )
    for name in shared[:_WARNINGS]:
        listed_as = ", ".join(starmap(_listed_as, by_wish[name]))
        yield f"{_who(name, groups)} {short(name)}: {listed_as}"
    if len(shared) > _WARNINGS:
        rest = ", ".join(map(short, shared[_WARNINGS:]))
        yield f"so it is with these names too: {rest}"


def _who(name: str, groups: Collection[str]) -> str:
    if name in OWN:
        return "the control machine itself has the name"
    if name in groups:
        return "a group has the name"
    if not is_plain(name):
        return "Ansible would take for something else than a name"
    return "several have the name"


def _listed_as(wish: InventoryEntry, entry: InventoryEntry | None) -> str:
    what = f"{wish.shown['kind']} {short(wish.shown['name'])}"
    if wish.domain is not None:
        what += f" on {' and '.join(_places(wish))}"
    if entry is None:
        return f"{what} (not listed: its other names are taken too)"
    return what if entry.name == wish.name else f"{what} (listed as {entry.name})"
