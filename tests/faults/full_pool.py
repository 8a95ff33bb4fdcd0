# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real host worker with a real libvirtd, QEMU and appliances, whose only pool fills up."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import libvirt
from maglica.model.request import CloneMode, Request, State
from support import guest, qemu_libvirtd
from support.client_worker import Worker, eventually
from support.host_worker import LIBRARY, Cell, HostWorker
from support.small_disk import SmallDisk, small_disk

from .frame import Run

POOL = "small"
IMAGE = "debian.original"
PASSWORD = "$6$maglicafaults$" + "x" * 86
POINTS_CODE = Path(__file__).resolve().parents[1] / "support" / "cloud_points"
# Content that a copy must have room for.
NOISE_MIB = 12
# More than a clone needs, and less than the pool has when it is empty but for a base.
ROOM_MIB = 150
_NOISE = "var/lib/noise"
_POOL_XML = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"
_DOMAIN_XML = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices><disk type='file' device='disk'>
<driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<interface type='user'><model type='virtio'/></interface></devices></domain>"""

# What to do when the pool has filled up at a point; the ones that need no appliance come first.
SHORT: tuple[tuple[str, dict[str, Any]], ...] = (
    ("base/begin", {}),
    ("base/announced-look", {}),
)
LONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("base/mounting", {}),
    ("base/before-copy", {}),
    ("", {}),
    ("copy/begin", {}),
    ("copy/before-copy", {"clone_mode": CloneMode.FULL}),
    ("customize/begin", {}),
    ("customize/mounting", {"root_password": PASSWORD}),
)


@dataclass
class Found:
    """What was counted; ``seconds`` of those that failed under an appliance.

    ``not_undone``: what is left when nothing is undone.
    """

    count: int = 0
    points: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    unfinished: int = 0
    failed: int = 0
    not_undone: int = 0
    seconds: list[float] = field(default_factory=list)


class Stage:
    """The workers, the pool, and the points at which a job can be stopped."""

    def __init__(self, folder: Path, disk: SmallDisk, uri: str, cell: Cell) -> None:
        self.disk = disk
        self.cell = cell
        self.points = folder / "points"
        self.connection = libvirt.open(uri)
        pool = _POOL_XML.format(name=POOL, path=disk.path)
        self.connection.storagePoolDefineXML(pool).create()
        tree = guest.make_tree(folder / "tree")
        (tree / _NOISE).parent.mkdir(parents=True, exist_ok=True)
        (tree / _NOISE).write_bytes(os.urandom(NOISE_MIB << 20))
        raw = guest.make_disk(folder / "image.raw", tree, 48)
        self.connection.defineXML(_DOMAIN_XML.format(name=IMAGE, disk=raw))
        self._number = 0

    def clone(self, **fields: Any) -> Request:
        self._number += 1
        name = f"full{self._number}.example.jp"
        return self.cell.clone(name, image=IMAGE, memory_mib=16, start=False, **fields)

    def stop_at(self, point: str) -> None:
        draft = self.points / "next"
        draft.write_text(point)
        draft.rename(self.points / "stop")

    def wait_reached(self) -> None:
        eventually((self.points / "reached").exists, 300)

    def go_on(self) -> None:
        for name in ("stop", "reached"):
            (self.points / name).unlink(missing_ok=True)

    def reports_free(self, is_free: bool) -> bool:
        pools = self.cell.status().report.pools
        return any(
            pool.name == POOL and (pool.free_bytes > ROOM_MIB << 20) == is_free for pool in pools
        )

    def left(self, made: set[str]) -> list[str]:
        """Return what is there beyond the vms ``made`` and the bases in the journal."""
        journal = self.cell.host.journal()
        bases = {disk.name for base in journal.bases() for disk in base.disks}
        files = {path.name for path in self.disk.path.iterdir() if path.name != "filling"}
        volumes = {name for name in files if not any(name.startswith(f"{vm}.") for vm in made)}
        domains = {each.name() for each in self.connection.listAllDomains()} - made - {IMAGE}
        scratch = self.cell.host.state.glob("scratch/*/appliance.*")
        names = [*(volumes ^ bases), *domains, *map(str, scratch)]
        journal.close()
        return names


def figures_of(run: Run) -> Found:
    """Fill the pool up at each point of a clone; the full form uses appliances."""
    found = Found()
    folder = run.folder / "pool-side"
    folder.mkdir()
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder / "pool", 256))
        uri = stack.enter_context(qemu_libvirtd.running(folder / "libvirtd"))
        worker = Worker(folder)
        stack.callback(worker.close)
        host = HostWorker(folder / "host", worker, uri, accel="tcg")
        host.environment["PYTHONPATH"] = f"{POINTS_CODE}:{LIBRARY}"
        host.environment["MAGLICA_POINTS"] = str(folder / "points")
        (folder / "points").mkdir()
        stack.callback(host.close)
        host.allow()
        cell = stack.enter_context(closing(Cell(worker, host, None)))
        stage = Stage(folder, disk, uri, cell)
        stack.callback(stage.connection.close)
        cell.start()
        eventually(lambda: stage.reports_free(True), 30)
        _refused_before(stage, found)
        for point, fields in SHORT if run.short else (*SHORT, *LONG):
            _fill_at(stage, point, fields, found)
            run.say(f"full at {point or 'no point'}: {found.seconds[-1:]}")
        if not run.short:
            found.not_undone = _without_undo(stage)
        host.stop(signal.SIGKILL)
    for text in (*found.unclear, *found.left):
        run.say(f"WRONG: {text}")
    return found


def _refused_before(stage: Stage, found: Found) -> None:
    """Hand in a clone when the host has said that its pool is full."""
    stage.disk.fill()
    eventually(lambda: stage.reports_free(False), 30)
    found.count += 1
    found.points.append("submit")
    text = stage.cell.client.clone_error("refused.example.jp", image=IMAGE, memory_mib=16)
    _check_text("submit", text, found)
    found.left += stage.left(set())
    stage.disk.empty()
    eventually(lambda: stage.reports_free(True), 30)


def _fill_at(stage: Stage, point: str, fields: dict[str, Any], found: Found) -> None:
    """Fill the pool up while a clone is at a point; without a point it must be done."""
    found.count += 1
    made = set(_done(stage))
    if not point:
        request = stage.clone(**fields)
        ended = eventually(lambda: _ended(stage, request), 300)
        found.unfinished += ended.state is not State.DONE
        return
    found.points.append(point)
    stage.stop_at(point)
    request = stage.clone(**fields)
    stage.wait_reached()
    stage.disk.fill()
    begun = time.monotonic()
    stage.go_on()
    ended = eventually(lambda: _ended(stage, request), 300)
    if point.endswith("mounting"):
        found.seconds.append(time.monotonic() - begun)
    found.failed += ended.state is State.FAILED
    if ended.state is not State.FAILED:
        found.unclear.append(f"{point}: {ended.state.value}")
    else:
        _check_text(point, f"{ended.failure.code}: {ended.failure.text}", found)
    found.left += [f"{point}: {name}" for name in stage.left(made)]
    stage.disk.empty()
    eventually(lambda: stage.reports_free(True), 30)


def _without_undo(stage: Stage) -> int:
    """Fill the pool up in the same way with undoing switched off; return what is left."""
    (stage.points / "without-undo").touch()
    unprotected = Found()
    _fill_at(stage, "customize/begin", {}, unprotected)
    return len(unprotected.left)


def _check_text(point: str, text: str, found: Found) -> None:
    if not (text.startswith("no_room: ") and POOL in text and re.search(r"[0-9.]+ [GM]iB", text)):
        found.unclear.append(f"{point}: {text}")


def _ended(stage: Stage, request: Request) -> Request | None:
    now = stage.cell.now(request)
    return now if now.state.ended else None


def _done(stage: Stage) -> list[str]:
    kind, body = stage.cell.client.ask("list")
    assert kind == "requests", body
    return [each.name for each in body["requests"] if each.state is State.DONE]
