# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From accepted requests to ended ones: starts jobs, hears their children, decides after each."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ...config.config import HostWorker
from ...model.request import Failure, Phase, Request, State
from ...model.text import told
from ...system.backoff import Backoff
from ...system.log_fields import about
from ...verbs import table
from .. import channel
from ..journal.journal import Journal
from ..journal.requests import Entry
from .children import Child, Children
from .outbox import Outbox
from .prepared_images import OWN, Keeper
from .scheduler import Limits, plan

_log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
# As often, in the time in which a job must show progress, it is looked at.
LOOKS = 10
HOLDS = Backoff(1.0, 60.0)


class Work:
    """The open requests of a host and the children that run them.

    Times are monotonic seconds, given by the caller. Methods raise JournalFailed.
    """

    def __init__(
        self, settings: HostWorker, config_path: Path, journal: Journal, outbox: Outbox
    ) -> None:
        self._host = settings.name
        self._patience = settings.job_silence
        self._limits = Limits(settings.clone_jobs, settings.quick_jobs)
        self._journal = journal
        self._outbox = outbox
        self._children = Children(config_path, settings.state_dir)
        self._open: dict[str, Entry] = {}
        self._unreported: dict[str, Request] = {}
        # Requests that wait before their next try: until when, and how often they have done so.
        self._held_until: dict[str, float] = {}
        self._held_times: dict[str, int] = {}
        self._changed = True
        self._keeper = Keeper(settings.name)
        # The client worker's journal that is told of all requests.
        self.told_to: str | None = None

    # --- what the client worker says

    def resume(self) -> None:
        """Take up what an earlier run of the worker left, and have a child ready."""
        self._open = {entry.id: entry for entry in self._journal.open()}
        for entry in self._journal.unreported():
            self._tell(entry)
        self._children.prepare()

    def accept(self, requests: Sequence[Request]) -> None:
        """Commit requests and acknowledge them; tell again what came of those that have ended."""
        self._journal.accept([each for each in requests if each.id not in self._open])
        for request in requests:
            if request.id not in self._open:
                entry = self._journal.known(request.id)
                if entry is None:
                    # It is there, and can't be read: its own client worker asks again.
                    continue
                if entry.request.state.ended:
                    self._tell(entry)
                    continue
                self._open[entry.id] = entry
                self._changed = True
            if request.who != OWN:
                self._outbox.ack(request.id)
            if request.cancelling:
                self.cancel(request.id)

    def tell_journal(self, journal: str) -> bool:
        """Tell this journal of the client worker of all requests, if it is another than before.

        Returns whether it is.
        """
        if journal == self.told_to:
            return False
        is_anew = self._journal.tell_anew(journal, OWN)
        self.told_to = journal
        for entry in self._open.values():
            if entry.request.who != OWN:
                self._outbox.ack(entry.id)
        for entry in self._journal.unreported() if is_anew else ():
            self._tell(entry)
        return True

    def cancel(self, request_id: str) -> None:
        """End a request that has not ended: stop its job and undo what it did."""
        entry = self._open.get(request_id)
        if entry is None or entry.ending is State.CANCELLED:
            return
        child = self._children.running(request_id)
        if child is not None:
            # First of all: a child that hangs may hold the journal's lock. Should the commit fail,
            # the client worker asks again.
            child.kill("cancelled")
            self._journal.cancel(request_id)
        elif self._journal.end(request_id, State.CANCELLED):
            self._ended(request_id)
            return
        self._reread(request_id)
        self._held_until.pop(request_id, None)

    def keep_prepared(self, images: Sequence[str], now: float) -> None:
        """Have bases made of these images, unless that is under way."""
        preparing = [
            entry.request.name for entry in self._open.values() if table.of(entry.request).ahead
        ]
        if requests := self._keeper.requests(images, preparing, now):
            self.accept(requests)

    # --- what the children say

    def descriptors(self) -> list[int]:
        """Return what to poll for input; a child's end comes as SIGCHLD."""
        return [child.descriptor for child in self._children]

    def look_after(self, now: float) -> None:
        """Take in what children said, and the ends of children; end those that hang."""
        for child in self._children:
            self._listen(child)
            if child.job is not None:
                child.look(now, self._patience / LOOKS)
                if now - child.heard >= self._patience:
                    child.kill(f"no progress for {self._patience:g} s", blame=True)
        for child in self._children.reap():
            self._changed = True
            self._listen(child)
            child.close()
            if child.job is not None:
                self._job_over(child, now)
            elif child.stopped is None:
                _log.error("an idle child has ended: %s", child.cause())
        for request_id in [each for each, until in self._held_until.items() if until <= now]:
            del self._held_until[request_id]
            self._changed = True
        self._children.retire()

    def start(self, now: float) -> None:
        """Start the jobs that can start."""
        if not self._changed:
            return
        for job in plan(self._open.values(), self._children.jobs, self._limits, self._held_until):
            if not self._children.start(job):
                for request_id in job.ids:
                    self._hold(request_id, now)
        self._changed = False

    def _listen(self, child: Child) -> None:
        for said in child.said():
            if isinstance(said, channel.Begun):
                self._begun(said)
            elif isinstance(said, channel.Counted):
                self._begun(said, (said.done, said.total))
            elif isinstance(said, channel.Over):
                self._over(said)
            elif isinstance(said, channel.Ended):
                self._ended(said.id)
            elif isinstance(said, channel.Crashed):
                child.crash = said.text
            elif isinstance(said, channel.Blocked):
                child.blocked = said.text
                with about(*(child.job.ids if child.job else ())):
                    _log.error("host %s: %s", self._host, child.blocked)
            elif isinstance(said, channel.Idle) and said.jobs == child.jobs and child.job:
                self._job_over(child, time.monotonic())

    def _begun(
        self, said: channel.Begun | channel.Counted, counts: tuple[int, int] | None = None
    ) -> None:
        entry = self._open.get(said.id)
        if entry is not None and entry.request.who != OWN:
            self._outbox.progress(entry.id, said.phase, entry.request.phases, counts)

    def _over(self, said: channel.Over) -> None:
        entry = self._open.get(said.id)
        if entry is not None:
            phases = (*entry.request.phases, Phase(said.phase, said.seconds))
            self._open[entry.id] = replace(entry, request=replace(entry.request, phases=phases))

    def _job_over(self, child: Child, now: float) -> None:
        """Decide what becomes of the requests that a job left open."""
        job, child.job = child.job, None
        self._changed = True
        for request_id in job.ids if job else ():
            before = self._open.get(request_id)
            if before is None:
                continue
            entry = self._reread(request_id)
            if entry is None or entry.request.state.ended:
                self._ended(request_id)
            elif not child.is_to_blame:
                pass
            elif before.ending is not None or child.blocked is not None:
                # What could not be undone now is tried again until it is.
                self._hold(request_id, now)
            elif entry.ending is None:
                self._blame(child, entry)

    def _blame(self, child: Child, entry: Entry) -> None:
        """Count a job that ended without a result for a request."""
        request = entry.request
        with about(request):
            _log.error("request %s: its job ended without a result: %s", entry.id, child.cause())
        text = (
            f"cannot {table.act(request)} on host {self._host}: the process that did"
            f" it ended {MAX_ATTEMPTS} times without a result, the last time: {child.cause()}"
        )
        self._journal.died([entry.id], Failure("job_died", told(text)), MAX_ATTEMPTS)
        self._reread(entry.id)

    def _hold(self, request_id: str, now: float) -> None:
        times = self._held_times.get(request_id, 0)
        self._held_times[request_id] = times + 1
        self._held_until[request_id] = now + HOLDS.pause(times)

    def _reread(self, request_id: str) -> Entry | None:
        entry = self._journal.entry(request_id)
        if entry is not None and request_id in self._open:
            self._open[request_id] = entry
        self._changed = True
        return entry

    def _ended(self, request_id: str) -> None:
        """Tell the result of a request that has ended, unless that is under way."""
        if request_id not in self._open:
            return
        entry = self._journal.entry(request_id)
        del self._open[request_id]
        self._held_until.pop(request_id, None)
        self._held_times.pop(request_id, None)
        self._changed = True
        if entry is not None:
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        if entry.request.who == OWN:
            self._journal.reported(entry.id)
            if entry.request.failure is not None:
                with about(entry.request):
                    _log.error("host %s: %s", self._host, entry.request.failure.text)
            return
        self._unreported[entry.id] = entry.request
        self._outbox.result(entry.id)

    def tell_again(self) -> None:
        """Tell every result of which the journal does not say that the client worker has it."""
        for request_id in self._unreported:
            self._outbox.result(request_id)

    # --- questions

    @property
    def is_idle(self) -> bool:
        """Tell whether no child has a job."""
        return not self._children.busy

    @property
    def open_ids(self) -> Collection[str]:
        return self._open.keys()

    def held(self) -> Iterator[Request]:
        """Yield the requests that this host has, as far as the client worker must know."""
        requests = (entry.request for entry in self._open.values())
        told = (request for request in requests if request.who != OWN)
        return chain(told, self._unreported.values())

    def reported(self, request_id: str) -> None:
        """Note that the client worker has a request's result."""
        self._journal.reported(request_id)
        self._unreported.pop(request_id, None)

    def wake_at(self) -> float:
        """Return when ``look_after`` and ``start`` have something to do at the latest."""
        look = time.monotonic() + self._patience / LOOKS if self._children.busy else math.inf
        return min(chain(self._held_until.values(), (look,)))

    def close(self) -> None:
        """End all children, and wait for that; their requests are taken up by the next start."""
        self._children.close()
