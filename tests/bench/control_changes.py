# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of a guest that runs, beside virsh doing the same: a disk more, and other memory.

On a host of the test cloud, in turns, both from this machine and by the host's own URI.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from maglica.config import config
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import Domain
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.disks import NewDisk
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.verb import OnVm
from maglica.wire.client import Client
from support.cloud import CHECKOUT, IMAGE, STATE, Cloud
from support.figures import Figure, at_most, reported

RUN = CHECKOUT / "plugins/module_utils/maglica/run.py"
NAME = "changes.example.jp"
POOL = "default"
FOLDER = "/var/lib/libvirt/images"
ROUNDS = 5
PATIENCE = 900
SIZE_MIB = 64
MEMORY_MIB = (448, 512)


class Guest:
    """A vm of the test cloud that runs, and who changes it."""

    def __init__(self, cloud: Cloud, client: Client, vm: Domain) -> None:
        self.cloud = cloud
        self.client = client
        self.vm = vm
        self._domain = cloud.libvirt(vm.host).lookupByUUIDString(vm.uuid)

    def ask(self, kind: type[OnVm], *values: object, **fields: object) -> float:
        """Have a request done by the library; return the seconds."""
        spec = kind(self.vm.name, self.vm.uuid, self.vm.host, *values, **fields)
        begun = time.perf_counter()
        (accepted,) = self.client.submit_all([Request(new_request_id(), spec)])
        ended = self.client.wait(accepted.id, PATIENCE)
        seconds = time.perf_counter() - begun
        assert ended.state is State.DONE, ended.failure
        # What waits for the next start is no change of one that runs.
        assert ended.vm is not None and not ended.vm.restart_needed
        return seconds

    def command(self, *words: str) -> float:
        """Run a command to its end; return the seconds of the whole process."""
        begun = time.perf_counter()
        self.cloud.run(*words)
        return time.perf_counter() - begun

    def maglica(self, *words: str) -> float:
        return self.command(sys.executable, str(RUN), "maglica.cli.main", "vm", *words)

    def virsh(self, *words: str) -> float:
        return self.command("virsh", "-q", "-c", self.cloud.uris[self.vm.host], *words)

    def follow(self, memory_mib: int) -> float:
        """Wait until the guest has that memory; return the seconds."""
        begun = time.perf_counter()
        while self._domain.info()[2] != memory_mib << 10:
            assert time.perf_counter() - begun < PATIENCE, "the guest does not obey"
            time.sleep(0.02)
        return time.perf_counter() - begun


def figures() -> list[Figure]:
    cloud = Cloud.load()
    try:
        with running(cloud) as guest:
            return [*_disks(guest), *_memory(guest)]
    finally:
        cloud.close()


@contextmanager
def running(cloud: Cloud) -> Iterator[Guest]:
    """Have a guest that has booted."""
    how = {"image": IMAGE, "host": cloud.hosts[0], "memory": MEMORY_MIB[1]}
    try:
        # Nobody logs in to it: it is as the image, and has an address once its drivers are there.
        wait = {"wait_for": "address", "wait_timeout": PATIENCE}
        started = cloud.module("maglica_vm", name=NAME, customize="none", **how, **wait)
        assert started.status == "CHANGED", started.output
        with Client(config.load(STATE / "maglica.conf")) as client:
            made = [each.vm for each in client.list() if each.name == NAME and each.vm]
            yield Guest(cloud, client, made[0])
    finally:
        cloud.vm(NAME, state="absent")


def _disks(guest: Guest) -> list[Figure]:
    own, by_command, beside = [], [], []
    for number in range(ROUNDS):
        own.append(guest.ask(AddDiskSpec, NewDisk("library", SIZE_MIB, pool=POOL)))
        guest.ask(DetachDiskSpec, "library")
        size = f"{SIZE_MIB}MiB"
        by_command.append(guest.maglica("add-disk", NAME, "typed", "--size", size, "--pool", POOL))
        guest.ask(DetachDiskSpec, "typed")
        beside.append(_virsh_disk(guest, f"beside{number}.qcow2"))
    how = f"virsh vol-create-as and attach-disk {_median(beside):.2f} s, {ROUNDS} turns"
    return _rows("a disk added to a guest that runs", own, by_command, beside, how)


def _virsh_disk(guest: Guest, volume: str) -> float:
    """Add a disk as Maglica does, to the guest and to its definition; return the seconds."""
    kind, both = ("--format", "qcow2"), ("--live", "--config")
    how = ("--driver", "qemu", "--subdriver", "qcow2", "--targetbus", "virtio", *both)
    seconds = guest.virsh("vol-create-as", POOL, volume, f"{SIZE_MIB}MiB", *kind)
    seconds += guest.virsh("attach-disk", NAME, f"{FOLDER}/{volume}", "vdy", *how)
    guest.virsh("detach-disk", NAME, "vdy", *both)
    guest.virsh("vol-delete", volume, "--pool", POOL)
    return seconds


def _memory(guest: Guest) -> list[Figure]:
    own, by_command, beside, obeyed = [], [], [], []
    sizes = itertools.cycle(MEMORY_MIB)
    for _round in range(ROUNDS):
        own.append(guest.ask(ResizeSpec, memory_mib=next(sizes)))
        size = next(sizes)
        by_command.append(guest.maglica("resize", NAME, "--memory", str(size)))
        size = next(sizes)
        # Not in the definition, whose own most is what Maglica has set last.
        beside.append(guest.virsh("setmem", NAME, f"{size}MiB", "--live"))
        obeyed.append(beside[-1] + guest.follow(size))
    how = f"virsh setmem {_median(obeyed):.2f} s until the guest has it, {ROUNDS} turns"
    what = "other memory of a guest that runs"
    alone = f"it takes {_median(beside):.2f} s, and leaves to the guest whether it obeys"
    return [
        *_rows(what, own, by_command, obeyed, how),
        reported(f"{what}, times what virsh setmem alone takes", _ratio(own, beside), alone),
    ]


def _rows(
    what: str, own: list[float], by_command: list[float], beside: list[float], how: str
) -> list[Figure]:
    said = f"{_median(own):.2f} s by the library; {how}"
    return [
        at_most(f"{what}, times what virsh takes", _ratio(own, beside), 3, said),
        reported(f"{what}, by the command: s", _median(by_command), "the whole process"),
    ]


def _ratio(own: list[float], beside: list[float]) -> float:
    return statistics.median(each / other for each, other in zip(own, beside))


def _median(values: list[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    for figure in figures():
        sys.stdout.write(f"{figure}\n")
