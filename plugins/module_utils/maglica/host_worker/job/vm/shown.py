# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of this host as the result of a request shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....domain import definition, nics, seen, size
from ....libvirtd.addresses import with_recorded
from ....libvirtd.local import inactive_xml, state_of
from ....model.vm import Domain

GONE = "absent"


def vm_of(domain: Any, host: str) -> Domain:
    """Return what there is to say of a domain (virDomain) of this host; costs three calls.

    Of its addresses those are known that it was given.
    """
    vm = of_definition(domain.XMLDesc(), host, state_of(domain))
    return replace(vm, autostart=bool(domain.autostart()))


def with_next_start(domain: Any, host: str) -> Domain:
    """Return a domain of this host with the sizes and interfaces that it has at its next start."""
    now = vm_of(domain, host)
    if not (now.active and domain.isPersistent()):
        return now
    live = definition.describe(domain.XMLDesc())
    later = definition.describe(inactive_xml(domain))
    _same, waiting = nics.settled(now.interfaces, later.interfaces)
    if waiting is None:
        # The definition has the names, what runs has the addresses.
        named = zip(later.interfaces, now.interfaces)
        same = tuple(replace(each, addresses=runs.addresses) for each, runs in named)
        now = replace(now, interfaces=same)
    return replace(now, next_interfaces=waiting).sized(*size.after(live, later))


def of_definition(xml: str, host: str, state: str = GONE) -> Domain:
    """Return the vm that the domain XML ``xml`` defines, as gone if nothing else is said."""
    found = definition.describe(xml)
    active = state not in (GONE, "stopped")
    vm = seen.described(Domain(found.name, found.uuid, host, state, active), found, {})
    if not active or found.made is None:
        return vm
    return replace(vm, interfaces=with_recorded(vm.interfaces, found.made.addresses))
