# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker and two hosts in memory; vm_suite.py holds it to what the real ones do.

A request is done as soon as somebody waits for it, unless the hosts are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Callable

from maglica.fleet.snapshot import Found, Place, place
from maglica.libvirtd.hosts import Unreachable
from maglica.model import errors
from maglica.model.plain import plain
from maglica.model.request import Failure, HostStatus, Phase, Placement, Request, State
from maglica.model.vm import Disk, Domain, vm_uuid
from maglica.verbs import table
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware import disks
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.hardware.set_boot_order import SetBootOrderSpec
from maglica.verbs.hardware.set_cdrom import SetCdromSpec
from maglica.wire import messages
from support.vm_suite import HOSTS, IMAGE

from . import fake_interfaces

_VM = {"vcpus": 1, "memory_mib": 64}
SETTINGS = ("autostart", "description", "protected")


class FakeCell:
    """The cell; it is its own client and its own hosts."""

    def __init__(self) -> None:
        self.client = self
        self.hosts = self
        self.domains: dict[tuple[str, str], Domain] = {}
        self.requests: dict[str, Request] = {}
        self._held = False
        self._failure: Failure | None = None
        self._silent: set[str] = set()
        self._times = count(1)
        # Addresses at which nothing answers, and for each wait whether SSH is to answer.
        self.deaf: set[str] = set()
        self.waited: list[bool] = []
        for host in HOSTS:
            self.add(host, IMAGE, active=False, image=None)

    # --- what the suite does to it

    def hold(self) -> None:
        self._held = True

    def release(self) -> None:
        self._held = False

    def fail_next(self, code: str, text: str) -> None:
        self._failure = Failure(code, text)

    def add(self, host: str, name: str, active: bool, image: str | None) -> None:
        uuid = vm_uuid(f"{host}/{name}")
        state = "running" if active else "stopped"
        made = image is not None
        self.domains[host, name] = Domain(
            *(name, uuid, host, state, active, made),
            is_image=not (made or active),
            image=image,
            interfaces=fake_interfaces.made(None, (), uuid),
            autostart=False,
            **_VM,
        )

    def pause(self, host: str, name: str) -> None:
        self.domains[host, name] = replace(self.domains[host, name], state="paused")

    def silence(self, host: str) -> None:
        self._silent.add(host)

    def defined(self, host: str) -> list[str]:
        return sorted(name for where, name in self.domains if where == host)

    # --- the hosts

    @property
    def names(self) -> tuple[str, ...]:
        return HOSTS

    def host(self, name: str) -> HostStatus | None:
        return None

    def find_vms(self, names: Container[str]) -> Found:
        found = (
            domain
            for (host, name), domain in sorted(self.domains.items())
            if name in names and host not in self._silent
        )
        silent = tuple(Unreachable(host, "no answer") for host in sorted(self._silent))
        return Found(tuple(found), silent)

    def wait_addresses(self, places: Collection[Place], timeout: float, ssh: bool = False) -> Found:
        self.waited.append(ssh)
        found = (
            replace(domain, address=None) if domain.address in self.deaf else domain
            for domain in self.domains.values()
            if place(domain) in places
        )
        return Found(tuple(found))

    # --- the client worker

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        bodies = [{"id": each.id, "kind": each.kind, "spec": each.spec} for each in requests]
        asked = messages.asked("submit", plain({"requests": bodies}))["requests"]
        # In the one form in which the client worker has it.
        requests = [replace(each, spec=read["spec"]) for each, read in zip(requests, asked)]
        placements = self.plan_all([each.spec for each in requests])
        accepted = []
        for each, placed in zip(requests, placements):
            request = replace(each, state=State.SENT, host=placed.host, created=next(self._times))
            self.requests[request.id] = request
            accepted.append(self._shown(request))
        return tuple(accepted)

    def plan_all(self, specs: Sequence[Any]) -> tuple[Placement, ...]:
        load = Counter({host: len(self.defined(host)) for host in HOSTS})
        placements = []
        for spec in specs:
            if not isinstance(spec, CloneSpec):
                self._check_room(spec)
                placements.append(Placement(spec.host, 0.5))
                continue
            found = ((h, self.domains.get((h, spec.image))) for h in HOSTS)
            with_image = [h for h, domain in found if domain and domain.is_image]
            if not with_image:
                raise errors.ImageUnknown(
                    f"cannot clone {spec.name}: no host has an image {spec.image}"
                )
            if any((h, spec.name) in self.domains for h in HOSTS):
                raise errors.NameTaken(f"cannot clone {spec.name}: it is there")
            if (spec.memory_mib or 0) > 1 << 20:
                raise errors.NoRoom(f"cannot clone {spec.name}: not enough memory")
            host = spec.host or min(with_image, key=load.__getitem__)
            load[host] += 1
            placements.append(Placement(host, 0.5))
        return tuple(placements)

    def _check_room(self, spec: Any) -> None:
        if (spec.new_memory_mib or 0) > 1 << 20:
            raise errors.NoRoom(f"cannot {spec.verb} {spec.name} on host {spec.host}: no room")
        if not table.of(spec).runs_vm:
            return
        domain = self.domains[spec.host, spec.name]
        if not domain.active and (domain.memory_mib or 0) > 1 << 20:
            raise errors.NoRoom(f"cannot {spec.verb} {spec.name} on host {spec.host}: no room")

    def list(
        self, states: tuple[State, ...] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]:
        found = [
            self._shown(request)
            for request in reversed(self.requests.values())
            if request.state in (states or tuple(State)) and name in (None, request.name)
        ]
        return tuple(found[:limit])

    def cancel(self, request_id: str) -> Request:
        request = self.requests[request_id]
        if self._held:
            return self._change(request, cancelling=True)
        return self._change(request, state=State.CANCELLED)

    def wait_all(
        self,
        request_ids: Iterable[str],
        timeout: float,
        on_change: Callable[[Request], None] | None = None,
        _on_quiet: object = None,
    ) -> dict[str, Request]:
        tell = on_change or (lambda request: None)
        ids = list(request_ids)
        for request_id in ids:
            request = self.requests[request_id]
            tell(self._shown(request))
            if self._held:
                continue
            if not request.state.ended:
                tell(self._change(request, state=State.RUNNING, phase="copy"))
                self._work(self.requests[request_id])
                tell(self._shown(self.requests[request_id]))
        return {request_id: self._shown(self.requests[request_id]) for request_id in ids}

    def _change(self, request: Request, **changes: object) -> Request:
        changes = {"version": request.version + 1, "updated": next(self._times), **changes}
        self.requests[request.id] = replace(request, **changes)
        return self._shown(self.requests[request.id])

    def _shown(self, request: Request) -> Request:
        return replace(request, spec=request.spec.without_secrets())

    def _work(self, request: Request) -> None:
        failure, self._failure = self._failure, None
        phases = (Phase("copy", 0.1),)
        if request.cancelling:
            self._change(request, state=State.CANCELLED, phase=None)
            return
        if failure is not None:
            self._change(request, state=State.FAILED, failure=failure, phase=None)
            return
        if isinstance(request.spec, CloneSpec):
            domain = self._made(request, request.spec)
        else:
            domain = self._altered(request.kind, request.spec)
        self._change(request, state=State.DONE, phases=phases, phase=None, vm=domain)

    def _made(self, request: Request, spec: CloneSpec) -> Domain:
        host = str(request.host)
        self.add(host, spec.name, active=spec.start, image=spec.image)
        sizes = {"vcpus": spec.vcpus or 1, "memory_mib": spec.memory_mib or 64}
        nics = fake_interfaces.made(spec.interfaces, spec.interface_devices, request.id)
        settings = {name: getattr(spec, name) for name in SETTINGS}
        described = self.domains[host, spec.image] if spec.description is None else spec
        settings["description"] = described.description or None
        drives = self.domains[host, spec.image].disks if spec.cdrom is None else ()
        domain = replace(
            self.domains[host, spec.name],
            **({"state": "paused"} if spec.start and spec.paused else {}),
            **settings,
            uuid=vm_uuid(request.id),
            interfaces=nics,
            tags=spec.tags,
            disks=(*disks.all_promised(spec.disks, spec.cdrom), *drives),
            boot_order=tuple(each.value for each in spec.boot_order),
            **sizes,
        )
        address = next((a for nic in nics for a in nic.addresses), None)
        domain = replace(domain, address=address)
        self.domains[host, spec.name] = domain
        return domain

    def _altered(self, kind: str, spec: Any) -> Domain:
        key = (spec.host, spec.name)
        domain = self.domains[key]
        if kind == "remove":
            return replace(self.domains.pop(key), state="absent", active=False)
        if kind == "resize":
            sizes = (spec.vcpus or domain.vcpus, spec.memory_mib or domain.memory_mib)
            if spec.allow_restart:
                domain = replace(domain, running_vcpus=None, running_memory_mib=None)
                domain = replace(domain, vcpus=sizes[0], memory_mib=sizes[1])
            domain = domain.sized(*sizes)
        elif kind in ("adopt", "disown"):
            is_ours = kind == "adopt"
            theirs = not (is_ours or domain.active)
            domain = replace(domain, adopted=is_ours, is_image=theirs, tags=())
        elif kind == "set":
            said = {name: getattr(spec, name) for name in SETTINGS}
            said = {name: value for name, value in said.items() if value is not None}
            domain = replace(domain, **said)
            domain = replace(domain, description=domain.description or None)
        elif kind == "pause":
            domain = replace(domain, active=True, state="paused")
        elif kind in _ACTS:
            domain = _ACTS[kind](domain, spec)
        else:
            active = kind in ("start", "restart")
            domain = replace(domain, active=active, state="running" if active else "stopped")
            if kind != "start":
                domain = replace(domain, running_vcpus=None, running_memory_mib=None)
                nics = domain.later_interfaces
                domain = replace(domain, interfaces=nics, next_interfaces=None)
                domain = domain.sized(domain.vcpus, domain.memory_mib)
        self.domains[key] = domain
        return domain


