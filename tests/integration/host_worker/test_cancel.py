# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of work but clones, stops and removals, cancelled at its points by both workers.

Domains, volumes and disks are those of a real libvirtd with QEMU.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.disk import chain, volumes
from maglica.domain import definition
from maglica.host_worker.journal.bases import MAKING, READY, Base, BaseDisk
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from support import qemu_libvirtd
from support.client_worker import Worker, eventually
from support.host_worker import HOST, Cell, HostWorker
from support.own_libvirtd import IMAGE_UUID, MADE
from support.reports import IMAGE

MIB = 1 << 20
NAME = "vm0.example.jp"
UUID = vm_uuid("r")
POOL = "<pool type='dir'><name>default</name><target><path>{path}</path></target></pool>"


class Rig(Cell):
    """Both workers and a libvirtd with an image, a vm upon the file ``below``, and ``pool``."""

    def __init__(self, worker: Worker, host: HostWorker, connection: libvirt.virConnect) -> None:
        super().__init__(worker, host, connection)  # type: ignore[arg-type]
        self.pool = host.folder / "pool"
        self.pool.mkdir()
        self.below = self.pool / "below.qcow2"
        self.disk = self.pool / f"{volumes.of_vm(NAME, 'vda', UUID)}.qcow2"
        disk = host.folder / "image.raw"
        disk.write_bytes(os.urandom(8 * MIB))
        run("qemu-img", "create", "-f", "qcow2", self.below, "8M")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 65 0 4M", self.below)
        run("qemu-img", "create", "-f", "qcow2", "-b", self.below, "-F", "qcow2", self.disk)
        self.handle = connection.storagePoolDefineXML(POOL.format(path=self.pool))
        self.handle.create()

        def define(name: str, kind: str, path: Path, identity: str) -> libvirt.virDomain:
            disks = {"vda": (kind, path)}
            return connection.defineXML(qemu_libvirtd.definition(name, disks, identity=identity))

        define(IMAGE, "raw", disk, f"<uuid>{IMAGE_UUID}</uuid>")
        volume = f"target='vda' pool='default' name='{self.disk.name}' path='{self.disk}'"
        own = MADE.replace("/>", f" base='e5f60718'><maglica:volume {volume}/></maglica:vm>")
        made = f"<uuid>{UUID}</uuid><metadata>{own}</metadata>"
        self.vm = define(NAME, "qcow2", self.disk, made)

    def submit(self, kind: str, **fields: Any) -> Request:
        verb = table.named(kind)
        pinned = {"image": IMAGE} if verb.about == "image" else {"name": NAME, "uuid": UUID}
        spec = verb.spec(host=HOST, **pinned, **fields)
        return self.client.request("submit", id=new_request_id(), kind=kind, spec=spec)

    def cancelled_at(self, point: str, kind: str, **fields: Any) -> None:
        """Let work come to a point and cancel it there; nothing is announced any more then."""
        self.host.stop_at(point)
        request = self.submit(kind, **fields)
        process = self.host.reached()
        self.client.request("cancel", id=request.id)
        self.host.wait_killed(process)
        assert self.ended(request).state is State.CANCELLED
        assert self.host.journal().intents(request.id) == ()

    def done(self, kind: str, **fields: Any) -> None:
        request = self.ended(self.submit(kind, **fields))
        assert request.state is State.DONE, request.failure

    @property
    def run_number(self) -> int:
        """The number of the vm's present run; one handle always tells the same."""
        return self.libvirtd.lookupByUUIDString(UUID).ID()

    def names(self) -> set[str]:
        return {path.name for path in self.pool.iterdir()}

    def remove(self) -> None:
        for domain in self.libvirtd.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        self.handle.destroy()
        self.handle.undefine()


