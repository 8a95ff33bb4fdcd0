# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at vms whose requests are done, and waits until they are as they shall be."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..fleet.snapshot import Found, place
from ..model.errors import (
    LibvirtFailed,
    MaglicaError,
    RequestTimeout,
    VmStopped,
    VmUnknown,
)
from ..model.request import Request
from ..model.text import some
from ..model.vm import Domain
from ..verbs import table
from ..verbs.table import Presence
from . import shown as vm_shown
from .ports import Hosts
from .target import Target, WaitFor, Waiting


class FinalWait:
    """What is waited for at the end of a task; ``ends`` is monotonic."""

    def __init__(self, hosts: Hosts, waiting: Waiting, ends: float) -> None:
        self._hosts = hosts
        self._waiting = waiting
        self._ends = ends

    def check(self, target: Target) -> None:
        """Raise VmStopped when an address is waited for that can't come, since the vm is off and
        shall stay so.
        """
        existing = target.plan.existing
        waits = self._waiting.wait and self._waiting.until.has_address
        if not waits or existing is None or existing.runs or target.plan.joined:
            return
        if target.wanted.state is Presence.PRESENT:
            raise VmStopped(
                f"vm {existing.name} on host {existing.host} is"
                f" {existing.state if existing.active else 'stopped'}, so that it gets no address:"
                " state=running starts it"
            )

    def show(self, targets: Sequence[Target]) -> None:
        """Note for each vm that shall be there what it is now, or what keeps it from being so."""
        shown = [m for m in targets if not m.error and m.wanted.state is not Presence.ABSENT]
        for target in shown:
            if target.request is not None:
                target.after["host"] = target.request.host
        if not self._waiting.wait:
            for target in shown:
                target.vm = _promised(target)
            return
        domains = {m.name: m.plan.existing for m in shown if m.plan.existing and not m.request}
        self._look([target for target in shown if target.request], domains)
        self._wait([target for target in shown if target.name in domains], domains)
        for target in shown:
            if target.name in domains:
                target.vm = vm_shown.of_domain(domains[target.name])
            if target.vm and target.vm["customize"] and "customize" in target.after:
                target.after.update((key, target.vm[key]) for key in vm_shown.CUSTOMIZED)

    def _look(self, targets: Sequence[Target], domains: dict[str, Domain]) -> None:
        """Read the vms of requests that are done, or take what the results say where that will do.

        One that is not seen is an error of its own.
        """
        read = []
        for target in targets:
            vm = target.request.vm if target.request else None
            # Of one that was resized while it runs, the result has the sizes of its next start.
            if self._waiting.until is WaitFor.CLONED and vm and not vm.restart_needed:
                target.vm = vm_shown.of_domain(vm)
            else:
                read.append(target)
        if not read:
            return
        found = self._hosts.find_vms({target.name for target in read})
        seen = {(domain.name, domain.host): domain for domain in found.domains}
        for target in read:
            request = target.request
            domain = seen.get((target.name, request.host or "")) if request else None
            if domain is not None:
                domains[target.name] = domain
            elif request is not None:
                target.error = _unseen(request, found)

    def _wait(self, targets: Sequence[Target], domains: dict[str, Domain]) -> None:
        """Wait for addresses if they are asked for; what does not run is an error of its own."""
        waiting = []
        for target in targets:
            domain = domains[target.name]
            if not _shall_run(target, domain):
                continue
            if not domain.runs:
                target.error = LibvirtFailed(
                    f"vm {domain.name} was started on host {domain.host}, but is {domain.state}"
                )
            elif self._waiting.until.has_address:
                # A fixed one is known before anything answers there.
                waiting.append(target)
        if not waiting:
            return
        lacking = [domains[target.name] for target in waiting]
        found = self._hosts.wait_addresses(
            {place(domain) for domain in lacking},
            max(self._ends - time.monotonic(), 0),
            self._waiting.until is WaitFor.SSH,
        )
        by_place = {place(domain): domain for domain in found.domains}
        for target in waiting:
            domain = domains[target.name]
            addressed = by_place.get(place(domain))
            if addressed is not None and addressed.address:
                domains[target.name] = addressed
            else:
                target.error = self._no_address(domain, addressed, found)

    def _no_address(self, domain: Domain, last: Domain | None, found: Found) -> MaglicaError:
        if last is None:
            silent = _silent(found)
            return VmUnknown(
                f"vm {domain.name} is not on host {domain.host} any more"
                + (f" ({silent})" if silent else "")
            )
        known = some([address for nic in last.interfaces for address in nic.addresses])
        if known and self._waiting.until is WaitFor.SSH:
            return RequestTimeout(
                f"vm {domain.name} runs on host {domain.host}, but no SSH server answers at {known}"
                f" after {self._waiting.timeout:g} s; it may not be up yet, or this machine can't"
                " reach that network: wait_for=address asks the host instead"
            )
        if known:
            return RequestTimeout(
                f"vm {domain.name} runs on host {domain.host}, but nothing answers at its fixed"
                f" address {known} after {self._waiting.timeout:g} s: the host's ARP table does not"
                " have it, and port 22 is silent from here; look at its addresses and its network"
            )
        return RequestTimeout(
            f"vm {domain.name} runs on host {domain.host}, but has no address after"
            f" {self._waiting.timeout:g} s; its first boot may take longer, or its network"
            " has no DHCP server that libvirt knows of"
        )


def _promised(target: Target) -> dict[str, object] | None:
    """Return what is known of a vm while the request for it goes on."""
    if target.request is not None:
        return vm_shown.unknown(target.name, host=target.request.host)
    existing = target.plan.existing
    return vm_shown.of_domain(existing) if existing else None


def _shall_run(target: Target, domain: Domain) -> bool:
    if target.wanted.state in (Presence.STOPPED, Presence.PAUSED):
        return False
    made_to_run = any(table.of(spec).runs_vm for spec in target.plan.steps)
    return target.wanted.state is Presence.RUNNING or made_to_run or domain.runs


def _unseen(request: Request, found: Found) -> MaglicaError:
    silent = _silent(found)
    return VmUnknown(
        f"request {request.id} is done, but vm {request.name} is not seen on host {request.host}"
        + (f" ({silent})" if silent else "")
    )


def _silent(found: Found) -> str:
    return "; ".join(f"host {host.host}: {host.text}" for host in found.unreachable)
