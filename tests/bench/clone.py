# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long cloning takes, side by side with virt-clone and virt-customize; `make bench-clone`.

All make vms of the same image on the same libvirtd, in turns; what counts is the median of the
turns' ratios. Writes build/figures/clone.json, docs/performance.md and its plot.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maglica.model.request import CloneMode, Customize
from maglica.verbs.clone import CloneSpec
from support.figures import CHECKOUT, Figure, at_least, at_most, reported, table, write

from . import clone_cloud, clone_ready, clone_ways, plot
from .clone_peers import Kcli, at_the_limit, with_peer
from .clone_rig import IMAGE, MEMORY_MIB, Peak, Rig, debian, grown, running
from .clone_ways import WORK, seconds_of

DOCUMENT = CHECKOUT / "docs" / "performance.md"
PLOT = CHECKOUT / "docs" / "performance.svg"
LARGE = "large.original"
TURNS = 3
SINGLES = 7
MANY = 100
NUMBERS = itertools.count()
PASSWORD = "$6$saltsalt$" + 86 * "x"


@dataclass
class Times:
    """Seconds for one vm, by turn, and who made it."""

    peer: list[float]
    peer_copy: list[float]
    ours: list[float]
    whole: list[float]
    full: list[float]
    limit: list[float]
    kcli: list[float]


def spec(image: str = IMAGE, mode: CloneMode = CloneMode.LINKED) -> CloneSpec:
    """Return what to ask for; no name comes twice, for a host tells late that one is free."""
    # As virt-customize does it, from outside; clone_ways has the others.
    return CloneSpec(
        f"vm{next(NUMBERS)}.example.jp",
        image,
        clone_mode=mode,
        customize=Customize.OFFLINE,
        memory_mib=MEMORY_MIB,
        start=False,
    )


def not_prepared() -> CloneSpec:
    """Return what no area of a base has room for, so that the appliance is needed."""
    return replace(spec(), root_password=PASSWORD)


def in_turns(rig: Rig, disk: Path) -> tuple[Times, list[Figure]]:
    """Make single vms by each way in turns, from a base that is there."""
    times = Times([], [], [], [], [], [], [])
    made, _seconds = rig.ask(spec())
    base = next(rig.pool.glob("maglica-base.*"))
    kcli = Kcli(rig, disk)
    kcli.clone(-1)
    rig.remove(made)
    before = rig.traced("launch"), rig.traced("inspect_os")
    for turn in range(TURNS):
        copied, customized = with_peer(rig, turn)
        times.peer_copy.append(copied)
        times.peer.append(copied + customized)
        for single in range(SINGLES):
            requests, whole = rig.ask(spec())
            rig.remove(requests)
            times.ours.append(seconds_of(requests[0], *WORK))
            times.whole.append(whole)
            times.limit.append(at_the_limit(rig, base, single))
            times.kcli.append(kcli.clone(single))
        requests, _seconds = rig.ask(spec(mode=CloneMode.FULL))
        times.full.append(seconds_of(requests[0], "copy"))
        rig.remove(requests)
    launches, inspections = (
        rig.traced("launch") - before[0],
        rig.traced("inspect_os") - before[1],
    )
    how = f"{TURNS * (SINGLES + 1)} clones, libguestfs's own trace"
    return times, [
        at_most("appliance launches for clones from a prepared base", launches, 0, how),
        at_most("inspect_os calls for clones", inspections, 0, how),
    ]


def singles(times: Times) -> list[Figure]:
    ours = [statistics.median(times.ours[turn * SINGLES :][:SINGLES]) for turn in range(TURNS)]
    ratio = statistics.median(peer / own for peer, own in zip(times.peer, ours))
    limit = statistics.median(own / raw for own, raw in zip(times.ours, times.limit))
    copies = statistics.median(peer / own for peer, own in zip(times.peer_copy, times.full))
    own, raw, whole, peer, full, copied = (
        statistics.median(column)
        for column in (
            *(times.ours, times.limit, times.whole),
            *(times.peer, times.full, times.peer_copy),
        )
    )
    how = f"{own * 1000:.0f} ms against {peer:.1f} s, {TURNS} turns"
    return [
        at_least(
            "one clone from a prepared base (disk, identity, define), times faster than "
            "virt-clone + virt-customize",
            *(ratio, 200, how),
        ),
        at_most(
            "the same, times qemu-img create + defineXML",
            *(limit, 3, f"{own * 1000:.0f} ms against {raw * 1000:.0f} ms"),
        ),
        reported(
            "one clone, from submit to done at the client: seconds",
            *(whole, f"{TURNS * SINGLES} clones, with both workers' journals"),
        ),
        reported(
            "kcli create vm from the same image: seconds",
            *(statistics.median(times.kcli), "whole process; identity is left to cloud-init"),
        ),
        at_least(
            "full copy, times virt-clone's speed",
            *(copies, 1, f"{full:.2f} s against {copied:.2f} s, {TURNS} turns"),
        ),
    ]


