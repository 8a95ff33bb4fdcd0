# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 and network cuts while images are fetched from the web and made: all but guests is real.

First somebody is killed at the points that one undisturbed import passes, then at random moments
of several at once, some of which are new versions of images, are cancelled, or come from a server
that does not send what the checksum says. What counts is what is on the host in the end.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from maglica.host_worker.daemon.open_requests import MAX_ATTEMPTS
from support.figures import Figure, at_least, at_most, control
from support.web_server import served

from .frame import Run
from .import_site import LIES, Images
from .import_stage import KILLED, PATIENCE, Seen, Stage, staged

# Kills at points, kills at random moments, and cuts.
FULL = (36, 30, 34)
SHORT = (2, 2, 2)
AT_ONCE = 3
VICTIMS = {"job": 4, "host worker": 2, "client worker": 1}
# The shares of imports from a server that lies, and for an image that is there; how often one that
# is under way is cancelled, at each look.
LYING, NEW_VERSIONS, CANCELLED = 0.3, 0.4, 0.002
LOG_SHOWN = 20_000
# Seconds between two kills.
PAUSE = (0.1, 0.6)


@dataclass
class Storm:
    """What is under way; ``killed`` has how often who was killed."""

    run: Run
    stage: Stage
    images: Images
    choice: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    points: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        return f"image{next(self.numbers)}"

    def at_points(self, count: int) -> None:
        """Kill somebody at each point, in an order of the seed's, until that were so many."""
        points = [*self.points]
        self.choice.shuffle(points)
        victims = itertools.cycle(("job", "host worker"))
        for point, victim in itertools.islice(zip(itertools.cycle(points), victims), count):
            self.stage.host.stop_at(point)
            one = self.stage.add(self.name(), self.images.source())
            self.killed[self.stage.kill_at(victim)] += 1
            self.stage.wait(one)

    def at_random(self, kills: int, cuts: int) -> None:
        """Kill and cut so often, with several imports at once, and wait until all have ended.

        It gives up when nothing happens any more.
        """
        last = self.killed.total() + kills
        due = happened = time.monotonic()
        before = (0, 0, 0)
        while True:
            struck = self.killed.total(), self.images.cut.total()
            is_over = struck[0] >= last and struck[1] >= cuts
            under_way = self.stage.look()
            now = (*struck, len(self.stage.imports) - len(under_way))
            if now != before:
                before, happened = now, time.monotonic()
            is_stuck = time.monotonic() - happened > PATIENCE
            if is_stuck or (is_over and not under_way):
                return
            if not is_over and len(under_way) < AT_ONCE:
                self._add(cuts)
            elif under_way and self.choice.random() < CANCELLED:
                self.stage.cancel(self.choice.choice(under_way))
            if self.killed.total() < last and time.monotonic() >= due:
                (victim,) = self.choice.choices([*VICTIMS], [*VICTIMS.values()])
                if self.stage.kill(victim, self.choice.randrange(1000)):
                    self.killed[victim] += 1
                    due = time.monotonic() + self.choice.uniform(*PAUSE)
            time.sleep(0.02)

    def _add(self, cuts: int) -> None:
        lie = self.choice.choice(LIES) if self.choice.random() < LYING else ""
        more = 0 if lie else min(2, max(0, cuts - self.images.cut.total()))
        made = {each.image: each.source.file for each in self.stage.imports if each.is_done}
        busy = {each.image for each in self.stage.imports if not each.has_ended}
        free = [image for image in made if image not in busy]
        is_new = not free or self.choice.random() >= NEW_VERSIONS
        image = self.name() if is_new else self.choice.choice(free)
        self.stage.add(image, self.images.source(lie, more, unlike=made.get(image)))


def figures(run: Run) -> Iterator[Figure]:
    at_points, at_random, cuts = SHORT if run.short else FULL
    choice = run.random("storm")
    with ExitStack() as stack:
        site = stack.enter_context(served())
        stage = stack.enter_context(staged(run.folder / "i"))
        storm = Storm(run, stage, Images(site, run.folder, choice), choice)
        first = stage.wait(stage.add(storm.name(), storm.images.source()))
        if not first.is_done:
            raise RuntimeError(f"an undisturbed import: {first.request.failure}")
        stage.settle()
        storm.points = stage.passed()
        run.say(f"an import passes {' '.join(storm.points)}")
        storm.at_points(at_points)
        run.say(f"killed at points: {dict(storm.killed)}")
        storm.at_random(at_random, cuts)
        not_ended = len(stage.look())
        found = stage.seen()
        ends = Counter(each.code for each in stage.imports)
        cut = storm.images.cut
        how = f"{len(stage.imports)} imports, killed: {_told(storm.killed)}, cut: {_told(cut)}"
        how += f"; ended: {_told(ends)}"
        wrong = (*found.half_made, *found.orphans, *found.accepted, *found.unclear)
        for text in wrong:
            run.say(f"WRONG: {text}")
        if wrong:
            run.say(f"the host worker's log:\n{stage.host.log[-LOG_SHOWN:]}")
        strikes = storm.killed.total() + cut.total()
        wanted = at_points + at_random + cuts
        yield at_least("imports: kills -9 and cuts", strikes, wanted, how)
        yield at_most("imports: requests that don't end", not_ended, 0, how)
        yield at_most("imports: unclear ends", len(found.unclear), 0, how)
        died = storm.killed["job"] // MAX_ATTEMPTS
        told = f"no more than {storm.killed['job']} kills of jobs can let fail"
        yield at_most("imports: failed, as each try was killed", ends[KILLED], died, told)
        yield at_most("imports: half-made images", len(found.half_made), 0, how)
        left = "files in pool and state folder, intents"
        yield at_most("imports: orphan files", len(found.orphans), 0, left)
        yield at_most("imports: wrong digests accepted", len(found.accepted), 0, how)
        yield from _controls(storm, found)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "none"


def _controls(storm: Storm, before: Seen) -> Iterator[Figure]:
    """Do the same without what undoes and what checks; the stage is good for nothing afterwards."""
    stage = storm.stage
    stage.weaken("without-undo")
    _cancelled(storm, _last(storm.points, "write/"))
    left = len(stage.seen().orphans) - len(before.orphans)
    yield control("imports: orphan files", left, "cancelled at write, nothing undone")
    _cancelled(storm, _last(storm.points, "define/"))
    half_made = len(stage.seen().half_made) - len(before.half_made)
    yield control("imports: half-made images", half_made, "cancelled at define, nothing undone")
    stage.weaken("without-digests")
    stage.wait(stage.add(storm.name(), storm.images.source("altered", kind="raw")))
    accepted = len(stage.seen().accepted) - len(before.accepted)
    yield control("imports: wrong digests accepted", accepted, "no digest compared")


def _last(points: list[str], phase: str) -> str:
    return next(point for point in reversed(points) if point.startswith(phase))


def _cancelled(storm: Storm, point: str) -> None:
    """Cancel an import at a point."""
    stage = storm.stage
    stage.host.stop_at(point)
    one = stage.add(storm.name(), storm.images.source())
    process = stage.host.reached()
    stage.cancel(one)
    stage.host.wait_killed(process)
    stage.wait(one)
