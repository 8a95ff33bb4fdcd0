# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host worker's main loop: one thread that reads sockets, pipes and signals and waits for
nothing but the journal's commits.

What the client worker asks is committed, then acknowledged, then run by children. The outbox tells
what came of it until the client worker has it.
"""

from __future__ import annotations

import logging
import math
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from ..._deps import need
from ...config.config import Config
from ...model.errors import EntryUnreadable, JournalFailed, MessageInvalid
from ...model.request import Request, State
from ...model.worker import Worker
from ...system import systemd, version
from ...system.log_fields import about
from ...verbs.remove_image import RemoveImageSpec
from ...verbs.verb import OnVm
from ...wire import features
from ...wire.frames import Message
from ...wire.keys import KeyPair
from .. import request_locks
from ..journal.journal import Journal
from . import messages as notes
from .client_worker_link import ClientWorkerLink
from .open_requests import Work
from .outbox import Note, Outbox
from .report_thread import Reporter
from .teller import Teller

_log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0
# After the children's end, as long may the last results take to be told.
FLUSH_SECONDS = 2.0
FIRST_REPORT_SECONDS = 2.0
RETENTION_SECONDS = 7 * 86400.0
PRUNE_SECONDS = 3600.0
JOURNAL_PAUSE = 2.0
# The main loop waits for nothing else; hellos must not be late because a child hangs in a write.
JOURNAL_PATIENCE = 2.0
LONGEST_WAIT = 5.0
# So long a result waits at most for a report that shows what was done, which is looked for this
# often.
SHOWN_SECONDS = 2.0
LOOK_SECONDS = 0.05


def concerned(request: Request) -> Iterator[str]:
    """Yield the UUIDs of the domain that a request has changed."""
    if request.vm is not None:
        yield request.vm.uuid
    elif isinstance(request.spec, (OnVm, RemoveImageSpec)):
        yield request.spec.uuid


def needs_report(request: Request) -> bool:
    """Tell whether a request has changed what its result says nothing of."""
    is_done = request.state is State.DONE
    return is_done and request.vm is None and not isinstance(request.spec, OnVm)


class Service:
    """A host worker; ``run`` returns after SIGTERM or SIGINT. Signals make it the main thread's."""

    def __init__(self, config: Config, keys: KeyPair | None) -> None:
        self._settings = config.need_host_worker()
        self._journal = Journal(self._settings.state_dir, JOURNAL_PATIENCE)
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)
        self._outbox = Outbox(self._settings.hello_interval)
        self._work = Work(self._settings, config.path, self._journal, self._outbox)
        self._reporter = Reporter(self._settings, self._waker.fileno())
        self._peer = ClientWorkerLink(keys, config.need_client_worker(), self._settings.name)
        self._teller = Teller(self._settings.name)
        self._worker = Worker(version.own(), str(uuid4()))
        # Ended requests whose results wait for a report: since when (time of day), and until when.
        self._unshown: dict[str, tuple[float, float]] = {}
        self._note: Note | None = None
        # The features that both sides know, as the client worker's last welcome said.
        self._features: frozenset[str] = frozenset()
        # Whether a hello is to say soon that all was told that another journal does not know.
        self._is_telling_anew = False
        self._journal_problem: str | None = None
        self._journal_retry_at = -math.inf
        self._prune_at = -math.inf
        self._stop_at: float | None = None

    def run(self) -> None:
        """Serve until told to stop; what is not done then is resumed by the next start."""
        self._catch_signals()
        self._reporter.start()
        self._reporter.wait(FIRST_REPORT_SECONDS)
        self._work.resume()
        systemd.notify("READY=1", f"STATUS=host {self._settings.name}")
        _log.info(
            "host %s: serving, %d open requests", self._settings.name, len(self._work.open_ids)
        )
        watchdog = systemd.Watchdog()
        try:
            while not self._is_over():
                self._turn(min(watchdog.longest_wait, LONGEST_WAIT))
                watchdog.turned()
        finally:
            systemd.notify("STOPPING=1")
            self._work.close()
            self._peer.close()
            self._journal.close()

    def _catch_signals(self) -> None:
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        # Without a handler it would not write to the wakeup descriptor.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _on_stop(self, _number: int, _frame: Any) -> None:
        if self._stop_at is None:
            self._stop_at = time.monotonic() + GRACE_SECONDS

    def _is_over(self) -> bool:
        if self._stop_at is None:
            return False
        now = time.monotonic()
        if self._work.is_idle:
            self._stop_at = min(self._stop_at, now + FLUSH_SECONDS)
            return self._outbox.next(now) is None or now >= self._stop_at
        if now >= self._stop_at:
            _log.warning("host %s: jobs did not end in time, stopping them", self._settings.name)
            return True
        return False

    def _turn(self, longest: float) -> None:
        """Wait for something to happen, and do what is to do."""
        now = time.monotonic()
        until = min(
            self._peer.wake_at(),
            self._work.wake_at(),
            self._outbox.wake_at() if self._peer.can_send() else math.inf,
            self._stop_at if self._stop_at is not None else math.inf,
            self._journal_retry_at if self._journal_problem is not None else math.inf,
            now + longest,
        )
        self._poll(max(0.0, until - now))
        now = time.monotonic()
        self._peer.tick(now)
        # A client worker that was started anew knows nothing of this host, nor this host of what it
        # takes. Asked before its answer is read, which may have come with the connection.
        if self._peer.is_new():
            self._features, self._outbox.tells_lost = frozenset(), False
            self._outbox.greet(now)
        self._try_journal(now)
        if (reply := self._peer.reply(now)) is not None:
            self._answered(reply, now)
        with self._survive():
            self._heard(self._peer.published())
        with self._survive():
            self._work.look_after(now)
            if self._stop_at is None and self._journal_problem is None:
                self._work.keep_prepared(self._reporter.unprepared, now)
                self._work.start(now)
        if self._reporter.has_news():
            (self._outbox.go_on if self._unshown else self._outbox.hello)(now)
        if self._peer.can_send():
            self._send(now)
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            with self._survive():
                self._journal.prune(time.time() - RETENTION_SECONDS)
                request_locks.sweep(self._settings.state_dir, self._work.open_ids)
                self._journal.wipe_log()

    def _poll(self, seconds: float) -> None:
        zmq = need("zmq")
        poller = zmq.Poller()
        for source in (*self._peer.sockets(), *self._work.descriptors(), self._wake.fileno()):
            poller.register(source, zmq.POLLIN)
        poller.poll(math.ceil(seconds * 1000))
        try:
            while self._wake.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _heard(self, messages: Iterable[Message]) -> None:
        heard = list(messages)
        for each in heard:
            if each.type == "requests":
                self._accept(each.body["requests"])
        for each in heard:
            if each.type == "cancel":
                self._cancel(each.body["ids"])

    def _accept(self, requests: Iterable[Request]) -> None:
        mine = []
        for request in requests:
            if request.host == self._settings.name:
                mine.append(request)
            else:
                with about(request):
                    _log.warning("request %s is for host %s, not taken", request.id, request.host)
        if mine and self._stop_at is None:
            self._work.accept(mine)

    def _cancel(self, request_ids: Iterable[str]) -> None:
        for request_id in request_ids:
            self._work.cancel(request_id)

    def _send(self, now: float) -> None:
        note = self._outbox.next(now)
        if note is None:
            return
        with self._survive():
            try:
                if note.type == "result" and not self._is_shown(note.id, now):
                    self._outbox.postpone(note.id, now + LOOK_SECONDS)
                    return
                message = self._compose(note)
            except EntryUnreadable as error:
                # It is not told, as after a start; all others are.
                message = None
                with about(note.id):
                    _log.error("host %s: %s", self._settings.name, error)
            if message is None:
                self._outbox.settle(note, None, now)
                return
            try:
                self._peer.send(message, now)
            except MessageInvalid as error:
                # What is too long would be so the next time, too; the worker goes on.
                with about(note.id):
                    _log.error("host %s: cannot send %s: %s", self._settings.name, note.type, error)
                self._outbox.settle(note, error.code, now)
                return
            self._note = note

    def _is_shown(self, request_id: str, now: float) -> bool:
        """Tell whether whoever hears a request's result can be shown what it has changed.

        A result says it itself of a vm. What else has changed, as an image, is to be in a report
        that was told before, if one comes soon.
        """
        if request_id not in self._unshown:
            entry = self._journal.entry(request_id)
            for uuid in concerned(entry.request) if entry else ():
                self._reporter.changed(uuid)
            if entry is None or not needs_report(entry.request):
                return True
            self._unshown[request_id] = (time.time(), now + SHOWN_SECONDS)
            self._reporter.poke()
        since, until = self._unshown[request_id]
        if now < until and self._stop_at is None and not self._reporter.has_told(since):
            return False
        del self._unshown[request_id]
        return True

    def _compose(self, note: Note) -> Message | None:
        host = self._settings.name
        if note.type == "hello":
            report = self._reporter.report(self._journal_problem)
            held = self._work.held()
            worker = self._worker if features.WORKERS in self._features else None
            journal = self._work.told_to if self._outbox.tells_lost else None
            self._teller.known = self._features
            return self._teller.hello(report, self._reporter.shown, held, worker, journal)
        if note.type == "ack":
            kept = self._journal.entry(note.id) if note.whole else None
            return notes.ack(host, note.id, kept.request if kept else None, self._features)
        if note.type == "progress":
            counts = note.counts if features.PROGRESS_COUNTS in self._features else None
            return notes.progress(host, note.id, note.phase, note.phases, counts)
        entry = self._journal.entry(note.id)
        if entry is None:
            return None
        tell = notes.refused if note.bare else notes.result
        return tell(host, entry.request, note.whole, self._features)

    def _answered(self, reply: Message, now: float) -> None:
        note, self._note = self._note, None
        if note is None:
            return
        code = reply.body["code"] if reply.type == "error" else None
        if code is not None:
            with about(note.id):
                _log.warning("the client worker answers %s: %s", note.type, reply.body["text"])
        with self._survive():
            done = self._outbox.settle(note, code, now)
            if note.type == "hello":
                self._teller.answered(code is None, reply.body.get("everything", False))
                if self._teller.has_more:
                    self._outbox.go_on(now)
            if done and note.type == "result":
                self._work.reported(note.id)
                self._reporter.poke()
            if self._is_telling_anew and self._outbox.is_all_told:
                self._is_telling_anew = False
                self._outbox.go_on(now)
            if reply.type == "welcome":
                self._learn(frozenset(reply.body.get("features", ())), now)
                journal = reply.body.get("journal")
                if journal is not None and self._work.tell_journal(journal):
                    self._is_telling_anew = True
                    self._outbox.go_on(now)
                self._accept(reply.body["requests"])
                self._cancel(reply.body["cancel"])

    def _learn(self, named: frozenset[str], now: float) -> None:
        """Take in which features the client worker has named; tell it at once who this is."""
        before, self._features = self._features, named.intersection(features.OWN)
        self._outbox.tells_lost = features.LOST_REQUESTS in self._features
        if features.WORKERS in self._features - before:
            self._outbox.hello(now)

    def _try_journal(self, now: float) -> None:
        """After a failure see now and then whether the journal can be written again."""
        if self._journal_problem is None or now < self._journal_retry_at:
            return
        with self._survive():
            self._journal.probe()
            _log.info("host %s: the journal can be written again", self._settings.name)
            self._journal_problem = None
            self._work.tell_again()
            self._outbox.hello(now)

    @contextmanager
    def _survive(self) -> Iterator[None]:
        """Let a journal that fails (a full disk) stop new work, but not the worker."""
        try:
            yield
        except JournalFailed as error:
            now = time.monotonic()
            self._journal_retry_at = now + JOURNAL_PAUSE
            if self._journal_problem is None:
                _log.error("host %s: %s", self._settings.name, error)
                self._outbox.hello(now)
            self._journal_problem = str(error)
