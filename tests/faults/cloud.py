# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real clones on the real hosts of `make cloud`, with kill -9 at every named point of their way.

The points are those that one undisturbed clone and its removal pass. Both hosts work at once; one
request may be killed several times on its way, each time one point further.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from support.cloud import IMAGE, Cloud
from support.figures import Figure, at_least, at_most, control, reported
from support.points import Site

from .cloud_cases import SHORT, Case, cancels, clones, other_ways
from .cloud_work import UNTENDED_SECONDS, Count, Worker
from .frame import Run

FULL = ("/tmp", "/var/log/libvirt/qemu")


def figures(run: Run) -> Iterator[Figure]:
    cloud = Cloud.load()
    count = Count()
    begun = time.monotonic()
    with ExitStack() as stack:
        stack.callback(cloud.close)
        names = cloud.hosts[:1] if run.short else cloud.hosts
        sites = [Site(cloud, name) for name in names]
        digests = {site.host: cloud.image_digest(site.host) for site in sites}
        for site in sites:
            stack.enter_context(site.points())
        workers = [stack.enter_context(Worker(site, count, run)) for site in sites]
        cases = list(SHORT) if run.short else _all_cases(workers, run)
        wanted = sum(case.kills for case in cases)
        _work(workers, cases)
        for place in () if run.short else FULL:
            workers[0].with_full(place)
        changed = sum(cloud.image_digest(host) != digest for host, digest in digests.items())
        seconds = time.monotonic() - begun
        controls = list(_controls(workers[0], sites[0], run))
    how = f"{count.kills} kills -9 on {len(sites)} real hosts, {count.requests} requests"
    yield at_least("cloud: kills at named points", count.kills, wanted, _points(cases))
    yield at_most("cloud: requests that a kill let fail or not end", len(count.not_done), 0, how)
    yield at_most(
        "cloud: cancelled requests that ended otherwise", len(count.not_cancelled), 0, how
    )
    yield at_most("cloud: half-made domains", len(count.domains), 0, how)
    yield at_most("cloud: orphan volumes", len(count.volumes), 0, how)
    left = "intents, held locks, appliances, sockets, scratch files, damaged journals"
    yield at_most("cloud: other left-overs", len(count.leftovers), 0, left)
    yield at_most("cloud: original images changed", changed, 0, "SHA-256 before and after")
    if not run.short:
        how = f"clones while {' and '.join(FULL)} are full: done, or failed for that reason"
        yield at_most("cloud: clones with an unclear end", len(count.unclear), 0, how)
    yield from controls
    yield reported("cloud: seconds", seconds, how)


def _controls(worker: Worker, site: Site, run: Run) -> Iterator[Figure]:
    """Do the same without what ends requests and cleans up; the short form has some of it."""
    orphans, half_made = worker.without_undo("customize/begin", "define/end")
    yield control("cloud: orphan volumes", orphans, "cancelled at customize, nothing undone")
    yield control("cloud: half-made domains", half_made, "cancelled at define, nothing undone")
    if run.short:
        return
    otherwise = worker.without_cancel()
    how = "on a host that heeds no cancel"
    yield control("cloud: cancelled requests that ended otherwise", otherwise, how)
    not_ended, left = worker.untended()
    how = f"{UNTENDED_SECONDS} s after kill -9 of a host worker that nobody starts again"
    yield control("cloud: requests that a kill let fail or not end", not_ended, how)
    yield control("cloud: other left-overs", left, how)
    changed = site.digest_when_written(IMAGE) != site.cloud.image_digest(site.host)
    how = "a copy that a guest has written to"
    yield control("cloud: original images changed", int(changed), how)


def _all_cases(workers: Sequence[Worker], run: Run) -> list[Case]:
    """Make the cases from what an undisturbed clone passes; the order is the seed's."""
    made, removed = workers[0].probe()
    run.say(f"a clone passes {' '.join(made)}; its removal {' '.join(removed)}")
    cases = [*clones(made, removed), *other_ways(made), *cancels(made)]
    run.random("order").shuffle(cases)
    return cases


def _points(cases: Sequence[Case]) -> str:
    points = {point for case in cases for _victim, point in (*case.steps, *case.removal)}
    return f"{len(points)} points: {', '.join(sorted(points))}"


def _work(workers: Sequence[Worker], cases: Sequence[Case]) -> None:
    """Let the hosts take the cases one by one, both at once."""
    waiting = deque(cases)

    def work(worker: Worker) -> None:
        while True:
            try:
                case = waiting.popleft()
            except IndexError:
                return
            worker.do(case)

    with ThreadPoolExecutor(len(workers)) as pool:
        for future in [pool.submit(work, worker) for worker in workers]:
            future.result()
