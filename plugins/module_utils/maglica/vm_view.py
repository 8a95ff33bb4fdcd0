# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms and requests as plain data, in the names that the modules show to their users."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .fleet_values import Domain
from .model import Request, Vm
from .wire.schema import plain

# The states of a domain in the words of this library, where libvirt has others.
_STATES = {"shutoff": "stopped", "blocked": "running"}


def of_request(request: Request) -> dict[str, Any]:
    """Return a request as the modules show it: without its spec, with its whole time in seconds."""
    shown: dict[str, Any] = plain(replace(request, vm=None))
    for key in ("spec", "vm", "version", "cancelling"):
        del shown[key]
    shown["seconds"] = round(max(request.updated - request.created, 0), 3)
    return shown


def of_domain(domain: Domain) -> dict[str, Any]:
    """Return a vm as its host shows it."""
    return {
        "name": domain.name,
        "uuid": domain.uuid,
        "host": domain.host,
        "state": _STATES.get(domain.state, domain.state),
        "image": domain.image,
        "vcpus": domain.vcpus,
        "memory_mib": domain.memory_mib,
        "interfaces": plain(domain.interfaces),
        "address": domain.address,
        "addresses": [a for nic in domain.interfaces for a in nic.addresses],
        "disks": [disk.source for disk in domain.disks if disk.source],
    }


def of_result(vm: Vm) -> dict[str, Any]:
    """Return a vm as the result of a request has it."""
    addresses = [address for nic in vm.interfaces for address in nic.addresses]
    return {**plain(vm), "address": next(iter(addresses), None), "addresses": addresses}


def planned(after: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan says that a vm will be."""
    shown = {"memory": "memory_mib"}
    return {shown.get(key, key): value for key, value in after.items()}
