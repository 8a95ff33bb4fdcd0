# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a vm to the wanted state: looks at the hosts and the open requests, has vm_plan.py decide,
submits what it says and waits for it.

Nothing is changed but by requests to the client worker, so that a caller which dies, or is run
again, finds the work where it stands.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import errors, fleet, vm_plan, vm_view
from .config import HostEntry
from .errors import LibvirtFailed, RequestCancelled, RequestConflict, RequestTimeout, VmUnknown
from .fleet_values import Domain, Found
from .model import CloneSpec, Kind, Placement, Request, Spec, State, new_request_id
from .vm_plan import Plan, Presence, Step, Wanted

OPEN = tuple(state for state in State if not state.ended)
# How often what other requests do to the vm is waited for before that is an error.
_ROUNDS = 3

OnChange = Callable[[Request], None]


class WaitFor(str, enum.Enum):
    """When a vm that shall run is ready: its request is done, the vm is seen to run on its host,
    or it has an address."""

    CLONED = "cloned"
    RUNNING = "running"
    ADDRESS = "address"


@dataclass(frozen=True)
class Waiting:
    """How long to wait for what; ``timeout`` is in seconds for all together."""

    wait: bool = True
    until: WaitFor = WaitFor.RUNNING
    timeout: float = 1800


@dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be. ``vm`` and ``request`` are plain data."""

    changed: bool
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    vm: dict[str, Any] | None = None
    request: Request | None = None


class Requests(Protocol):
    """What is needed of ``wire.client.Client``."""

    def submit(self, kind: Kind, spec: Spec, request_id: str | None = None) -> Request: ...

    def plan(self, spec: CloneSpec) -> Placement: ...

    def list(
        self, states: tuple[State, ...] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]: ...

    def cancel(self, request_id: str) -> Request: ...

    def wait(
        self, request_id: str, timeout: float, on_change: OnChange | None = None
    ) -> Request: ...


class Hosts(Protocol):
    """What is needed of the hosts' libvirtds; ``Fleet`` is the real one."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def find_vm(self, name: str) -> Found: ...

    def wait_address(self, host: str, uuid: str, timeout: float) -> Domain: ...


@dataclass(frozen=True)
class Fleet:
    """The hosts of the configuration, each read within ``timeout`` seconds."""

    hosts: tuple[HostEntry, ...]
    timeout: float = 10.0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    def find_vm(self, name: str) -> Found:
        return fleet.find_vm(self.hosts, name, self.timeout)

    def wait_address(self, host: str, uuid: str, timeout: float) -> Domain:
        entry = next(entry for entry in self.hosts if entry.name == host)
        return fleet.wait_address(entry, uuid, timeout)


