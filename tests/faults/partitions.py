# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links between the client worker and hosts are cut in every way, with requests under way.

Each host is a network namespace with a wire of its own to the client worker's. A cut is **found**
when neither side holds a connection any more that was up before; what comes after is **resumed**
when every request that was handed in before or meanwhile has ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from support.client_worker import Host, Worker, eventually
from support.figures import Figure, at_least, at_most, control
from support.netns import Star, inside
from support.own_libvirtd import OwnLibvirtd

from .cutter import (
    CUTS,
    DOWN_SECONDS,
    FOUND_SECONDS,
    GIVE_UP_SECONDS,
    RESUMED_SECONDS,
    Cutter,
    Found,
    WiredHost,
)
from .frame import Run
from .stage import UnprotectedWorker

# Requests that the controls hand in during their cut.
CONTROL_REQUESTS = 3
# How long after its connections are back a host may still be handed something over.
SETTLE_SECONDS = 2.0


def figures(run: Run) -> Iterator[Figure]:
    count, cycles = (len(CUTS), 1) if run.short else (10, 10)
    with ExitStack() as stack:
        cutters, unprotected = _run(run, stack, count, cycles)
    total = [cutter.measured for cutter in cutters]
    found = [seconds for each in total for seconds in each.found]
    resumed = [seconds for each in total for seconds in each.resumed]
    down = [seconds for each in total for seconds in each.down]
    how = f"{len(found)} cuts of {len(CUTS)} kinds, {count} hosts, seed {run.seed}"
    yield at_least("partitions: cycles", len(found), count * cycles, how)
    yield run.within("partitions: found by both sides, seconds", max(found), FOUND_SECONDS, how)
    yield run.within("partitions: resumed, seconds", max(resumed), RESUMED_SECONDS, how)
    if not run.short:
        cuts = sum(each.long for each in total)
        text = f"host_timeout {DOWN_SECONDS:g} s after the last hello; {cuts} long cuts"
        yield at_least("partitions: counted as down", len(down), max(1, cuts), text)
        slowest = max(down, default=GIVE_UP_SECONDS)
        yield at_most("partitions: counted as down, seconds", slowest, DOWN_SECONDS + 1, text)
    requests = sum(len(each.requests) for each in total)
    how = f"{requests} requests handed in before, during and after the cuts"
    yield at_most("partitions: requests lost", sum(each.lost() for each in cutters), 0, how)
    yield at_most("partitions: requests run twice", sum(each.twice() for each in cutters), 0, how)
    still_held, lost, twice = unprotected
    how = f"connections still held after {FOUND_SECONDS:g} s without heartbeats"
    yield control("partitions: not found", still_held, how)
    how = f"{CONTROL_REQUESTS} requests handed in during a cut, each published once"
    yield control("partitions: requests lost", lost, how)
    how = f"{CONTROL_REQUESTS} requests handed in during a cut, to a host that knows no ids"
    yield control("partitions: requests run twice", twice, how)


def _run(
    run: Run, stack: ExitStack, count: int, cycles: int
) -> tuple[list[Cutter], tuple[int, int, int]]:
    """Cut all links; return those who did, and what came of the three controls."""
    libvirtd = OwnLibvirtd()
    stack.callback(libvirtd.close)
    libvirtd.start()
    star = Star(count + 3)
    stack.callback(star.close)
    star.open()
    stack.enter_context(inside(star.middle))
    worker, deaf, curt = (
        _worker(run, stack, protection) for protection in ("", "heartbeats", "redelivery")
    )
    served = [(worker, "")] * count + [(deaf, "heartbeats"), (curt, ""), (worker, "memory")]
    cutters = []
    for number, (its, protection) in zip(star.hosts, served):
        host = WiredHost(run.folder / f"h{number}", its, libvirtd.uri, star, number)
        stack.callback(host.close)
        host.protection = protection
        admin = Host(its, "admin", its.grant("client", f"admin{number}"))
        cutters.append(Cutter(host, admin, run.say))
    for started in (worker, deaf, curt):
        started.start()
    for cutter in cutters:
        cutter.host.start()
    for cutter in cutters:
        eventually(cutter.ready, GIVE_UP_SECONDS)
    run.say(f"{count} hosts are up")
    *cut, without_heartbeats, without_redelivery, without_ids = cutters
    kinds = run.random("cuts")
    with ThreadPoolExecutor(len(cutters)) as pool:
        still_held = pool.submit(_still_held, without_heartbeats.host)
        lossy, lost_acks = "nothing passes", "the host's packets are lost"
        controls = [
            pool.submit(_cut_once, without_redelivery, lossy, without_redelivery.lost),
            pool.submit(_cut_once, without_ids, lost_acks, without_ids.twice),
        ]
        done = [
            pool.submit(each.run, _schedule(run, kinds, n, cycles)) for n, each in enumerate(cut)
        ]
        for cutter, future in zip(cut, done):
            future.result()
            run.say(f"{cutter.name}: {_rounded(cutter.measured)}")
        for each in controls:
            each.result()
    return cut, (still_held.result(), without_redelivery.lost(), without_ids.twice())


def _worker(run: Run, stack: ExitStack, protection: str) -> Worker:
    folder = run.folder / (protection or "worker")
    folder.mkdir()
    worker = (UnprotectedWorker if protection else Worker)(folder, bind="0.0.0.0")
    if isinstance(worker, UnprotectedWorker):
        worker.protection = protection
    stack.callback(worker.close)
    return worker


def _cut_once(cutter: Cutter, how: str, awaited: Callable[[], object]) -> None:
    """Hand requests in while the link is cut; give afterwards time to what is ``awaited``."""
    host = cutter.host
    # A host is alive before it listens: what it has done it has heard.
    first = cutter.clone()
    eventually(lambda: cutter.now(first).state.ended, GIVE_UP_SECONDS)
    before = host.held()
    host.cut(how)
    for _turn in range(CONTROL_REQUESTS):
        cutter.clone()
    time.sleep(FOUND_SECONDS + 1)
    host.heal()
    eventually(lambda: host.held() - before, GIVE_UP_SECONDS)
    time.sleep(SETTLE_SECONDS)
    with suppress(AssertionError):
        eventually(lambda: awaited() != 0, GIVE_UP_SECONDS)


def _schedule(run: Run, kinds: random.Random, number: int, cycles: int) -> list[tuple[str, float]]:
    """Return the cuts of one host: in the short form each has another kind."""
    if run.short:
        return [(list(CUTS)[number], kinds.uniform(7.5, 8.5))]
    cuts = [list(CUTS)[(number + turn) % len(CUTS)] for turn in range(cycles)]
    kinds.shuffle(cuts)
    # Every fourth lasts until the host counts as down.
    return [
        (how, kinds.uniform(7.5, 10) if turn % 4 else DOWN_SECONDS + 2)
        for turn, how in enumerate(cuts)
    ]


def _still_held(host: WiredHost) -> int:
    time.sleep(1)
    before = host.held()
    host.cut("nothing passes")
    time.sleep(FOUND_SECONDS)
    return len(before & host.held())


def _rounded(measured: Found) -> str:
    words = [
        f"{name} {' '.join(f'{seconds:.1f}' for seconds in getattr(measured, name))}"
        for name in ("found", "resumed", "down")
    ]
    return ", ".join(words)
