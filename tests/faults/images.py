# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Crafted images: each is looked at and copied to a base by the host worker's own code.

A good one is compared with what was written, byte for byte. Of a bad one nothing may be copied, and
no byte of a host's file, which many of them lead to, may stand in what was made.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock
from xml.sax.saxutils import quoteattr

from maglica.config.config import HostWorker
from maglica.disk import chain, qemu_img
from maglica.disk.chain import Chain, Layer
from maglica.host_worker.job.image import original
from maglica.model import errors
from support import fake_libvirt
from support.figures import Figure, at_most, control, reported

from . import bad_disks, good_disks
from .disks import QEMU_IMG, Disk, Maker, Workshop
from .frame import Run

HOST = "kvm0.example.jp"
DEFINITION = """<domain type='kvm'><name>image</name><uuid>{uuid}</uuid><memory>65536</memory>
<devices><disk type='{kind}' device='disk'><driver name='qemu' type='{format}'/>
<source {source}/><target dev='vda'/></disk></devices></domain>"""
UUID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"
# Bad disks that a plain qemu-img does not hang on, nor refuse.
_LEADING = ("upon a host's file", "upon a link", "upon a JSON", "external", "VMDK whose", "cut in")


def figures(run: Run) -> Iterator[Figure]:
    """Copy every good and every bad disk, and every bad one again without the inspection."""
    calls = run.folder / "calls"
    with _noting_qemu_img(run.folder / "bin", calls):
        good, bad = list(good_disks.cases()), list(bad_disks.cases())
        run.say(f"{len(good)} good disks, {len(bad)} bad ones")
        found = _all(run, "good", good) + _all(run, "bad", bad)
        guessed = [line for line in _copies(calls) if not _is_explicit(line)]
        calls.unlink()
        with _no_inspection():
            without = _all(run, "without", [case for case in bad if case[0].startswith(_LEADING)])
        free = [line for line in _copies(calls) if not _is_explicit(line)]
    yield reported("crafted images: good", len(good), "raw and qcow2, as QEMU makes them")
    yield reported("crafted images: bad", len(bad), "host files named, lies, damage, other kinds")
    yield at_most("good images refused", found["refused good"], 0, "looked at and copied")
    yield at_most("good images that differ", found["differs"], 0, "the guest's disk, byte by byte")
    yield at_most("bad images accepted", found["accepted bad"], 0, "copied without an error")
    yield at_most("host files leaked", found["leaked"], 0, "a token of theirs in what was made")
    yield at_most("refusals that are not clear", found["unclear"], 0, "one line with the disk")
    yield at_most("qemu-img calls with a guessed format", len(guessed), 0, "arguments recorded")
    slowest = found["slowest ms"] / 1000
    yield run.within("slowest refusal, seconds", slowest, 5, "the bad images")
    how = "some of the bad images, headers not inspected and formats guessed"
    yield control("bad images accepted", without["accepted bad"], how)
    yield control("host files leaked", without["leaked"], how)
    yield control("qemu-img calls with a guessed format", len(free), how)


