# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose worker is a thread of the test: real messages to a real client worker, and real
domains in libvirt's test driver, but no disks and no guests.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt
from maglica.config import config
from maglica.config.config import Config
from maglica.domain import definition
from maglica.domain.clone import ClonePlan, DiskSource
from maglica.domain.clone import clone as cloned
from maglica.fleet.by_libvirt import LibvirtFleet
from maglica.host_worker.job.vm import shown
from maglica.model.image import image_uuid
from maglica.model.request import DomainSummary, HostReport, ImageSummary, Request, State
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.clone import CloneSpec
from maglica.wire.client import Client
from support import testdriver
from support.client_worker import Worker, eventually
from support.reports import base, look, report
from support.simulated_acts import altered
from support.vm_suite import HOSTS, IMAGE

_MADE = (
    "<maglica:vm xmlns:maglica='https://maglica.cloud/xmlns/vm/1.0' image='{image}'"
    " request='{request}' created='1' who='alice' clone_mode='linked'/>"
)
_OPEN = tuple(state for state in State if not state.ended)
_PAUSE = 0.02
_HELLO = 0.2
# The bytes of a file that an image is made of.
FETCHED = 400 << 20


class SimulatedHost:
    """The host ``name``; ``held`` keeps it from working, ``failure`` ends its next request."""

    def __init__(self, worker: Worker, name: str, libvirtd: testdriver.Libvirtd) -> None:
        self.name = name
        self.uri = libvirtd.uri()
        self.held = False
        self.failure: dict[str, str] | None = None
        self._images: dict[str, ImageSummary] = {}
        # The images that have been looked at, all of which have a base.
        self._known: list[str] = []
        self._peer = worker.host(name)
        # The test driver forgets all when its last connection closes.
        self._connection = libvirt.open(self.uri)
        for domain in self._connection.listAllDomains():
            domain.destroy()
            domain.undefine()
        self.add(IMAGE, active=False, image=None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def add(self, name: str, active: bool, image: str | None) -> None:
        """Define a domain; ``image`` None: others made it."""
        request = f"{self.name}/{name}"
        metadata = _MADE.format(image=image, request=request) if image else ""
        uuid = vm_uuid(request) if image else None
        domain = self._connection.defineXML(
            testdriver.domain(name, len(name), identity=uuid, metadata=metadata)
        )
        if active:
            domain.create()

    def pause(self, name: str) -> None:
        self._connection.lookupByName(name).suspend()

    def names(self) -> list[str]:
        return sorted(domain.name() for domain in self._connection.listAllDomains())

    # --- the worker

    def _run(self) -> None:
        self._peer.listen()
        said = 0.0
        working: dict[str, Request] = {}
        over: set[str] = set()
        while not self._ended.is_set():
            if time.monotonic() - said > _HELLO:
                said = time.monotonic()
                states = dict.fromkeys(working, "running")
                welcome = self._hello(states)
                working.update({request.id: request for request in welcome["requests"]})
                self._cancel(working, welcome["cancel"])
            heard = self._peer.hear(0 if working and not self.held else _PAUSE)
            if heard is not None and heard[0] == "request":
                request = heard[1]["request"]
                # What a welcome has told may be published, too.
                if request.id not in over:
                    working[request.id] = request
            elif heard is not None:
                self._cancel(working, [heard[1]["id"]])
            if working and not self.held:
                request = working.pop(next(iter(working)))
                over.add(request.id)
                self._work(request)
        self._peer.deaf()
        self._peer.disconnect()

    def _cancel(self, working: dict[str, Request], ids: list[str]) -> None:
        for request_id in ids:
            request = working.pop(request_id, None)
            if request is not None:
                self._peer.tell("result", request, state="cancelled", phases=[])

    def _hello(self, states: dict[str, str]) -> dict[str, Any]:
        return self._peer.hello(self._report(), **states)

    def _report(self) -> HostReport:
        images, bases = tuple(self._images.values()), tuple(map(base, self._known))
        looks = tuple(map(look, self._known))
        return report(*self._domains(), images=images, bases=bases, looks=looks)

    def _domains(self) -> Iterator[DomainSummary]:
        for domain in self._connection.listAllDomains():
            found = definition.describe(domain.XMLDesc())
            yield DomainSummary(
                found.name,
                found.uuid,
                bool(domain.isActive()),
                not found.is_adopted,
                found.made is not None and not found.is_adopted,
                found.vcpus,
                found.memory_mib,
            )

    def _work(self, request: Request) -> None:
        self._peer.tell("ack", request)
        failure, self.failure = self.failure, None
        phases: list[dict[str, Any]] = [{"name": "copy", "seconds": 0.01}]
        self._peer.tell("progress", request, phase="copy", phases=[])
        if failure is not None:
            self._peer.tell("result", request, state="failed", phases=phases, failure=failure)
            return
        acts = {"add_image": self._added, "remove_image": self._removed}
        acts |= {"prepare": self._prepared, "inspect": self._prepared}
        more: dict[str, Any] = {}
        if request.kind in acts:
            phases = acts[request.kind](request)
        elif request.kind == "clone":
            more["vm"] = self._cloned(request)
        else:
            more["vm"] = altered(self._connection, request, self.name)
        # As a host does, whose report tells what a request has changed.
        self._hello({request.id: "running"})
        self._peer.tell("result", request, state="done", phases=phases, **more)

    def _cloned(self, request: Request) -> Domain:
        spec = request.spec
        assert isinstance(spec, CloneSpec)
        xml = self._connection.lookupByName(spec.image).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        plan = ClonePlan(
            name=spec.name,
            uuid=vm_uuid(request.id),
            image=spec.image,
            request=request.id,
            created=1,
            who=request.who,
            clone_mode=spec.clone_mode,
            disks={
                disk.target: DiskSource(f"/pool/{spec.name}.{disk.target}.qcow2")
                for disk in definition.describe(xml).copied_disks
            },
            interfaces=spec.interfaces,
            vcpus=spec.vcpus,
            memory_mib=spec.memory_mib,
            tags=spec.tags,
            description=spec.description,
            protected=spec.protected,
        )
        # The image's definition names its type; "test" is in the list of those that are cloned.
        domain = self._connection.defineXML(cloned(xml, plan))
        domain.setAutostart(int(spec.autostart))
        if spec.start:
            domain.create()
        if spec.start and spec.paused:
            domain.suspend()
        return shown.vm_of(domain, self.name)

    def _added(self, request: Request) -> list[dict[str, Any]]:
        """Make an image, whose file has FETCHED bytes; return the phases."""
        spec = request.spec
        assert isinstance(spec, AddImageSpec)
        there = self._images.get(spec.image)
        if there is not None and there.checksum == spec.checksum:
            return []
        for part in range(41):
            count = {"done": FETCHED * part // 40, "total": FETCHED}
            self._peer.tell("progress", request, phase="fetch", phases=[], **count)
        if there is None:
            uuid = image_uuid(request.id)
            self._connection.defineXML(testdriver.domain(spec.image, 7, identity=uuid))
            there = ImageSummary(spec.image, uuid, True, None, None, 0)
        self._images[spec.image] = replace(
            there, checksum=spec.checksum, origin=spec.origin.shown, versions=there.versions + 1
        )
        return [{"name": name, "seconds": 0.01} for name in ("fetch", "define")]

    def _removed(self, request: Request) -> list[dict[str, Any]]:
        self._connection.lookupByName(request.name).undefine()
        del self._images[request.name]
        return [{"name": "undefine", "seconds": 0.01}]

    def _prepared(self, request: Request) -> list[dict[str, Any]]:
        if request.name not in self._known:
            self._known.append(request.name)
        return [{"name": "base", "seconds": 0.01}]


class SimulatedCell:
    """A real client worker with two simulated hosts, and what vm_suite.py wants of them."""

    make_host = SimulatedHost

    def __init__(self, folder: Path, libvirtds: list[testdriver.Libvirtd]) -> None:
        self.worker = Worker(folder)
        self.worker.start()
        self.by_name = {
            name: self.make_host(self.worker, name, libvirtd)
            for name, libvirtd in zip(HOSTS, libvirtds)
        }
        self.config = self._write_config(folder)
        self.hosts = LibvirtFleet(self.config.hosts, timeout=30)
        self.client = Client(self.config)

    def _write_config(self, folder: Path) -> Config:
        where = self.worker.where
        pair = self.worker.grant("client", "alice")
        path = folder / "library.conf"
        secret = next(
            key
            for key in folder.glob("client.alice.*.key")
            if key.with_suffix(".pub").read_text().strip() == pair.public.decode()
        )
        lines = ["[client_worker]", f"address = {where.address}"]
        lines += [f"publish_port = {where.publish_port}", f"request_port = {where.request_port}"]
        lines += [f"public_key = {where.public_key}", "[library]", f"secret_key_file = {secret}"]
        for host in self.by_name.values():
            lines += [f"[host {host.name}]", f"uri = {host.uri}"]
        path.write_text("\n".join([*lines, ""]))
        return config.load(path)

    def start(self) -> None:
        """Let the hosts say hello, and wait until the client worker has heard them."""
        for host in self.by_name.values():
            host.start()
        self.client.__enter__()
        eventually(lambda: sum(host.alive for host in self.client.hosts()) == len(HOSTS))

    def close(self) -> None:
        with contextlib.suppress(AttributeError):
            self.client.__exit__(None, None, None)
        for host in self.by_name.values():
            host.stop()
        self.worker.close()

    def hold(self) -> None:
        for host in self.by_name.values():
            host.held = True

    def release(self) -> None:
        """Let the hosts work, once they have heard of all that was cancelled meanwhile."""
        eventually(lambda: not any(each.cancelling for each in self.client.list(_OPEN)))
        for host in self.by_name.values():
            host.held = False

    def fail_next(self, code: str, text: str) -> None:
        for host in self.by_name.values():
            host.failure = {"code": code, "text": text}

    def add(self, host: str, name: str, active: bool, image: str | None) -> None:
        self.by_name[host].add(name, active, image)

    def pause(self, host: str, name: str) -> None:
        self.by_name[host].pause(name)

    def silence(self, host: str) -> None:
        """Let the host's libvirtd be one that nobody serves."""
        entries = [
            config.HostEntry(entry.name, "test+tcp://127.0.0.1:1/default")
            if entry.name == host
            else entry
            for entry in self.config.hosts
        ]
        self.hosts = LibvirtFleet(tuple(entries), timeout=30)

    def defined(self, host: str) -> list[str]:
        return self.by_name[host].names()

    def find(self, name: str) -> Domain | None:
        return next(iter(self.hosts.find_vms({name}).domains), None)