class Task:
    """One run for one vm: what it uses, and its deadline from now on."""

    def __init__(
        self, client: Requests, hosts: Hosts, waiting: Waiting, on_change: OnChange | None = None
    ) -> None:
        self._client = client
        self._hosts = hosts
        self._waiting = waiting
        self._on_change = on_change
        self._ends = time.monotonic() + waiting.timeout

    def foresee(self, wanted: Wanted) -> Outcome:
        """Return what ``bring`` would do, with the host that a clone would be made on."""
        plan = self._plan(wanted)
        after = dict(plan.after)
        for step in plan.steps:
            if isinstance(step.spec, CloneSpec):
                after["host"] = self._client.plan(step.spec).host
        vm = vm_view.of_domain(plan.existing) if plan.existing else None
        if wanted.state is Presence.ABSENT:
            vm = None
        elif plan.changed:
            vm = {**(vm or {"name": wanted.name}), **vm_view.planned(after)}
        return Outcome(plan.changed, plan.before, after, vm, plan.joined)

    def bring(self, wanted: Wanted) -> Outcome:
        """Make the vm as ``wanted``; wait for it as asked.

        Raises the error that a request failed with, RequestTimeout when the time is over (what was
        submitted goes on), and what vm_plan.decide raises.
        """
        plan = self._plan(wanted)
        changed, before = plan.changed, plan.before
        request = None
        for _round in range(_ROUNDS):
            if plan.joined is None:
                break
            if plan.cancel:
                self._client.cancel(plan.joined.id)
            if not self._waiting.wait:
                vm = _promised(wanted, plan.joined)
                return Outcome(changed, before, plan.after, vm, plan.joined)
            request = self._wait(plan.joined) if plan.ours else self._wait_for_end(plan.joined)
            plan = self._plan(wanted)
            changed = changed or plan.changed
        if plan.joined is not None:
            raise RequestConflict(f"vm {wanted.name} is made anew by other requests all the time")
        for step in plan.steps:
            request = self._submit(step)
            if self._waiting.wait:
                request = self._wait(request)
        after = dict(plan.after)
        if request is not None and wanted.state is not Presence.ABSENT:
            after["host"] = request.host
        vm = self._vm(wanted, plan, request)
        return Outcome(changed, before, after, vm, request)

    def _plan(self, wanted: Wanted) -> Plan:
        vm_plan.validate(wanted)
        vm_plan.check_host(wanted, self._hosts.names)
        # The requests first: one that ends in between has left its vm to be found.
        open_clones = [
            request
            for request in self._client.list(OPEN, 1000, wanted.name)
            if request.name == wanted.name and request.kind is Kind.CLONE
        ]
        found = self._hosts.find_vm(wanted.name)
        return vm_plan.decide(wanted, found, next(iter(open_clones), None))

    def _submit(self, step: Step) -> Request:
        request = self._client.submit(step.kind, step.spec, new_request_id())
        if self._on_change:
            self._on_change(request)
        return request

    def _wait(self, request: Request) -> Request:
        ended = self._wait_for_end(request)
        if ended.failure is not None:
            raise errors.from_code(ended.failure.code, ended.failure.text)
        if ended.state is State.CANCELLED:
            raise RequestCancelled(
                f"request {ended.id} ({ended.kind.value} {ended.name}) was cancelled"
            )
        return ended

    def _wait_for_end(self, request: Request) -> Request:
        seen = request

        def note(newer: Request) -> None:
            nonlocal seen
            seen = newer
            if self._on_change:
                self._on_change(newer)

        try:
            return self._client.wait(request.id, self._left(), note)
        except RequestTimeout:
            where = f" on host {seen.host}" if seen.host else ""
            phase = f" in phase {seen.phase}" if seen.phase else ""
            raise RequestTimeout(
                f"cannot wait longer for vm {seen.name}: request {seen.id} is"
                f" {seen.state.value}{phase}{where} after {self._waiting.timeout:g} s; it goes on,"
                " and the same task joins it when it is run again"
            ) from None

    def _vm(self, wanted: Wanted, plan: Plan, request: Request | None) -> dict[str, Any] | None:
        if wanted.state is Presence.ABSENT:
            return None
        if request is None:
            if plan.existing is None:
                return None
            domain = plan.existing
        elif not self._waiting.wait:
            return _promised(wanted, request)
        elif self._waiting.until is WaitFor.CLONED and request.vm is not None:
            return vm_view.of_result(request.vm, request)
        else:
            domain = self._read(request)
        if self._waits_for_run(wanted, plan, domain):
            domain = self._wait_ready(domain)
        return vm_view.of_domain(domain, request)

    def _read(self, request: Request) -> Domain:
        found = self._hosts.find_vm(request.name)
        for domain in found.domains:
            if domain.host == request.host:
                return domain
        silent = "; ".join(f"host {host.host}: {host.text}" for host in found.unreachable)
        raise VmUnknown(
            f"request {request.id} is done, but vm {request.name} is not seen on host"
            f" {request.host}" + (f" ({silent})" if silent else "")
        )

    def _waits_for_run(self, wanted: Wanted, plan: Plan, domain: Domain) -> bool:
        if not self._waiting.wait or wanted.state is Presence.STOPPED:
            return False
        made_to_run = any(step.kind in (Kind.CLONE, Kind.START) for step in plan.steps)
        return wanted.state is Presence.RUNNING or made_to_run or domain.active

    def _wait_ready(self, domain: Domain) -> Domain:
        if not domain.active:
            raise LibvirtFailed(
                f"vm {domain.name} was started on host {domain.host}, but is {domain.state}"
            )
        if self._waiting.until is not WaitFor.ADDRESS or domain.address:
            return domain
        addressed = self._hosts.wait_address(domain.host, domain.uuid, self._left())
        if not addressed.address:
            raise RequestTimeout(
                f"vm {domain.name} runs on host {domain.host}, but has no address after"
                f" {self._waiting.timeout:g} s; its first boot may take longer, or its network"
                " has no DHCP server that libvirt knows of"
            )
        return addressed

    def _left(self) -> float:
        return max(self._ends - time.monotonic(), 0)


def _promised(wanted: Wanted, request: Request) -> dict[str, Any] | None:
    """Return what is known of a vm while the request for it goes on."""
    if wanted.state is Presence.ABSENT:
        return None
    return {"name": wanted.name, "host": request.host}
