# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in an inventory: a name of its own for each vm, image and host; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import fleet_view
from .config import HostEntry
from .fleet_values import Domain, Snapshot

# So many shared names are explained one by one.
_WARNINGS = 5
VMS, IMAGES, HOSTS = "vms", "images", "hosts"
# What Ansible takes for the control machine (its constant LOCALHOST): as an inventory's host, a
# stranger's domain of such a name would get the tasks that are delegated to it.
OWN = frozenset({"localhost", "127.0.0.1", "::1"})

Naming = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Entry:
    """An inventory host. ``shown`` is as fleet_view has it, and its ``kind``.

    ``groups`` are without prefix and as written, so that a name may need changes to be a group's.
    ``domain`` is None for the entry of a host.
    """

    name: str
    shown: dict[str, Any]
    groups: tuple[str, ...]
    domain: Domain | None = None


def entries(
    snapshot: Snapshot, hosts: Sequence[HostEntry], include: Collection[str], naming: Naming
) -> tuple[list[Entry], list[str]]:
    """Return the entries, and warnings about names that several domains have.

    ``naming`` says what something is called by what is shown of it.
    """
    fixed: list[Entry] = []
    if HOSTS in include:
        fixed.extend(_hosts(snapshot, hosts))
    if IMAGES in include:
        fixed.extend(_images(snapshot, naming))
    if VMS not in include:
        return fixed, []
    vms = [_vm(domain, naming) for domain in snapshot.vms]
    used = Counter(entry.name for entry in (*fixed, *vms))
    shared = {name for name, count in used.items() if count > 1 or name in OWN}
    named = _distinct([_on_its_host(vm) if vm.name in shared else vm for vm in vms])
    return [*fixed, *named], list(_warnings(sorted(shared), (*fixed, *vms)))


def _hosts(snapshot: Snapshot, hosts: Iterable[HostEntry]) -> list[Entry]:
    found = {host.name: host for host in snapshot.hosts}
    return [
        Entry(
            host.name,
            {"kind": "host", **fleet_view.host(host, host.weight, found.get(host.name))},
            (HOSTS,),
        )
        for host in hosts
    ]


def _images(snapshot: Snapshot, naming: Naming) -> list[Entry]:
    first = {domain.name: domain for domain in reversed(snapshot.images)}
    return [
        Entry(
            _image_name(shown, naming),
            {"kind": "image", **shown},
            (IMAGES, f"state_{shown['state']}", *(f"host_{host}" for host in shown["hosts"])),
            first[shown["name"]],
        )
        for shown in fleet_view.images(snapshot)
    ]


def _image_name(shown: dict[str, Any], naming: Naming) -> str:
    name = naming(shown)
    return f"{name}@{shown['hosts'][0]}" if name in OWN else name


def _vm(domain: Domain, naming: Naming) -> Entry:
    shown = fleet_view.vm(domain)
    groups = (VMS, f"state_{domain.state}", f"host_{domain.host}")
    return Entry(naming(shown), {"kind": "vm", **shown}, groups, domain)


def _on_its_host(entry: Entry) -> Entry:
    return replace(entry, name=f"{entry.name}@{entry.shown['host']}")


def _distinct(vms: Sequence[Entry]) -> list[Entry]:
    # Two vms of one host share a name only where something else than their name is used as such.
    used = Counter(entry.name for entry in vms)
    return [
        replace(entry, name=entry.shown["uuid"]) if used[entry.name] > 1 else entry for entry in vms
    ]


def _warnings(shared: Sequence[str], every: Sequence[Entry]) -> Iterator[str]:
    for name in shared[:_WARNINGS]:
        yield _warning(name, every)
    if len(shared) > _WARNINGS:
        rest = ", ".join(shared[_WARNINGS:])
        yield f"several have each of these names too, and are listed as NAME@HOST: {rest}"


def _warning(name: str, every: Iterable[Entry]) -> str:
    places = ", ".join(
        f"{entry.shown['kind']} {entry.shown['name']} on {place}"
        for entry in every
        if entry.name == name
        for place in entry.shown.get("hosts") or [entry.shown.get("host", "no host")]
    )
    who = "the control machine itself has" if name in OWN else "several have"
    return f"{who} the name {name}: {places}; the vms are listed as {name}@HOST"
