# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of this host as the result of a request shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....domain import definition, nics, seen, size
from ....domain.definition import Definition
from ....libvirtd.addresses import with_recorded
from ....libvirtd.facts import bridge_of
from ....libvirtd.local import inactive_xml, state_of
from ....model.vm import Domain

GONE = "absent"


def vm_of(domain: Any, host: str) -> Domain:
    """Return what there is to say of a domain (virDomain) of this host; costs three calls, of one
    that runs four.

    Of its addresses those are known that it was given.
    """
    return _vm(domain, host, *_definitions(domain))


def with_next_start(domain: Any, host: str) -> Domain:
    """Return a domain of this host with the sizes and interfaces that it has at its next start."""
    live, later, state = _definitions(domain)
    now = _vm(domain, host, live, later, state)
    if not (now.active and domain.isPersistent()):
        return now
    _same, waiting = nics.settled(now.interfaces, later.interfaces, bridge_of(domain))
    if waiting is None:
        # The definition has the names, what runs has the addresses.
        named = zip(later.interfaces, now.interfaces)
        same = tuple(replace(each, addresses=runs.addresses) for each, runs in named)
        now = replace(now, interfaces=same)
    return replace(now, next_interfaces=waiting).sized(*size.after(live, later))


def as_it_runs(domain: Any, host: str) -> Domain:
    """Return a domain of this host with what is noted of it as it runs: that may be older than what
    its definition says.
    """
    return of_definition(domain.XMLDesc(), host, state_of(domain))


def of_definition(xml: str, host: str, state: str = GONE) -> Domain:
    """Return the vm that the domain XML ``xml`` defines, as gone if nothing else is said."""
    return _described(definition.describe(xml), host, state)


def _definitions(domain: Any) -> tuple[Definition, Definition, str]:
    """Return how a domain is, how it is at its next start, and its state."""
    state = state_of(domain)
    now = definition.describe(domain.XMLDesc())
    later = definition.describe(inactive_xml(domain)) if _is_active(state) else now
    return now, later, state


def _vm(domain: Any, host: str, now: Definition, later: Definition, state: str) -> Domain:
    vm = _described(definition.noted(now, later), host, state)
    return replace(vm, autostart=bool(domain.autostart()))


def _described(found: Definition, host: str, state: str) -> Domain:
    active = _is_active(state)
    vm = seen.described(Domain(found.name, found.uuid, host, state, active), found, {})
    if not active or found.made is None:
        return vm
    return replace(vm, interfaces=with_recorded(vm.interfaces, found.made.addresses))


def _is_active(state: str) -> bool:
    return state not in (GONE, "stopped")
