# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an import takes, beside curl, sha256sum and qemu-img; `make bench-images`.

All fetch the same file from the same server on this machine, in turns, into the same file system;
what counts is the median of the turns' ratios. Writes build/figures/images.json and
docs/performance-images.md.
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from maglica.model.image import Firmware, image_uuid
from maglica.model.request import Request
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.remove_image import RemoveImageSpec
from support.figures import CHECKOUT, Figure, at_least, at_most, reported, table, write
from support.host_worker import HOST
from support.web_server import Handler, Site, served

from .clone_rig import Rig, debian, run, running
from .control import ansible

DOCUMENT = CHECKOUT / "docs" / "performance-images.md"
TURNS = 5
PACKED_TURNS = 3
PAIRS = 7
# After it the image is there, and vms can be cloned; what is in its guest is looked at then.
LOOK = "base"


@dataclass(frozen=True)
class File:
    """A file on the server; ``packing`` is the program that unpacks it, with its words."""

    url: str
    digest: str
    mib: int
    packing: tuple[str, ...] = ()


@dataclass
class Times:
    """Seconds by turn: of the other programs, of imports until the image is there, of the looks."""

    peer: list[float]
    ours: list[float]
    look: list[float]


@contextmanager
def site(rig: Rig, disk: Path) -> Iterator[tuple[Site, File, File]]:
    """Serve a disk as it is, and packed."""
    packed = rig.folder / "disk.qcow2.zst"
    run("zstd", "-q", "-1", str(disk), "-o", str(packed))
    with served() as made:
        yield made, _put(made, disk), _put(made, packed, ("zstd", "-q", "-d"))


def _put(made: Site, path: Path, packing: tuple[str, ...] = ()) -> File:
    size = path.stat().st_size

    def answer(handler: Handler) -> None:
        # By the kernel, so that the server takes as little of the processors as can be.
        handler.begin(200, Content_Length=size)
        with path.open("rb") as file:
            handler.connection.sendfile(file)

    made.answers[f"/{path.name}"] = answer
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return File(f"{made.url}/{path.name}", digest, size >> 20, packing)


def by_hand(rig: Rig, file: File) -> float:
    """Do what an import does by programs; return the seconds."""
    part, unpacked, target = (rig.pool / f"peer.{name}" for name in ("part", "disk", "qcow2"))
    sums = rig.folder / "peer.sums"
    sums.write_text(f"{file.digest}  {part}\n")
    os.sync()
    seconds = run("curl", "-fsS", "-o", str(part), file.url)
    seconds += run("sha256sum", "--quiet", "-c", str(sums))
    if file.packing:
        seconds += run(*file.packing, str(part), "-o", str(unpacked))
    source = unpacked if file.packing else part
    seconds += run("qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(source), str(target))
    for path in (part, unpacked, target):
        path.unlink(missing_ok=True)
    return seconds


def by_maglica(rig: Rig, name: str, file: File) -> tuple[float, float, Request]:
    """Import the file; return the seconds until the image is there, those of the look, and all."""
    os.sync()
    spec = AddImageSpec(
        image=name,
        host=HOST,
        url=file.url,
        checksum=f"sha256:{file.digest}",
        firmware=Firmware.BIOS,
    )
    (request,), seconds = rig.ask(spec)
    look = sum(phase.seconds for phase in request.phases if phase.name == LOOK)
    return seconds - look, look, request


def remove(rig: Rig, request: Request) -> None:
    rig.ask(RemoveImageSpec(image=request.name, host=HOST, uuid=image_uuid(request.id)))


def in_turns(rig: Rig, file: File, turns: int) -> tuple[Times, Request]:
    """Import by each way in turns; return the times and the last of the requests."""
    times = Times([], [], [])
    for turn in range(turns):
        times.peer.append(by_hand(rig, file))
        own, look, request = by_maglica(rig, f"turn{turn}.original", file)
        times.ours.append(own)
        times.look.append(look)
        remove(rig, request)
    return times, request


def compared(times: Times, last: Request, file: File) -> tuple[float, str]:
    """Return the median of the ratios, and how it came."""
    ratio = statistics.median(peer / own for peer, own in zip(times.peer, times.ours))
    own, peer = statistics.median(times.ours), statistics.median(times.peer)
    phases = ", ".join(f"{each.name} {each.seconds:.2f}" for each in last.phases)
    turns = len(times.ours)
    how = f"{own:.2f} s against {peer:.2f} s, {file.mib} MiB, {turns} turns; seconds of the last:"
    return ratio, f"{how} {phases}"


def the_same_again(rig: Rig, made: Site, file: File) -> Iterator[Figure]:
    """Compare a task for an image that is there with one that does nothing."""
    wanted = {
        "name": "again.original",
        "url": file.url,
        "checksum": f"sha256:{file.digest}",
        "firmware": Firmware.BIOS.value,
        "hosts": [HOST],
    }
    first = ansible(rig.config, "maglica_image", **wanted)
    before = len(made.requests)
    pairs = [
        (ansible(rig.config, "ping"), ansible(rig.config, "maglica_image", **wanted))
        for _turn in range(PAIRS)
    ]
    fetched = len(made.requests) - before
    extra = statistics.median(own - empty for empty, own in pairs)
    empty, own = (statistics.median(column) for column in zip(*pairs))
    how = f"whole processes, {own:.2f} s against {empty:.2f} s of ping, {PAIRS} turns"
    yield at_most("the same image again, over an empty task: seconds", extra, 0.6, how)
    yield at_most("the same image again: files asked for", fetched, 0, "by the server's record")
    how = "whole process of ansible -m maglica_image, look included"
    yield reported("an image by a task, the first time: seconds", first, how)


def figures(rig: Rig, disk: Path) -> Iterator[Figure]:
    with site(rig, disk) as (made, plain, packed):
        times, last = in_turns(rig, plain, TURNS)
        ratio, how = compared(times, last, plain)
        what = "import by URL until the image is there, times the speed of curl + sha256sum"
        yield at_least(f"{what} + qemu-img convert", ratio, 0.8, how)
        look = statistics.median(times.look)
        how = "appliance without KVM; clones wait for it, which else the first would"
        yield reported("what follows, the look at the guest and its base: seconds", look, how)
        ratio, how = compared(*in_turns(rig, packed, PACKED_TURNS), packed)
        yield reported(f"{what} + zstd -d + qemu-img convert, of a packed one", ratio, how)
        yield from the_same_again(rig, made, plain)


def document(found: Sequence[Figure]) -> None:
    load = os.getloadavg()[2]
    DOCUMENT.write_text(
        f"""<!--
SPDX-FileCopyrightText: Maglica contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make bench-images`.
-->
# How long importing an image takes

Measured with {os.cpu_count()} CPUs, Python {platform.python_version()}, QEMU without KVM: Maglica
beside `curl`, `sha256sum` and `qemu-img convert`, one after the other, from the same server on the
same machine into the same file system, in turns. Client worker, host worker, libvirtd and server
share the CPUs. What Maglica has fetched and written is on the disk (fsync) when it says so, what
the others have may still be in memory. Ratios are medians of the turns' ratios. Load while it ran:
{load:.1f}.

{table(found)}
"""
    )


def main() -> int:
    disk = debian()
    with running() as rig:
        rig.start()
        found = [*figures(rig, disk)]
    write("images", found)
    document(found)
    sys.stdout.write(table(found) + "\n")
    return int(any(figure.met is False for figure in found))


if __name__ == "__main__":
    raise SystemExit(main())
