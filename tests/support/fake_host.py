# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in memory: libvirt, QEMU's and libguestfs's work are fakes; journal and files are real."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest
from maglica import _deps
from maglica.config.config import HostWorker
from maglica.disk import chain, qemu_img, qemu_io
from maglica.disk.partitions import Patch
from maglica.guest import ssh_keys
from maglica.guest.appliance import accel
from maglica.guest.appliance.appliance import Drive
from maglica.guest.cloud_init.way import way
from maglica.guest.customize import Guest
from maglica.guest.facts import GuestFacts, Mount, Seen
from maglica.guest.identity import HostKey
from maglica.guest.prepare import Prepared
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext, key_folder
from maglica.host_worker.job.image import look
from maglica.host_worker.job.vm import clone
from maglica.host_worker.journal.journal import Journal
from maglica.model.errors import GuestUnsupported, MaglicaError
from maglica.model.request import Customize, Request, Spec, State, new_request_id
from maglica.verbs.clone import CloneSpec
from support import fake_libvirt
from support.fake_libvirt import Connection, Domain

IMAGE = "debian.original"
NAMES = ("vm0.example.jp", "vm1.example.jp", "vm2.example.jp")
FACTS = GuestFacts((Mount("/", "/dev/sda"),), "debian", "12", "ifupdown", "i", "", shared=True)
# An image without cloud-init.
SEEN = Seen("debian", "12", "ifupdown", "ext4", cloud_init="is not there")
DEFINITION = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os{firmware}><type arch='x86_64'>hvm</type>{nvram}</os>
  <devices>{disks}<interface type='network'><source network='default'/></interface></devices>
</domain>
"""
DISK = """
<disk type='file' device='disk'>
  <driver name='qemu' type='{format}'/><source file='{path}'/><target dev='{target}' bus='virtio'/>