def _all(run: Run, title: str, cases: list[tuple[str, Maker]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    slowest = 0.0
    for number, (name, make) in enumerate(cases):
        folder = run.folder / f"{title}{number}"
        try:
            shop = Workshop(folder, run.seed + number)
            disk, begun = make(shop), time.monotonic()
            _try(disk, shop, counts, lambda what, name=name: run.say(f"{title}: {name}: {what}"))
            slowest = max(slowest, time.monotonic() - begun)
        finally:
            _unmount(folder)
            shutil.rmtree(folder)
    if title == "bad":
        counts["slowest ms"] = int(slowest * 1000)
    return counts


def _try(disk: Disk, shop: Workshop, counts: Counter[str], say) -> None:
    target = shop.other / "base.qcow2"
    try:
        _copy(disk, shop, target)
    except errors.MaglicaError as error:
        if disk.content is not None:
            counts["refused good"] += 1
            say(f"refused: {error}")
        elif not _is_clear(str(error), disk):
            counts["unclear"] += 1
            say(f"unclear: {error}")
    else:
        if disk.content is None:
            counts["accepted bad"] += 1
            say("accepted")
        elif _content(target, shop) != _whole_sectors(disk.content):
            counts["differs"] += 1
            say("differs")
    made = target.read_bytes() if target.exists() else b""
    if disk.content is None and shop.token in made:
        counts["leaked"] += 1


def _copy(disk: Disk, shop: Workshop, target: Path) -> None:
    """What a base's making does with an image's disk, but for libvirt, which makes the volume."""
    connection = fake_libvirt.Connection()
    for pool in (shop.pool, shop.other):
        connection.add_pool(pool.name, pool)
    named = {"dir": "dir", "network": "protocol='nbd' name"}.get(disk.kind, "file")
    source = f"{named}={quoteattr(str(disk.path))}"
    xml = DEFINITION.format(uuid=UUID, kind=disk.kind, format=disk.format, source=source)
    connection.domains.append(fake_libvirt.Domain(connection, xml))
    settings = HostWorker(HOST, Path("/key"))
    context = SimpleNamespace(connect=lambda: connection, host=HOST, settings=settings)
    image = original.read("image", context)
    layers = image.chains["vda"]
    command = [QEMU_IMG, "create", "-q", "-f", "qcow2", str(target), str(layers[0].size)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise errors.StorageFailed(f"no volume can be made for disk {disk.path}")
    qemu_img.copy(layers, str(target), lambda: None)


def _is_clear(text: str, disk: Disk) -> bool:
    return text.isprintable() and (disk.named or str(disk.path)) in text and "Traceback" not in text


def _whole_sectors(content: bytes) -> bytes:
    return content.ljust(-(-len(content) // 512) * 512, b"\0")


def _content(target: Path, shop: Workshop) -> bytes:
    raw = shop.other / "look"
    command = [QEMU_IMG, "convert", "-f", "qcow2", "-O", "raw", str(target), str(raw)]
    subprocess.run(command, check=True)
    return raw.read_bytes()


@contextlib.contextmanager
def _no_inspection() -> Iterator[None]:
    """What a header says is believed, and a format is guessed, as by a plain qemu-img."""

    def believe(path: str, disk_format: str, *_folders: object) -> Chain:
        command = [QEMU_IMG, "info", "--output=json", path]
        done = subprocess.run(command, check=False, capture_output=True, timeout=5)
        size = json.loads(done.stdout)["virtual-size"] if done.stdout else 1 << 20
        return (Layer(path, disk_format, min(size, 1 << 32), 0, ()),)

    with (
        mock.patch.object(chain, "inspect", believe),
        mock.patch.object(qemu_img, "content_bytes", lambda *_rest: 0),
        mock.patch.object(qemu_img, "source", lambda layers: layers[0].path),
    ):
        yield


@contextlib.contextmanager
def _noting_qemu_img(folder: Path, calls: Path) -> Iterator[None]:
    """Let the worker find a qemu-img that notes its arguments, and ends copies without end."""
    folder.mkdir()
    script = folder / "qemu-img"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {calls}\nexec timeout 20 {QEMU_IMG} "$@"\n'
    )
    script.chmod(0o755)
    with mock.patch.dict(os.environ, {"PATH": f"{folder}:{os.environ['PATH']}"}):
        yield


def _copies(calls: Path) -> list[str]:
    return [line for line in calls.read_text().splitlines() if line.startswith("convert")]


def _is_explicit(line: str) -> bool:
    """Tell whether a copy's arguments state the format of both sides, each layer's included."""
    words = line.partition(" -O qcow2 ")[2]
    source = words.rpartition(" ")[0]
    if not source.startswith("json:"):
        return False
    node = json.loads(source[5:])
    while node:
        if node["driver"] not in ("raw", "qcow2") or node["file"]["driver"] != "file":
            return False
        # A qcow2 layer with nothing said of its backing file would have one guessed.
        if node["driver"] == "qcow2" and "backing" not in node:
            return False
        node = node.get("backing")
    return True


def _unmount(folder: Path) -> None:
    small = folder / "pool" / "small"
    if small.is_mount():
        subprocess.run(["umount", str(small)], check=True)
