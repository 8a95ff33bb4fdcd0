# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments of both workers, of jobs and of the library: real processes all.

A vm is a file here (support/cheap_clone), all around it is real. What counts is whether each
request that the library has begun to hand in ended well, and how often each vm was made.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from maglica.host_worker.daemon.scheduler import BATCHES
from maglica.model.request import State
from support.client_worker import Peer, eventually, is_ready
from support.figures import Figure, at_least, at_most, control

from .frame import Run
from .party import HOSTS, Party, party

PATIENCE = 300.0
# No longer than this may nothing end while there is something to do.
PAUSE_SECONDS = 15.0
# Requests and kills.
FULL = (10_000, 200)
SHORT = (480, 12)
UNKEPT = 5
HANDED_OVER = 20
VICTIMS = {"client worker": 2, "host worker": 3, "job": 4, "library": 1}


@dataclass
class Mayhem:
    """Who was killed, and how long nothing ended at most (in seconds)."""

    killed: Counter[str] = field(default_factory=Counter)
    pause: float = 0.0


def mayhem(run: Run, them: Party, kills: int) -> Mayhem:
    """Kill so often, spread over all requests, until all of these have ended.

    More of them are handed in after each kill, so that none is left over when all requests have
    ended, however fast these are.
    """
    random = run.random(them.folder.name)
    total = len(them.names)
    found = Mayhem()
    killed = found.killed
    them.start()
    them.start_library()
    last = time.monotonic()
    seen = 0
    # How many requests have ended when each kill is due; and what is left to the last of them.
    dues = [max(1, total * number // (kills + 1)) for number in range(kills + 1)]
    while them.library is not None and them.library.poll() is None:
        now = len(them.ended())
        found.pause = max(found.pause, time.monotonic() - last)
        if now > seen:
            seen, last = now, time.monotonic()
        if time.monotonic() > last + PATIENCE:
            break
        them.allow([*dues, total][killed.total() + 1])
        if killed.total() < kills and now >= dues[killed.total()]:
            (victim,) = random.choices([*VICTIMS], [*VICTIMS.values()])
            time.sleep(random.uniform(0, 0.3))
            if them.kill(victim, random.randrange(1000)):
                killed[victim] += 1
                if killed.total() % 20 == 0:
                    run.say(f"{killed.total()} kills, {now} of {total} requests ended")
        else:
            time.sleep(0.02)
    return found


def most_died(kills: int) -> int:
    """Return how many requests can have had each of their jobs killed by so many kills.

    A kill counts against all of a batch, and batches get smaller (scheduler.BATCHES).
    """
    died = 0
    while sum(-(-(died + 1) // size) for size in BATCHES) <= kills:
        died += 1
    return died


def outcome(them: Party) -> tuple[int, int]:
    """Return how many requests are lost, and what is left over."""
    there = them.there()
    ended = them.ended()
    # Whose job was killed at each of its tries has failed, says so, and must have left nothing.
    died = {name for each, name in them.names.items() if ended.get(each) == "job_died"}
    wanted = {each: name for each, name in them.names.items() if name not in died}
    done = [each for each in wanted if ended.get(each) == "done"]
    lost = max(len(set(wanted.values()) - there.keys()), len(wanted) - len(done))
    left = sum(len(host.drafts) for host in them.hosts) + len(died & there.keys())
    for host in them.hosts:
        journal = host.journal()
        left += sum(bool(journal.intents(request_id)) for request_id in them.names)
        journal.close()
    return lost, left


def settled(them: Party) -> bool:
    """Tell whether no job is under way any more; those of a killed library end by themselves."""
    return all(not host.drafts for host in them.hosts)


def figures_of_mayhem(run: Run) -> Iterator[Figure]:
    requests, kills = SHORT if run.short else FULL
    with party(run, "kills", requests) as them:
        found = mayhem(run, them, kills)
        with contextlib.suppress(AssertionError):
            eventually(lambda: settled(them), PATIENCE)
        lost, left = outcome(them)
        twice = them.twice()
        states = Counter(them.ended().values())
    killed = found.killed
    how = f"{requests} requests, {killed.total()} kills: " + ", ".join(
        f"{count} of {victim}" for victim, count in sorted(killed.items())
    )
    how += f"; ended: {dict(states)}"
    # More requests come with each kill: only a run that hangs has fewer.
    yield at_least("random kill -9: kills", killed.total(), kills, how)
    yield at_most("random kill -9: requests lost", lost, 0, how)
    most = most_died(killed["job"])
    told = f"no more than {killed['job']} kills of jobs, in batches of {BATCHES}, can let fail"
    yield at_most("random kill -9: failed, as each try was killed", states["job_died"], most, told)
    yield at_most("random kill -9: vms made twice", twice, 0, how)
    yield at_most("random kill -9: drafts and intents left", left, 0, how)
    told = "the longest time in which no request ended"
    yield run.within("random kill -9: pause, seconds", found.pause, PAUSE_SECONDS, told)


def without_durability(run: Run) -> Iterator[Figure]:
    """Kill a client worker that replies first while nobody else has what it accepted.

    What a host has, the host tells; what a client still waits for, it would hand in again.
    """
    with party(run, "durability", UNKEPT) as them:
        them.weaken("durability")
        them.weaken("handing_in")
        client = _started(them)
        them.allow(1)
        them.start_library()
        eventually(them.ended)
        for host in them.hosts:
            host.stop(signal.SIGKILL)
        them.allow(UNKEPT)
        eventually(lambda: len(client.ask("list")[1]["requests"]) > 1)
        them.kill("client worker", 0)
        for host in them.hosts:
            host.start()
        eventually(lambda: them.library is None or them.library.poll() is not None, PATIENCE)
        lost, _left = outcome(them)
    how = f"without durability, {UNKEPT} requests, the client worker killed before a host has them"
    yield control("random kill -9: requests lost", lost, how)


def without_intents(run: Run) -> Iterator[Figure]:
    """Kill the job of a clone half done on hosts that announce nothing."""
    with party(run, "intents", 1) as them:
        them.weaken("intents")
        client = _started(them)
        ((request_id, name),) = them.names.items()
        for host in them.hosts:
            host.block(name, "copied")
        client.clone(name, request_id, memory_mib=16, start=False)
        (busy,) = eventually(lambda: [host for host in them.hosts if host.drafts])
        for job in busy.children():
            os.kill(job, signal.SIGKILL)
        for host in them.hosts:
            host.unblock(name, "copied")
        eventually(lambda: client.request("status", id=request_id).state.ended, PATIENCE)
        _lost, left = outcome(them)
    how = "a clone whose job is killed, no intent written"
    yield control("random kill -9: drafts and intents left", left, how)


def _started(them: Party) -> Peer:
    """Start both workers; return a client when all hosts have said hello."""
    them.start()
    client = them.worker.peer("client", "carol")
    eventually(lambda: sum(is_ready(each) for each in client.ask("hosts")[1]["hosts"]) == HOSTS)
    return client


def handed_over_again(run: Run, protection: str = "") -> int:
    """Hand requests that are done over once more; return how many vms were made twice.

    The client worker gets back its journal as it was before it heard of the hosts' results.
    """
    with party(run, f"again{protection}", HANDED_OVER) as them:
        if protection:
            them.weaken(protection)
        client = _started(them)
        for host in them.hosts:
            host.process.send_signal(signal.SIGSTOP)
        requests = [client.clone(name, memory_mib=16, start=False) for name in them.names.values()]
        them.worker.stop(signal.SIGKILL)
        journal = [*them.worker.folder.glob("journal.sqlite*")]
        kept = {path: path.read_bytes() for path in journal}
        them.worker.start()
        for host in them.hosts:
            host.process.send_signal(signal.SIGCONT)

        def are_done() -> bool:
            states = [client.request("status", id=each.id).state for each in requests]
            return states == [State.DONE] * HANDED_OVER

        eventually(are_done, PATIENCE)
        them.worker.stop(signal.SIGKILL)
        for path in them.worker.folder.glob("journal.sqlite*"):
            path.unlink()
        for path, content in kept.items():
            path.write_bytes(content)
        them.worker.start()
        eventually(are_done, PATIENCE)
        return them.twice()


def figures(run: Run) -> Iterator[Figure]:
    yield from figures_of_mayhem(run)
    yield from without_durability(run)
    yield from without_intents(run)
    how = f"{HANDED_OVER} requests that are done, handed over by an older journal"
    if not run.short:
        twice = handed_over_again(run)
        yield at_most("handed over again: vms made twice", twice, 0, how)
    twice = handed_over_again(run, "known_ids")
    yield control("random kill -9: vms made twice", twice, f"without known_ids, {how}")