def batches(rig: Rig, peer: Sequence[float]) -> list[Figure]:
    """Make batches that need the appliance, for what they ask has no room in a base."""
    found = []
    for number, goal in ((8, 6), (32, 10)):
        before = rig.traced("launch")
        requests, _seconds = rig.ask(*(not_prepared() for _turn in range(number)))
        each = sum(seconds_of(requests[0], phase) for phase in WORK) / number
        rig.remove(requests)
        how = f"{each:.2f} s a clone against {statistics.median(peer):.1f} s"
        name = f"batch of {number}, not prepared, each clone"
        ratio = statistics.median(peer) / each
        launches = rig.traced("launch") - before
        found += [
            at_least(f"{name}: times faster than virt-clone + virt-customize", ratio, goal, how),
            at_most(f"{name}: appliance launches", launches, 1, "libguestfs's own trace"),
        ]
    return found


def bytes_written(rig: Rig) -> list[Figure]:
    """See what a linked clone of a small and of a large image takes on the disk."""
    taken = {}
    for image in (IMAGE, LARGE):
        requests, _seconds = rig.ask(spec(image))
        vm = requests[0].vm
        taken[image] = (
            sum(Path(disk.source or "").stat().st_blocks * 512 for disk in vm.disks) if vm else 0
        )
        rig.remove(requests)
    small, large = taken[IMAGE], taken[LARGE]
    how = f"{small} bytes of a 1 GiB image, {large} bytes of a 20 GiB image"
    # Where on the disk a file lies decides how many clusters it touches.
    return [
        at_most("bytes written for a linked clone, 20 GiB against 1 GiB", large / small, 1.5, how)
    ]


def many(rig: Rig) -> list[Figure]:
    """Make many at once, and see how much memory the host worker takes for it."""
    with Peak(rig) as peak:
        requests, seconds = rig.ask(*(spec() for _turn in range(MANY)))
    rig.remove(requests)
    return [
        reported(f"{MANY} clones on one host, all defined: seconds", seconds, "one host"),
        at_most(
            f"peak memory of the host worker with {MANY} clones, MiB",
            *(
                peak.mib,
                150,
                "worker and job processes, what they share counted once, without the appliance",
            ),
        ),
    ]


def document(found: Sequence[Figure], times: Times) -> None:
    """Write the table and the plot."""
    ways = {
        "virt-clone +\nvirt-customize": statistics.median(times.peer),
        "a clone,\nsubmit to done": statistics.median(times.whole),
        "kcli create vm": statistics.median(times.kcli),
        "a clone,\nits work": statistics.median(times.ours),
        "qemu-img create\n+ defineXML": statistics.median(times.limit),
    }
    plot.bars(PLOT, ways)
    load = os.getloadavg()[2]
    DOCUMENT.write_text(
        f"""<!--
SPDX-FileCopyrightText: Maglica contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by `make bench-clone`.
-->
# How long cloning takes

Measured with {os.cpu_count()} CPUs, Python {platform.python_version()}, QEMU without KVM: Maglica
beside virt-clone and virt-customize, which only set the host name, on the same libvirtd, from the
same image with Debian 12, in turns. Ratios are medians of the turns' ratios. Where no way of
customizing is named it is offline. Load while it ran: {load:.1f}.

{table(found)}

![Seconds for one vm, by who makes it]({PLOT.name})
"""
    )


def main() -> int:
    found: list[Figure] = []
    disk = debian()
    with running() as rig:
        rig.add_image(IMAGE, disk)
        rig.add_image(LARGE, grown(disk, rig.folder / "large.qcow2", 20))
        rig.start(IMAGE, LARGE)
        times, counted = in_turns(rig, disk)
        found += singles(times)
        found += counted
        found += batches(rig, times.peer)
        found += bytes_written(rig)
        found += many(rig)
        found += clone_ways.figures(rig, spec())
    found += clone_cloud.figures()
    found += clone_ready.figures()
    write("clone", found)
    document(found, times)
    print(table(found))
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