</disk>
"""


class Killed(BaseException):
    """The process is gone: nothing that would clean up runs."""


def prepared(seen: Seen, asked: Customize | None, facts: GuestFacts = FACTS) -> Prepared:
    """What comes of a look at a guest of which that is found."""
    try:
        chosen = None if asked is None else way(asked, seen.cloud_init, seen.offline).way
    except GuestUnsupported:
        chosen = None
    return Prepared(seen, chosen, facts if chosen is Customize.OFFLINE else None)


class FakeHost:
    """The host of a test. ``copied``, ``prepared``, ``batches`` and ``grown`` tell what was done on
    it; ``facts`` are those of every guest, and ``seen`` is what looks find of it; ``head`` is what
    every base's disk begins with.

    ``events`` counts the side effects and what announces them, from whichever thread; at number
    ``kill_at`` the process ends, with all its threads. ``broken`` maps a step ("copy", "prepare",
    "keys", "grow", "customize") to the error it raises.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        self.connection = Connection()
        self.pool = self.connection.add_pool("default", folder / "pool").path
        self.copied: list[str] = []
        self.prepared: list[list[str]] = []
        self.batches: list[list[str]] = []
        self.guests: dict[str, Guest] = {}
        self.facts = replace(FACTS, ssh_host_keys=("ed25519",))
        self.seen = SEEN
        self.head = b""
        self.heads_read = 0
        self.grown: dict[str, tuple[str, int, Sequence[Patch]]] = {}
        self.broken: dict[str, MaglicaError] = {}
        self.unlucky: dict[str, MaglicaError] = {}
        self.events = 0
        self.kill_at = 0
        self._counting = threading.Lock()
        self.settings = HostWorker("kvm0.example.jp", Path("/key"), state_dir=self.state_dir)
        self.context = self.new_context()
        called = self.connection.called
        self.connection.called = lambda name: (self.event(), called(name))

    def new_context(self) -> JobContext:
        """Return what the next job process has."""
        journal = Journal(self.state_dir)
        context = JobContext(journal, self.settings, lambda line: None)
        context.connect = lambda: self.connection
        intend = journal.intend
        journal.intend = lambda *values: (self.event(), intend(*values))
        return context

    def event(self) -> None:
        with self._counting:
            self.events += 1
            if 0 < self.kill_at <= self.events:
                raise Killed

    def step(self, name: str) -> None:
        self.event()
        if name in self.broken:
            raise self.broken[name]

    def add_image(
        self,
        targets: Sequence[str] = ("vda",),
        name: str = IMAGE,
        nvram: str = "",
        firmware: str = "",
        *,
        uuid: str | None = None,
        metadata: str = "",
        size: int = 4096,
    ) -> Domain:
        disks = ""
        for target in targets:
            path = self.folder / f"{name}.{target}.img"
            path.write_bytes(b"x" * 4096)
            os.truncate(path, size)
            disks += DISK.format(format="raw", path=path, target=target)
        xml = DEFINITION.format(name=name, disks=disks, nvram=nvram, firmware=firmware)
        if uuid is not None:
            identity = f"</name><uuid>{uuid}</uuid><metadata>{metadata}</metadata>"
            xml = xml.replace("</name>", identity)
        return self.connection.defineXML(xml)

    def request(self, name: str = "vm0.example.jp", **changes: Any) -> Request:
        spec = replace(CloneSpec(name, IMAGE), **changes)
        return self.asked(spec)

    def asked(self, spec: Spec) -> Request:
        """Have the journal accept a request."""
        request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
        self.context.journal.accept([request])
        return request

    def next_job(self, request: Request) -> Request:
        """Run the next job of a request, in a process of its own; return the request then."""
        self.kill_at = 0
        self.context = self.new_context()
        main.run([request.id], self.context)
        return self.now(request)

    def dies(self, request: Request, number: int, jobs: int = 1) -> bool:
        """Run the next jobs of a request, of which one dies at that event; tell whether it did,
        and they have not ended before.
        """
        self.events, self.kill_at = 0, number
        self.context = self.new_context()
        try:
            for _job in range(jobs):
                main.run([request.id], self.context)
        except Killed:
            return True
        return False

    def run(self, *requests: Request) -> list[Request]:
        """Run a job; return the requests as they are afterwards."""
        clone.run(requests, self.context)
        return [self.now(request) for request in requests]

    def now(self, request: Request) -> Request:
        return self.context.journal.entry(request.id).request

    def state(self, request: Request) -> State:
        return self.now(request).state

    def volumes(self) -> list[str]:
        return sorted(path.name for path in self.pool.iterdir())

    def clones(self) -> list[str]:
        # Sorted: vms of one batch are defined side by side, in any order.
        names = (domain.name() for domain in self.connection.domains)
        return sorted(name for name in names if name != IMAGE)

    def bases(self) -> list[str]:
        return [name for name in self.volumes() if name.startswith("maglica-base.")]

    # --- what stands for QEMU, ssh-keygen and libguestfs

    def lay_over(self, below: chain.Layer, path: str) -> None:
        Path(path).write_bytes(b"overlay of " + below.path.encode())

    def copy(
        self,
        layers: chain.Chain,
        target: str,
        alive: Callable[[], None],
        overlay: chain.Layer | None = None,
    ) -> None:
        self.copied.append(layers[0].path)
        self.step("copy")

    def prepare(
        self,
        drives: Sequence[Drive],
        asked: Customize | None,
        use_kvm: bool,
        alive: Callable[[], None],
    ) -> Prepared:
        self.prepared.append([drive.path for drive in drives])
        self.step("prepare")
        return prepared(self.seen, asked, self.facts)

    def read_head(self, layer: chain.Layer, length: int) -> bytes:
        assert Path(layer.path).name in self.bases()
        self.heads_read += 1
        return self.head[:length]

    def grow(self, path: str, disk_format: str, size: int, patches: Sequence[Patch]) -> None:
        assert Path(path).exists()
        self.step("grow")
        self.grown[Path(path).name] = (disk_format, size, patches)

    def customize(
        self, guests: Sequence[Guest], facts: GuestFacts, use_kvm: bool, alive: Callable[[], None]
    ) -> dict[str, MaglicaError | None]:
        self.batches.append([guest.key for guest in guests])
        self.step("customize")
        self.guests.update({guest.key: guest for guest in guests})
        return {guest.key: self.unlucky.get(guest.key) for guest in guests}

    def host_keys(self, types: Sequence[str], hostname: str, folder: Path) -> tuple[HostKey, ...]:
        (folder / "left-over").touch()
        self.step("keys")
        return tuple(
            HostKey(kind, b"PRIVATE", f"ssh-{kind} {'A' * 68} {hostname}") for kind in types
        )


def assert_clean(host: FakeHost, *requests: Request) -> None:
    """Nothing of these requests is left, in libvirt, on the disk or in the journal."""
    assert host.clones() == []
    assert host.volumes() == host.bases()
    ready = [base for base in host.context.journal.bases() if base.state == "ready"]
    known = [disk.name for base in ready for disk in base.disks]
    assert host.bases() == sorted(known)
    assert len(ready) == len(host.context.journal.bases())
    for request in requests:
        assert host.context.journal.intents(request.id) == ()
        assert not key_folder(host.context, request.id).exists()


@pytest.fixture
def own_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the libvirt in memory in the place of the binding, which need not be installed."""
    monkeypatch.setitem(_deps._PACKAGES, "libvirt", (lambda: fake_libvirt, "the fake"))


@pytest.fixture
def host(tmp_path: Path, own_libvirt: None, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    made = FakeHost(tmp_path)
    monkeypatch.setattr(qemu_img, "copy", made.copy)
    monkeypatch.setattr(qemu_img, "lay_over", made.lay_over)
    monkeypatch.setattr(qemu_img, "head", made.read_head)
    monkeypatch.setattr(qemu_io, "grow", made.grow)
    monkeypatch.setattr(look, "prepare_base", made.prepare)
    monkeypatch.setattr(clone, "customize", made.customize)
    monkeypatch.setattr(ssh_keys, "host_keys", made.host_keys)
    monkeypatch.setattr(accel, "kvm_works", lambda setting, state_dir: False)
    return made
