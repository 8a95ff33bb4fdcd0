# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs start: tables of (open requests, running jobs, limits) → jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.host_worker.daemon.scheduler import Job, Limits, plan
from maglica.host_worker.journal.requests import Entry
from maglica.model.request import Request, State
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.clone import CloneSpec
from maglica.verbs.prepare import PrepareSpec
from maglica.verbs.stop import StopSpec


def clone(request_id: str, image: str = "sl6", name: str | None = None, **entry: object) -> Entry:
    spec = CloneSpec(name or f"vm-{request_id}", image)
    return Entry(Request(request_id, spec, State.RUNNING), **entry)


def prepare(request_id: str, image: str = "sl6") -> Entry:
    spec = PrepareSpec(image, "kvm0.example.jp")
    return Entry(Request(request_id, spec, State.RUNNING))


def stop(request_id: str, name: str | None = None, **entry: object) -> Entry:
    spec = StopSpec(name or f"vm-{request_id}", "u", "kvm0.example.jp")
    return Entry(Request(request_id, spec, State.RUNNING), **entry)


def importing(request_id: str, image: str | None = None, **entry: object) -> Entry:
    spec = AddImageSpec(image or f"image-{request_id}", "kvm0.example.jp", path="/a")
    return Entry(Request(request_id, spec, State.RUNNING), **entry)


def cloning(*ids: str, image: str = "sl6") -> Job:
    return Job(ids, image)


