# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs to start now; pure.

Clone requests of one image that wait are one job, because an appliance's start costs more than a
member; so are those that prepare it. All other work runs beside them, one request a job: what is
short, and what is slow in places of its own, so that nothing short waits for it. Requests about the
same vm or image run one after the other, as they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ...verbs import table
from ...verbs.verb import SLOW_JOBS
from ..journal.requests import Entry

# How many clones are a batch at most, by how often a job has died with one of them: what kills its
# job shall be found in few rounds, and have no mates at its last attempt.
BATCHES = (32, 8, 1)
# As many of the oldest clones are looked at; of the others only whose vms they are.
WINDOW = 1000


@dataclass(frozen=True)
class Job:
    """Requests that one child process runs; ``image``: whose base they need.

    ``slow``: it takes minutes, mostly of waiting.
    """

    ids: tuple[str, ...]
    image: str | None = None
    slow: bool = False


@dataclass(frozen=True)
class Limits:
    """How many jobs may run at once, by kind; see BATCHES and WINDOW for the others."""

    clone_jobs: int = 1
    quick_jobs: int = 4
    slow_jobs: int = SLOW_JOBS
    batches: tuple[int, ...] = BATCHES
    window: int = WINDOW


def plan(
    entries: Iterable[Entry], running: Collection[Job], limits: Limits, held: Collection[str] = ()
) -> tuple[Job, ...]:
    """Return the jobs to start.

    ``entries`` are the open requests, oldest first, with those that ``running`` jobs have;
    ``held`` are ids that must wait for a while longer.
    """
    busy = {request_id for job in running for request_id in job.ids}
    free_images = _FreeImages(running, limits)
    others = [job.slow for job in running if job.image is None]
    free = {
        True: limits.slow_jobs - others.count(True),
        False: limits.quick_jobs - others.count(False),
    }
    taken_names: set[str] = set()
    quick: list[Job] = []
    ahead: list[Entry] = []
    in_view = 0
    for entry in entries:
        if in_view >= limits.window and not any(free.values()):
            break
        name = entry.request.name
        behind_another = name in taken_names
        taken_names.add(name)
        if behind_another or entry.id in busy or entry.id in held:
            continue
        image = _image(entry)
        if image is None:
            slow = table.of(entry.request).slow and entry.ending is None
            if free[slow] > 0:
                free[slow] -= 1
                quick.append(Job((entry.id,), slow=slow))
            continue
        in_view += 1
        if in_view > limits.window:
            continue
        if table.of(entry.request).ahead:
            ahead.append(entry)
        else:
            free_images.offer(image, entry)
    # What is made ahead waits for those who need something now.
    for entry in ahead:
        free_images.offer(entry.request.name, entry)
    return (*quick, *free_images.jobs())


def _image(entry: Entry) -> str | None:
    """Return the image whose base the next job of a request needs; None for other work."""
    base_of = table.of(entry.request).base_of
    return None if entry.ending is not None or base_of is None else base_of(entry.request.spec)


class _FreeImages:
    """Batches in the making, by image; an image that a running job works with takes none."""

    def __init__(self, running: Collection[Job], limits: Limits) -> None:
        self._limits = limits.batches
        self._busy = {job.image for job in running if job.image is not None}
        self._free = limits.clone_jobs - len(self._busy)
        self._batches: dict[str, list[Entry]] = {}

    def offer(self, image: str, entry: Entry) -> None:
        if image in self._busy:
            return
        if image not in self._batches and len(self._batches) >= self._free:
            return
        batch = self._batches.setdefault(image, [])
        # Those that have died as often run together, and no others with them.
        if batch and batch[0].attempts != entry.attempts:
            return
        if len(batch) < self._limits[min(entry.attempts, len(self._limits) - 1)]:
            batch.append(entry)

    def jobs(self) -> list[Job]:
        return [
            Job(tuple(entry.id for entry in batch), image) for image, batch in self._batches.items()
        ]