def run(*words: object) -> None:
    subprocess.run([*map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: sockets lie in it."""
    made = Path(tempfile.mkdtemp(prefix="maglica-cancel-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def uri(folder: Path) -> Iterator[str]:
    with qemu_libvirtd.running(folder / "libvirtd") as made:
        yield made


@pytest.fixture
def rig(uri: str, tmp_path: Path, worker: Worker) -> Iterator[Rig]:
    connection = libvirt.open(uri)
    host = HostWorker(tmp_path / "host", worker, uri)
    host.allow()
    host.pass_points()
    (host.points / "without-appliance").touch()
    made = Rig(worker, host, connection)
    try:
        made.start()
        yield made
    finally:
        host.close()
        made.close()
        made.remove()
        connection.close()


@pytest.mark.parametrize(
    "point", ["base/begin", "base/announced-look", "base/announced-base", "base/before-copy"]
)
def test_an_image_that_is_prepared(rig: Rig, point: str) -> None:
    before = rig.names()
    rig.cancelled_at(point, "prepare")
    assert rig.names() == before
    assert rig.host.journal().bases() == ()


def add_base(rig: Rig) -> str:
    """Let there be a base that no vm builds upon; return its volume's name."""
    name = "maglica-base.0123456789ab.0a1b2c3d.vda.qcow2"
    path = rig.pool / name
    run("qemu-img", "create", "-f", "qcow2", path, "8M")
    disks = (BaseDisk("vda", name, str(path), "qcow2"),)
    base = Base("0a1b2c3d", IMAGE, IMAGE_UUID, "0123456789ab", MAKING, "default", disks)
    rig.host.journal().add_base(base)
    rig.host.journal().update_base(base.id, state=READY, facts=None)
    return name


@pytest.mark.parametrize(("point", "is_left"), [("taken", True), ("ending", False)])
def test_bases_that_are_released(rig: Rig, point: str, is_left: bool) -> None:
    """What is removed is not made again; a base is in the journal as long as its volume is."""
    name = add_base(rig)
    rig.cancelled_at(point, "release")
    assert (name in rig.names()) is is_left
    assert len(rig.host.journal().bases()) == is_left
    rig.done("release")
    assert name not in rig.names()
    assert rig.host.journal().bases() == ()


@pytest.mark.parametrize("point", ["copy/begin", "copy/announced-pull", "copy/end"])
def test_a_vm_that_leaves_its_base(rig: Rig, point: str) -> None:
    rig.cancelled_at(point, "flatten")
    assert chain.backing_of(str(rig.disk)) == str(rig.below)
    run("qemu-io", "-f", "qcow2", "-c", "read -P 65 0 4M", rig.disk)
    rig.done("flatten")
    assert chain.backing_of(str(rig.disk)) is None
    run("qemu-io", "-f", "qcow2", "-c", "read -P 65 0 4M", rig.disk)


@pytest.mark.parametrize(("point", "is_changed"), [("define/begin", False), ("define/end", True)])
def test_a_vm_that_is_resized(rig: Rig, point: str, is_changed: bool) -> None:
    """A definition is changed as a whole or not at all, and stays so."""
    rig.cancelled_at(point, "resize", vcpus=2, memory_mib=96)
    size = (rig.vm.info()[3], rig.vm.maxMemory() >> 10)
    assert size == ((2, 96) if is_changed else (1, 64))
    rig.done("resize", vcpus=2, memory_mib=96)
    assert (rig.vm.info()[3], rig.vm.maxMemory() >> 10) == (2, 96)


@pytest.mark.parametrize(("point", "tags"), [("define/begin", ()), ("define/end", ("web",))])
def test_a_vm_that_gets_tags(rig: Rig, point: str, tags: tuple[str, ...]) -> None:
    rig.cancelled_at(point, "tag", tags=("web",))
    assert definition.describe(rig.vm.XMLDesc()).made.tags == tags
    rig.done("tag", tags=("web",))
    assert definition.describe(rig.vm.XMLDesc()).made.tags == ("web",)


@pytest.mark.parametrize(("point", "runs"), [("start/begin", False), ("start/end", True)])
def test_a_vm_that_is_started(rig: Rig, point: str, runs: bool) -> None:
    rig.cancelled_at(point, "start")
    assert bool(rig.vm.isActive()) is runs
    rig.done("start")
    eventually(rig.vm.isActive)


DEAF = {"force": True, "stop_timeout": 1}


@pytest.mark.parametrize("point", ["shutdown/end", "start/begin", "start/end"])
def test_a_vm_that_is_restarted(rig: Rig, point: str) -> None:
    """Whoever ends it between shutdown and start leaves no vm off that was on."""
    rig.vm.create()
    rig.cancelled_at(point, "restart", **DEAF)
    eventually(rig.vm.isActive)
    rig.done("restart", **DEAF)
    assert rig.vm.isActive()


@pytest.mark.parametrize("point", ["shutdown/end", "start/begin", "start/end"])
def test_a_restart_whose_job_is_killed_goes_on(rig: Rig, point: str) -> None:
    rig.vm.create()
    before = rig.run_number
    rig.host.stop_at(point)
    request = rig.submit("restart", **DEAF)
    process = rig.host.reached()
    os.kill(process, signal.SIGKILL)
    rig.host.wait_killed(process)
    ended = rig.ended(request)
    assert (ended.state, ended.vm and ended.vm.state) == (State.DONE, "running"), ended.failure
    # One that libvirtd has not started more than once.
    assert rig.run_number == before + 1
