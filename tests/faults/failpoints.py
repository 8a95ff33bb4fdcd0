# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each write of both journals goes wrong once in each way: every request still ends.

The steps come from the journals' own code (support/failpoint.py). Each has the work
below that leads to it; a new one has the first, and is missed if that does not lead to it.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Callable

from maglica.model.request import Request, State
from maglica.verbs.clone import CloneSpec
from support import failpoint
from support.client_worker import eventually
from support.figures import Figure, at_least, at_most, control
from support.reports import IMAGE

from .frame import Run, until_heard
from .tended import Tended, tended

PATIENCE = 120.0
# With all protection a request ends sooner.
CONTROL_PATIENCE = 4.0
HASH = "$6$salt$" + "a" * 86
# As many of them are tried in a short run, for each journal.
SHORT = 4


@dataclass
class Task:
    """Work that is to meet a failpoint: requests by id, and the state that each must end in."""

    tended: Tended
    number: int
    strike: Callable[[], None]
    wanted: dict[str, State] = field(default_factory=dict)

    def clone(self, kind: str = "vm", state: State = State.DONE, spec: object = None) -> Request:
        spec = spec or self.spec(kind)
        request = self.tended.submit(spec)
        self.wanted[request.id] = state
        return request

    def spec(self, kind: str) -> CloneSpec:
        """Return what to clone; ``kind`` is how the cheap clone behaves, and part of the name."""
        name = f"{kind}{self.number}.example.jp"
        return CloneSpec(name, IMAGE, memory_mib=16, root_password=HASH)


def clone(task: Task) -> None:
    task.strike()
    task.clone()


def base(task: Task) -> None:
    task.strike()
    task.clone("base")


def crash(task: Task) -> None:
    task.strike()
    task.clone("crash", State.FAILED)


def cancel(task: Task) -> None:
    """A clone that is cancelled when half of it is done."""
    host = task.tended.host
    name = task.spec("vm").name
    host.block(name, "copied")
    request = task.clone(state=State.CANCELLED)
    eventually(lambda: name in host.drafts, PATIENCE)
    task.strike()
    # It stays blocked: a job that went on could be done before it is told.
    task.tended.ask(lambda client: client.cancel(request.id))


def join(task: Task) -> None:
    """Two equal submits."""
    host = task.tended.host
    name = task.spec("vm").name
    host.block(name, "before")
    first = task.clone()
    task.strike()
    assert task.clone().name == first.name
    host.unblock(name, "before")


def restart_client(task: Task) -> None:
    """The client worker is started again while a request is open."""
    _restart(task, task.tended.restart_client)


def restart_host(task: Task) -> None:
    _restart(task, task.tended.restart_host)


def _restart(task: Task, restart: Callable[..., None]) -> None:
    host = task.tended.host
    name = task.spec("vm").name
    host.block(name, "copied")
    task.clone()
    eventually(lambda: name in host.drafts, PATIENCE)
    restart(task.strike)
    host.unblock(name, "copied")


def new_client_journal(task: Task) -> None:
    task.tended.restart_client(task.strike, anew=True)
    task.clone()


def new_host_journal(task: Task) -> None:
    task.tended.restart_host(task.strike, anew=True)
    task.clone()


def new_host(task: Task) -> None:
    """A host says hello for the first time."""
    task.strike()
    task.tended.ghost(f"ghost{task.number}.example.jp")
    task.clone()


def lost_host(task: Task) -> None:
    """A host whose key is taken away is forgotten."""
    ghost = task.tended.ghost(f"ghost{task.number}.example.jp")
    task.strike()
    task.tended.worker.revoke(ghost)
    task.clone()


WORK: dict[str, dict[str, Callable[[Task], None]]] = {
    failpoint.CLIENT: {
        "add_alias": join,
        "prune": restart_client,
        "keep_host": new_host,
        "forget_host": lost_host,
        "_migrate": new_client_journal,
    },
    failpoint.HOST: {
        "cancel": cancel,
        "forget": cancel,
        "died": crash,
        "prune": restart_host,
        "add_base": base,
        "update_base": base,
        "remove_base": base,
        "_migrate": new_host_journal,
    },
}
# Some steps come only after another one has failed.
FIRST = {"rollback": "commit EIO", "probe": "accept EIO"}


