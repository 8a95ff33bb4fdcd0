# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One clone by each way of customizing, from an image that is ready, beside virt-install's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import libvirt
from maglica.model.request import Customize, Request
from maglica.verbs.clone import CloneSpec
from support.figures import Figure, at_most, reported

from .clone_rig import MEMORY_MIB, Rig, run

WAYS = (Customize.CLOUD_INIT, Customize.OFFLINE, Customize.NONE)
TURNS = 7
WORK = ("copy", "customize", "define")
STARTED = "cloud-init, started"


def seconds_of(request: Request, *phases: str) -> float:
    return sum(phase.seconds for phase in request.phases if phase.name in phases)


def figures(rig: Rig, spec: CloneSpec) -> Iterator[Figure]:
    """Clone as ``spec`` says, but for name and way, in turns."""
    specs = {way.value: replace(spec, customize=way) for way in WAYS}
    specs[STARTED] = replace(specs[Customize.CLOUD_INIT.value], start=True)
    own: dict[str, list[float]] = {what: [] for what in specs}
    whole: dict[str, list[float]] = {what: [] for what in specs}
    peer = []
    with networked(rig), VirtInstall(rig) as virt_install:
        # The first of a way makes its base.
        for turn in range(TURNS + 1):
            for number, (what, wanted) in enumerate(specs.items()):
                named = replace(wanted, name=f"way{number}-{turn}.example.jp")
                (request,), seconds = rig.ask(named)
                rig.remove([request])
                if turn:
                    own[what].append(seconds_of(request, *WORK))
                    whole[what].append(seconds)
            if turn:
                peer.append(virt_install.clone(turn))
    yield from _rows(own, whole, peer)


def _rows(
    own: Mapping[str, Sequence[float]], whole: Mapping[str, Sequence[float]], peer: Sequence[float]
) -> Iterator[Figure]:
    medians = {what: statistics.median(times) for what, times in own.items()}
    for way in WAYS:
        done = statistics.median(whole[way.value])
        how = f"{done * 1000:.0f} ms from submit to done at the client, {TURNS} turns"
        what = f"one linked clone, customize {way.value}: its work in milliseconds"
        yield reported(what, medians[way.value] * 1000, how)
    seeded, offline = (own[way.value] for way in (Customize.CLOUD_INIT, Customize.OFFLINE))
    ratio = statistics.median(one / other for one, other in zip(seeded, offline))
    how = "its work, medians of the turns' ratios"
    yield at_most("one linked clone, cloud-init, times offline", ratio, 1.5, how)
    done = statistics.median(whole[STARTED])
    how = "with both workers' journals, started"
    yield reported("one linked clone, cloud-init, from submit to running: seconds", done, how)
    what = "qemu-img create + virt-install --import --cloud-init, until it runs: seconds"
    yield reported(what, statistics.median(peer), f"whole processes, {TURNS} turns")


@contextmanager
def networked(rig: Rig) -> Iterator[None]:
    """Let guests be started on the rig's network, on which nobody answers."""
    network = rig.connection.networkLookupByName("default")
    network.create()
    try:
        yield
    finally:
        network.destroy()


class VirtInstall:
    """virt-install, which takes a disk as it is, and leaves the guest's identity to cloud-init."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._key = rig.folder / "virt-install.pub"
        self._disks: list[Path] = []

    def __enter__(self) -> VirtInstall:
        private = self._key.with_suffix("")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(private))
        # Where libvirtd sees /var/lib/libvirt/boot, which virt-install puts seeds into.
        (self._rig.folder / "libvirtd/lib/boot").mkdir(exist_ok=True)
        return self

    def __exit__(self, *_error: object) -> None:
        for disk in self._disks:
            disk.unlink(missing_ok=True)

    def clone(self, number: int) -> float:
        """Make a vm that runs, remove it, and return the seconds that making took."""
        name = f"install{number}"
        disk = self._rig.pool / f"{name}.qcow2"
        self._disks.append(disk)
        base = next(self._rig.pool.glob("maglica-base.*"))
        begun = time.perf_counter()
        run("qemu-img", "create", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(disk))
        # The folders are those that libvirtd sees.
        inside = ("nsenter", "--mount", "--target", self._rig.libvirtd_pid)
        run(
            *(*inside, "virt-install", "--connect", self._rig.uri, "--import", "--name", name),
            *("--memory", str(MEMORY_MIB), "--virt-type", "qemu", "--machine", "pc"),
            *("--osinfo", "detect=off,require=off", "--graphics", "none", "--noautoconsole"),
            *("--network", "network=default,model=virtio", "--disk", f"{disk},format=qcow2"),
            *("--cloud-init", f"root-ssh-key={self._key}"),
        )
        seconds = time.perf_counter() - begun
        domain = self._rig.connection.lookupByName(name)
        if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
            domain.destroy()
        domain.undefine()
        disk.unlink()
        return seconds
