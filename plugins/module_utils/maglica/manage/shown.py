# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms and requests as plain data, in the names that the module maglica_vm shows to its users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..fleet import shown as fleet_shown
from ..model.plain import plain
from ..model.request import Request
from ..model.text import some
from ..model.vm import Domain, Interface
from ..verbs.table import Presence
from .target import Target

# How a vm was made a guest of its own, which only its host finds out.
CUSTOMIZED = ("customize", "customize_reason")


def of_request(request: Request) -> dict[str, Any]:
    """Return a request without its spec, and with its whole time in seconds."""
    shown: dict[str, Any] = plain(replace(request, vm=None))
    for key in ("spec", "vm", "version", "cancelling", "parent", "peer", "done", "total"):
        del shown[key]
    shown["seconds"] = round(max(request.updated - request.created, 0), 3)
    return shown


def of_member(target: Target) -> dict[str, Any]:
    """Return what was done for a vm: ``changed``, and ``vm`` and ``request`` if there are any."""
    shown: dict[str, Any] = {"changed": target.has_changed}
    if target.vm is not None:
        shown["vm"] = target.vm
    if target.request is not None:
        shown["request"] = of_request(target.request)
    if files := foreign_disks(target):
        shown["foreign_disks"] = files
    return shown


def foreign_disks(target: Target) -> list[str]:
    """Return the files of others that were removed with an adopted vm, or, as long as that is not
    done, that its host shall remove.
    """
    if target.wanted.state is not Presence.ABSENT or target.error is not None:
        return []
    vm = target.request.vm if target.request and target.done else None
    return list(vm.foreign_disks) if vm else target.before.get("foreign_disks", [])


def difference(target: Target) -> dict[str, dict[str, Any]]:
    """Return how a vm was and how it is, ``before`` and ``after``; both have the same keys."""
    nothing = dict.fromkeys({**target.before, **target.after})
    return {"before": {**nothing, **target.before}, "after": {**nothing, **target.after}}


def of_domain(domain: Domain) -> dict[str, Any]:
    """Return a vm as its host shows it, with all its addresses, and with the sizes that it runs
    with; ``next_start`` has those after its next start, if they are others.
    """
    sizes = {"vcpus": domain.vcpus, "memory_mib": domain.memory_mib}
    running = {"vcpus": domain.running_vcpus, "memory_mib": domain.running_memory_mib}
    needed = domain.restart_needed
    later: dict[str, Any] = dict(sizes)
    if domain.next_interfaces is not None:
        later["interfaces"] = list(map(fleet_shown.interface, domain.next_interfaces))
    shown = fleet_shown.vm(domain)
    # What a task returns is no older than what it did.
    del shown["report_age_s"]
    return {
        **shown,
        **(running if needed else sizes),
        "addresses": [address for nic in domain.interfaces for address in nic.addresses],
        "restart_needed": needed,
        "next_start": later if needed else None,
    }


def restart_warning(targets: Iterable[Target]) -> str | None:
    """Return which vms have other sizes or interfaces from their next start on, if any do."""
    waiting = [each.vm for each in targets if each.vm and each.vm.get("restart_needed")]
    if not waiting:
        return None
    vms = some([f"vm {vm['name']} on host {vm['host']} ({_waits(vm)})" for vm in waiting])
    return f"a restart is needed: {vms}; state=restarted or allow_restart=true does it"


def _waits(vm: dict[str, Any]) -> str:
    """Return what of a vm waits for its next start."""
    later = vm["next_start"]
    sizes = any(vm[key] != later[key] for key in ("vcpus", "memory_mib"))
    has_other = "it has other interfaces from its next start on"
    found = [_sizes(vm)] if sizes else []
    return "; ".join(found + ([has_other] if later.get("interfaces") else []))


def _sizes(vm: dict[str, Any]) -> str:
    def said(sizes: dict[str, Any]) -> str:
        plural = "" if sizes["vcpus"] == 1 else "s"
        return f"{sizes['vcpus']} vCPU{plural} and {sizes['memory_mib']} MiB"

    return f"it runs with {said(vm)}, and has {said(vm['next_start'])} from its next start on"


def unknown(name: str, host: str | None = None) -> dict[str, Any]:
    """Return a vm of which no more is known, with all that ``of_domain`` shows, without values."""
    nothing = of_domain(Domain(name, uuid="", host="", state="", active=False))
    unsaid = dict.fromkeys(("uuid", "state", "adopted", "protected", "restart_needed"))
    return {**nothing, **unsaid, "host": host}


def planned(after: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan says that a vm will be, as ``of_domain`` would show it."""
    if "interfaces" not in after:
        return after
    return {**after, "interfaces": [_planned_interface(nic) for nic in after["interfaces"]]}


def _planned_interface(nic: dict[str, Any]) -> dict[str, Any]:
    addresses = [address.partition("/")[0] for address in nic.get("addresses", ())]
    connected = nic.get("network") or nic.get("bridge")
    seen = Interface(nic.get("mac") or "", connected, tuple(addresses), nic.get("bridge"))
    told = {name: nic.get(name) for name in ("mac", "model", "link", "filter", "virtualport")}
    return {**fleet_shown.interface(seen), **told, "vlan": nic.get("vlan") or []}


def foreseen(target: Target) -> dict[str, Any]:
    """Return a vm as its plan says that it will be."""
    existing = target.plan.existing
    after = dict(planned(target.after)) if target.changed else {}
    goes_off = target.wanted.state in (Presence.STOPPED, Presence.RESTARTED)
    goes_off = goes_off or target.wanted.allow_restart
    if existing and existing.active and after:
        if goes_off:
            existing = replace(existing, restart_needed=False)
        else:
            # It runs on with the sizes that it has.
            existing = existing.sized(after.pop("vcpus"), after.pop("memory_mib"))
    shown = of_domain(existing) if existing else unknown(target.name)
    # A vm has the same keys always; what else the plan says of it is for the diff.
    return {key: after.get(key, value) for key, value in shown.items()}