@dataclass
class Tally:
    asked: int = 0
    ended: int = 0
    bad: int = 0
    met: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


def strike(tally: Tally, task: Task, journal: str, step: str, how: str) -> None:
    """Let one step go wrong in one way, and count what comes of it."""
    plan = task.tended.plan
    lines = [FIRST[step]] if step in FIRST else []
    task.strike = lambda: plan(*lines, f"{step} {how}")
    WORK[journal].get(step, clone)(task)
    end = time.monotonic() + PATIENCE
    for request_id, state in task.wanted.items():
        tally.asked += 1
        ended = task.tended.ended(request_id, end)
        tally.ended += ended is not None and ended.state is state
    with contextlib.suppress(AssertionError):
        eventually(lambda: not task.tended.planned(), PATIENCE)
    if task.tended.planned():
        tally.missed.append(f"{step} {how}")
        plan()
    else:
        tally.met[step] += 1
    with contextlib.suppress(AssertionError):
        eventually(lambda: not task.tended.left(task.wanted), PATIENCE)
    tally.bad += len(task.tended.left(task.wanted))


def journal_figures(run: Run, journal: str, who: str) -> Iterator[Figure]:
    steps = failpoint.steps(journal)
    pairs = [(step, how) for step in steps for how in failpoint.WAYS]
    if run.short:
        pairs = run.random(who).sample(pairs, SHORT)
    tally = Tally()
    with tended(run.folder / who.split(maxsplit=1)[0], journal) as them:
        for number, (step, how) in enumerate(pairs):
            begun = time.monotonic()
            asked, ended = tally.asked, tally.ended
            strike(tally, Task(them, number, lambda: None), journal, step, how)
            seconds = time.monotonic() - begun
            counted = f"{tally.ended - ended} of {tally.asked - asked} requests ended"
            run.say(f"{who}, {step} {how}: {counted}, {seconds:.1f} s")
    counts = ", ".join(f"{step} {tally.met[step]}" for step in dict.fromkeys(s for s, _h in pairs))
    how = f"{len(pairs)} failpoints ({', '.join(failpoint.WAYS)}), met: {counts}"
    what = f"failpoints, {who}'s journal"
    share = 100 * tally.ended / tally.asked
    yield at_least(f"{what}: requests ended as they must, %", share, 100, how)
    yield at_most(f"{what}: left over or made twice", tally.bad, 0, how)
    missed = "; ".join(tally.missed) or "none"
    yield at_most(f"{what}: failpoints not met", len(tally.missed), 0, f"missed: {missed}")


def _is_done(task: Task) -> bool:
    """Tell whether a clone is done in time."""
    return task.tended.ended(task.clone().id, time.monotonic() + 15) is not None


def unprotected(run: Run) -> Iterator[Figure]:
    """Let both workers meet failpoints without what gets requests to their end, and cleans up."""
    weak = tended(run.folder / "control", failpoint.HOST, "redelivery", CHEAP_WITHOUT_INTENTS="1")
    with weak as them:
        until_heard(lambda number: _is_done(Task(them, 100 + number, lambda: None)))
        cancelled = Task(them, 0, lambda: None)
        cancel(cancelled)
        for request_id in cancelled.wanted:
            them.ended(request_id, time.monotonic() + PATIENCE)
        left = len(them.left(cancelled.wanted))
        # Killed before it has it in its journal, the host is never told of it again.
        unheard = Task(them, 1, lambda: them.plan("accept kill-before"))
        clone(unheard)
        eventually(lambda: not them.planned())
        end = time.monotonic() + CONTROL_PATIENCE
        open_still = sum(not them.ended(each, end) for each in unheard.wanted)
    how = "a clone that is cancelled, no intent written"
    yield control("failpoints: left over", left, how)
    how = f"host worker, accept kill-before: after {CONTROL_PATIENCE:g} s, published once"
    yield control("failpoints: requests that don't end", open_still, how)


def figures(run: Run) -> Iterator[Figure]:
    yield from journal_figures(run, failpoint.CLIENT, "client worker")
    yield from journal_figures(run, failpoint.HOST, "host worker")
    yield from unprotected(run)