CASES = {
    "nothing to do": ([], [], Limits(), [], []),
    "one clone": ([clone("a")], [], Limits(), [], [cloning("a")]),
    "clones of one image are a batch": (
        [clone("a"), clone("b"), clone("c")],
        [],
        Limits(),
        [],
        [cloning("a", "b", "c")],
    ),
    "a batch has an end": (
        [clone("a"), clone("b"), clone("c")],
        [],
        Limits(batches=(2,)),
        [],
        [cloning("a", "b")],
    ),
    "an image that is prepared goes with its clones": (
        [prepare("a"), clone("b")],
        [],
        Limits(),
        [],
        [cloning("b", "a")],
    ),
    "what is prepared waits for what is needed now": (
        [prepare("a", "deb"), clone("b")],
        [],
        Limits(),
        [],
        [cloning("b")],
    ),
    "another image waits for its turn": (
        [clone("a"), clone("b", "deb"), clone("c")],
        [],
        Limits(),
        [],
        [cloning("a", "c")],
    ),
    "two images at once where that is allowed": (
        [clone("a"), clone("b", "deb"), clone("c")],
        [],
        Limits(clone_jobs=2),
        [],
        [cloning("a", "c"), cloning("b", image="deb")],
    ),
    "an image is not cloned by two jobs": (
        [clone("a"), clone("b")],
        [cloning("a")],
        Limits(clone_jobs=2),
        [],
        [],
    ),
    "no more than clone_jobs": (
        [clone("a"), clone("b", "deb")],
        [cloning("a")],
        Limits(),
        [],
        [],
    ),
    "quick work does not queue behind clones": (
        [clone("a"), clone("b", "deb"), stop("c")],
        [cloning("a")],
        Limits(),
        [],
        [Job(("c",))],
    ),
    "nor behind as many clones as are looked at": (
        [clone("a"), clone("b", "deb"), clone("c", "deb"), stop("d")],
        [cloning("a")],
        Limits(clone_jobs=2, window=1),
        [],
        [Job(("d",)), cloning("b", image="deb")],
    ),
    "but behind its own clone, wherever that is": (
        [clone("a"), clone("b"), clone("c", name="vm0"), stop("d", "vm0"), stop("e")],
        [],
        Limits(window=1),
        [],
        [Job(("e",)), cloning("a")],
    ),
    "quick work is one request a job, up to its limit": (
        [stop("a"), stop("b"), stop("c"), stop("d")],
        [Job(("a",))],
        Limits(quick_jobs=3),
        [],
        [Job(("b",)), Job(("c",))],
    ),
    "full lanes start nothing": (
        [stop("a"), stop("b"), clone("c"), clone("d", "deb")],
        [Job(("a",)), cloning("c")],
        Limits(quick_jobs=1),
        [],
        [],
    ),
    "what is slow has places of its own": (
        [importing("a"), importing("b"), importing("c"), stop("d"), stop("e")],
        [],
        Limits(slow_jobs=2, quick_jobs=1),
        [],
        [Job(("a",), slow=True), Job(("b",), slow=True), Job(("d",))],
    ),
    "also while it runs": (
        [importing("a"), importing("b"), stop("c")],
        [Job(("a",), slow=True)],
        Limits(slow_jobs=1, quick_jobs=1),
        [],
        [Job(("c",))],
    ),
    "what is slow is undone as quick work": (
        [importing("a", ending=State.CANCELLED)],
        [],
        Limits(slow_jobs=1),
        [],
        [Job(("a",))],
    ),
    "an image is added twice in order": (
        [importing("a", "debian"), importing("b", "debian")],
        [],
        Limits(),
        [],
        [Job(("a",), slow=True)],
    ),
    "requests about one vm run in order": (
        [stop("a", "vm0"), stop("b", "vm0"), stop("c", "vm1")],
        [],
        Limits(),
        [],
        [Job(("a",)), Job(("c",))],
    ),
    "also behind its clone": (
        [clone("a", name="vm0"), stop("b", "vm0")],
        [cloning("a")],
        Limits(),
        [],
        [],
    ),
    "and behind one that is held": (
        [stop("a", "vm0"), stop("b", "vm0"), stop("c", "vm1")],
        [],
        Limits(),
        ["a"],
        [Job(("c",))],
    ),
    "what is to be undone is quick work": (
        [clone("a"), clone("b", ending=State.CANCELLED)],
        [],
        Limits(),
        [],
        [Job(("b",)), cloning("a")],
    ),
    "requests whose job died run in smaller batches": (
        [clone(name, attempts=1) for name in "abcdefghij"],
        [],
        Limits(),
        [],
        [cloning(*"abcdefgh")],
    ),
    "in the end alone": (
        [clone("a", attempts=2), clone("b", attempts=2)],
        [],
        Limits(),
        [],
        [cloning("a")],
    ),
    "and not with others": (
        [clone("a", attempts=1), clone("b"), clone("c", attempts=1)],
        [],
        Limits(),
        [],
        [cloning("a", "c")],
    ),
    "who do not wait for them": (
        [clone("a"), clone("b", attempts=1), clone("c")],
        [],
        Limits(),
        [],
        [cloning("a", "c")],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_plan(case: tuple) -> None:
    entries, running, limits, held, expected = case
    assert list(plan(entries, running, limits, frozenset(held))) == expected


def test_nothing_is_started_twice_and_all_is_started() -> None:
    """Run a mixed queue to its end: every request once, the limits kept, names in order."""
    waiting = [
        clone(f"c{number}", f"image{number % 3}", f"vm{number % 7}") for number in range(40)
    ] + [stop(f"s{number}", f"vm{number % 7}") for number in range(40)]
    limits = Limits(clone_jobs=2, quick_jobs=3, batches=(4,))
    running: list[Job] = []
    order: list[str] = []
    while waiting:
        started = plan(waiting, running, limits)
        running += started
        assert sum(job.image is None for job in running) <= limits.quick_jobs
        assert sum(job.image is not None for job in running) <= limits.clone_jobs
        assert running
        finished = running.pop(0)
        order += finished.ids
        waiting = [entry for entry in waiting if entry.id not in finished.ids]
    assert sorted(order) == sorted([f"c{n}" for n in range(40)] + [f"s{n}" for n in range(40)])
    for vm in range(7):
        numbers = [int(request[1:]) for request in order if request[0] == "s"]
        mine = [number for number in numbers if number % 7 == vm]
        assert mine == sorted(mine)


def test_one_that_kills_its_job_takes_nobody_with_it() -> None:
    """Of 100 clones one lets its job die each time: it alone has three attempts."""
    waiting = {f"c{number}": clone(f"c{number}") for number in range(100)}
    jobs = 0
    while waiting:
        (job,) = plan(waiting.values(), [], Limits())
        jobs += 1
        for request_id in job.ids:
            entry = waiting.pop(request_id)
            if "c40" in job.ids:
                waiting[request_id] = replace(entry, attempts=entry.attempts + 1)
        if "c40" in waiting and waiting["c40"].attempts == 3:
            assert job.ids == ("c40",)
            del waiting["c40"]
    assert jobs <= 4 + 4 + 8
