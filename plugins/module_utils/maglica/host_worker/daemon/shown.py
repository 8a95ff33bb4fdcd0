# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain of this host as lists show it: as its definition says, and what was last found of its
guest; pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...domain import seen
from ...libvirtd import addresses
from ...libvirtd.address_sources import AskedDomain
from ...libvirtd.host_reader import as_listed
from ...libvirtd.hosts import Host
from ...model.reported import AddressSource, ReportedDomain, ReportedInterface
from ...model.vm import Domain, Interface
from .definitions import Known
from .guest_looks import Look


def described(domain: Domain, known: Known, look: Look) -> Domain:
    """Return a domain, of which name and state are known, with what its definition says.

    It is an image if it can be one, whatever its name: which names are images' the reader says.
    """
    if known.definition is None:
        return as_listed(domain, lambda _name: True)
    found = seen.described(domain, known.definition, look.statistics.get(domain.uuid, {}))
    may_be = not (found.active or found.made or found.adopted)
    return replace(found, is_image=may_be or known.definition.is_made_image)


def reported(domain: Domain, known: Known, look: Look) -> ReportedDomain:
    """Return it with the addresses that each source knows."""
    found = look.addresses.get(domain.uuid, {}) if domain.active else {}
    fixed = addresses.with_recorded(domain.interfaces, _recorded(known) if domain.active else ())
    interfaces = tuple(
        ReportedInterface.of(each, _by_source(found.get(each.mac, {}), each)) for each in fixed
    )
    same: dict[str, Any] = {
        field.name: getattr(domain, field.name)
        for field in dataclasses.fields(ReportedDomain)
        if field.name not in ("interfaces", "next_vcpus", "next_memory_mib", "next_interfaces")
    }
    vcpus, memory_mib = known.after if domain.active else (None, None)
    return ReportedDomain(
        **same,
        interfaces=interfaces,
        next_vcpus=vcpus,
        next_memory_mib=memory_mib,
        next_interfaces=known.next_interfaces if domain.active else None,
    )


def asked(domain: Domain, known: Known) -> AskedDomain:
    """Return the guest as it is to be asked for its addresses; its handle is not known here."""
    bare = replace(domain.without_details(), interfaces=domain.interfaces)
    return AskedDomain(None, bare, known.on_network, known.agent)


def facts(host: Host | None) -> dict[str, Any]:
    """Return those fields of a report that tell what a look has found of the host."""
    if host is None:
        return {}
    return {
        "hostname": host.hostname,
        "libvirt_version": host.libvirt_version,
        "hypervisor_version": host.hypervisor_version,
        "pool_states": host.pools,
    }


def _by_source(
    found: Mapping[str, tuple[str, ...]], fixed: Interface
) -> Mapping[str, tuple[str, ...]]:
    return {**found, AddressSource.RECORDED.value: fixed.addresses} if fixed.addresses else found


def _recorded(known: Known) -> tuple[tuple[str, str], ...]:
    made = known.definition.made if known.definition else None
    return made.addresses if made else ()