def _add_disk(domain: Domain, spec: AddDiskSpec) -> Domain:
    kept = tuple(name for name in domain.kept_disks if name != spec.disk.name)
    return replace(domain, disks=(*domain.disks, disks.promised(spec.disk)), kept_disks=kept)


def _grow_disk(domain: Domain, spec: GrowDiskSpec) -> Domain:
    grown = (
        replace(disk, capacity_bytes=spec.size_mib << 20) if disk.name == spec.disk else disk
        for disk in domain.disks
    )
    return replace(domain, disks=tuple(grown))


def _detach_disk(domain: Domain, spec: DetachDiskSpec) -> Domain:
    left = tuple(disk for disk in domain.disks if disk.name != spec.disk)
    return replace(domain, disks=left, kept_disks=(spec.disk,) if spec.keep else ())


def _set_cdrom(domain: Domain, spec: SetCdromSpec) -> Domain:
    left = tuple(disk for disk in domain.disks if disk.device != "cdrom")
    source = spec.medium and spec.medium.source
    return replace(domain, disks=(*left, Disk("sda", "cdrom", source=source)))


def _set_boot_order(domain: Domain, spec: SetBootOrderSpec) -> Domain:
    return replace(domain, boot_order=tuple(each.value for each in spec.boot_order))


_ACTS: dict[str, Callable[[Domain, Any], Domain]] = {
    "tag": lambda domain, spec: replace(domain, tags=spec.tags),
    "flatten": lambda domain, _spec: replace(domain, clone_mode="full", base=None),
    "add_disk": _add_disk,
    "grow_disk": _grow_disk,
    "detach_disk": _detach_disk,
    "add_interface": fake_interfaces.added,
    "change_interface": fake_interfaces.changed,
    "remove_interface": fake_interfaces.removed,
    "set_cdrom": _set_cdrom,
    "set_boot_order": _set_boot_order,
}
