# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host for the clone benchmark: a real libvirtd, both workers, and images of real Debian."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import libvirt
from guests import recipes
from guests.build import CACHE
from guests.cases import EACH_WAY
from maglica.config import config
from maglica.disk import partitions
from maglica.guest.appliance import accel
from maglica.model.request import Request, Spec, State, new_request_id
from maglica.wire.client import Client
from support import qemu_libvirtd
from support.client_worker import Worker, eventually
from support.host_worker import HOST, LIBRARY, HostWorker

DEVICES = (
    "<interface type='network'><source network='default'/><model type='virtio'/></interface>"
    "<serial type='pty'/>"
)
NETWORK = "<network><name>default</name></network>"
POOL = "<pool type='dir'><name>default</name><target><path>{path}</path></target></pool>"
IMAGE = "debian12.original"
PATIENCE = 1800.0
MEMORY_MIB = 32


class Rig:
    """The host, its pool, and a client of the client worker."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder = folder
        self.uri = uri
        self.pool = folder / "pool"
        self.pool.mkdir()
        self.connection = libvirt.open(uri)
        self.connection.networkDefineXML(NETWORK)
        self.connection.storagePoolDefineXML(POOL.format(path=self.pool)).create()
        self.worker = Worker(folder)
        self.host = HostWorker(folder / "host", self.worker, uri)
        # Each call of libguestfs is on record, so that launches and inspections can be counted.
        self.host.environment = {"PYTHONPATH": str(LIBRARY), "LIBGUESTFS_TRACE": "1"}
        self.host.allow()
        # What a user's own configuration says.
        self.config = self.worker.library("bench")
        with self.config.open("a") as file:
            file.write(f"[host {HOST}]\nuri = {uri}\n")
        self.client = Client(config.load(self.config))
        self.client.__enter__()

    def start(self, *images: str) -> None:
        """Start both workers, and wait until the host has told of these images."""
        self.worker.start()
        self.host.start()
        eventually(lambda: any(host.alive for host in self.client.hosts()), 60)
        eventually(lambda: set(images) <= self._reported(), 60)

    def _reported(self) -> set[str]:
        hosts = self.client.hosts()
        return {domain.name for host in hosts if host.alive for domain in host.report.domains}

    @property
    def libvirtd_pid(self) -> str:
        return (self.folder / "libvirtd/pid").read_text().strip()

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.host.close()
        self.worker.close()
        self.connection.close()

    def add_image(self, name: str, disk: Path) -> None:
        disks = {"vda": ("qcow2", disk)}
        self.connection.defineXML(
            qemu_libvirtd.definition(name, disks, memory_mib=MEMORY_MIB, devices=DEVICES)
        )

    def ask(self, *specs: Spec) -> tuple[list[Request], float]:
        """Ask for something; return the requests when all are done, and the seconds it took."""
        begun = time.perf_counter()
        asked = [Request(new_request_id(), spec) for spec in specs]
        requests = self.client.submit_all(asked)
        ended = [self.client.wait(request.id, PATIENCE) for request in requests]
        seconds = time.perf_counter() - begun
        for request in ended:
            if request.state is not State.DONE:
                raise SystemExit(f"{request.kind} {request.name}: {request.failure}")
        return ended, seconds

    def remove(self, requests: Sequence[Request]) -> None:
        """Remove vms and their disks by hand: this is no part of what is measured."""
        for request in requests:
            vm = request.vm
            if vm is None:
                raise SystemExit(f"request {request.id} made no vm")
            self.connection.lookupByUUIDString(vm.uuid).undefine()
            for disk in vm.disks:
                Path(disk.source or "").unlink()

    def traced(self, call: str) -> int:
        """Return how often this call of libguestfs was made so far."""
        return self.host.log.count(f"libguestfs: trace: {call}\n")


def debian() -> Path:
    """Return the disk of a Debian whose clones can be customized in each way, made if it lacks."""
    return recipes.build(EACH_WAY, CACHE)


def grown(disk: Path, target: Path, gib: int) -> Path:
    """Make a copy of ``disk`` of ``gib`` GiB, which its last file system fills."""
    raw = target.with_suffix(".raw")
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(disk), str(raw))
    with raw.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.truncate(gib << 30)
        for patch in _table(file, size).grown(_last(file, size).number, gib << 30):
            file.seek(patch.offset)
            file.write(patch.content)
        # The partition ends before the disk does, and so must what is in it.
        last = _last(file, gib << 30)
    offset, length = (
        sectors * partitions.SECTOR for sectors in (last.first, last.last + 1 - last.first)
    )
    part = ("--offset", str(offset), "--sizelimit", str(length))
    device = said("losetup", "--find", "--show", *part, str(raw))
    try:
        run("e2fsck", "-fp", device)
        run("resize2fs", device)
    finally:
        run("losetup", "--detach", device)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(target))
    raw.unlink()
    return target


def run(*command: str) -> float:
    """Run a program to its end; return the seconds."""
    begun = time.perf_counter()
    said(*command)
    return time.perf_counter() - begun


def said(*command: str) -> str:
    """Run a program to its end; return what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout.strip()


@contextlib.contextmanager
def running() -> Iterator[Rig]:
    """Have the host, in a folder of a short name, for sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="maglica-bench-"))
    # libguestfs's own tools get the back end that the host worker uses too.
    os.environ["LIBGUESTFS_BACKEND"] = "direct"
    if not accel.kvm_works("auto", folder):
        os.environ["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    try:
        with qemu_libvirtd.running(folder / "libvirtd") as uri:
            rig = Rig(folder, uri)
            try:
                yield rig
            except BaseException:
                sys.stderr.write(rig.host.log[-4000:] if (folder / "host/log").exists() else "")
                raise
            finally:
                rig.close()
    finally:
        shutil.rmtree(folder)


class Peak(threading.Thread):
    """The peak memory, in MiB, of the host worker and its children of Python, none of QEMU."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(daemon=True)
        self._rig = rig
        self._over = threading.Event()
        self.mib = 0.0

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.1):
            process = self._rig.host.process
            if process is not None:
                known = [process.pid, *self._rig.host.children()]
                self.mib = max(self.mib, sum(map(_proportional, known)) / 1024)


def _proportional(pid: int) -> int:
    """Return the memory of a process in KiB, what it shares counted by its share.

    One that has ended has none. See proc(5), smaps_rollup.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _table(file: BinaryIO, size: int) -> partitions.Table:
    file.seek(0)
    return partitions.read(file.read(partitions.HEAD), size)


def _last(file: BinaryIO, size: int) -> partitions.Partition:
    last = _table(file, size).last
    if last is None:
        raise SystemExit(f"{file.name} has no partition")
    return last
