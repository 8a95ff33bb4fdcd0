# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many messages, one transaction: what arrived together is handled, committed, then answered.

Knows no sockets: messages in, replies and publications out.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import AccessDenied, JournalFailed, MaglicaError
from ..model.request import Request, State
from ..system.log_fields import about
from ..wire import features
from ..wire.frames import Message
from . import host_messages, learning
from .access import ANYBODY
from .client_messages import short_answer, tail_answer
from .dispatch import Incoming, dispatch
from .journal import Journal
from .known.news import SETTLE_SECONDS
from .state import Context, error_message, give_turns, may_be_told, published, waits_for_turn
from .waits import Envelope, Wait

logger = logging.getLogger(__name__)

PUBLISH_AT_ONCE = 256
PRUNE_AT_ONCE = 1000
PRUNE_SECONDS = 60.0
KEEP_SECONDS = 2.0
SWEEP_SECONDS = 0.2
# A host that subscribes again and again gets what it lacks again no more often than this.
REPEAT_SECONDS = 1.0
# How long to leave a journal alone that just failed, when nobody waits for an answer.
PAUSE_SECONDS = 1.0
COMPLAIN_SECONDS = 10.0


@dataclass
class Outcome:
    """What to send, in this order, once it is true: replies, then publications by topic."""

    replies: list[tuple[Envelope, Message]] = field(default_factory=list)
    publications: list[tuple[bytes, Message]] = field(default_factory=list)

    def extend(self, other: Outcome) -> None:
        self.replies += other.replies
        self.publications += other.publications


class Engine:
    """The client worker without its sockets."""

    def __init__(
        self, context: Context, journal: Journal, retention: float, configured: frozenset[str]
    ) -> None:
        self._context = context
        self._journal = journal
        self._retention = retention
        self._configured = configured
        self._keyed: frozenset[str] = frozenset()
        self._names: frozenset[str] | None = None
        self._more = False
        # The hosts that have subscribed, and when each may be published all again.
        self._subscribed: set[str] = set()
        self._repeat_at: dict[str, float] = {}
        # What hosts had told when the last transaction was committed.
        self._told_bytes = context.told_bytes.copy()
        self._next_sweep = self._next_keep = self._next_prune = self._not_before = 0.0
        self._complaint = ""
        self._complain_again = 0.0

    def start(self) -> None:
        """Take in what the journal knows. Raises JournalFailed."""
        context, now = self._context, self._context.clock()
        context.hosts.recall(self._journal.hosts(), now)
        context.hosts.know(self._configured)
        self._keyed = self._configured if context.table is None else context.table.hosts
        learning.expect(context, self._journal, self._keyed)
        context.requests.load()
        learning.end_forgotten(context, self._journal)
        for request in self._journal.ended_since(context.wall() - SETTLE_SECONDS):
            if request.state is State.DONE:
                context.hosts.reserve(request)
                context.hosts.release(request, context.clock())
                # What is kept of its host may be older.
                host_messages.note(context, request, request.updated)
        for request in context.requests.open.values():
            context.hosts.reserve(request)
            self._publish_again(request)

    def stop(self) -> None:
        """Keep what the next start should know of the hosts."""
        self._by_the_way(lambda: self._keep_hosts(math.inf))

    def admit(self, keyed: frozenset[str]) -> None:
        """Take in which hosts have keys: all others are down.

        Hosts that are not in the configuration either are forgotten when nothing of them is open.
        """
        # Of a host that registers with a new journal it is not known either what it has.
        learning.expect_too(self._context, self._journal, keyed - self._keyed)
        self._keyed, self._names = keyed, keyed | self._configured
        self._context.hosts.know(keyed)
        self._context.hosts.retire(keyed)
        strays = self._context.strays.items()
        self._context.strays = {stray: host for stray, host in strays if host in keyed}
        for claim in [each for each in self._context.contested if each[0] not in keyed]:
            del self._context.contested[claim]
        self._next_prune = 0.0

    def revoke(self) -> Outcome:
        """End the waits of those who may not wait any more."""
        table = self._context.table

        def admitted(key: str) -> bool:
            caller = table.peers.get(key) if table is not None else ANYBODY
            return caller is not None and caller.may("wait")

        denied = error_message(AccessDenied("this key has no role any more that may wait"))
        revoked = self._context.waits.revoked(admitted)
        if revoked:
            self._context.rejects["revoked"] += len(revoked)
        return Outcome([(wait.envelope, denied) for wait in revoked])

    def handle(self, messages: Iterable[Incoming]) -> Outcome:
        """Handle messages, and publish what is due. What can't be committed is not accepted.

        Each is taken from ``messages`` when the one before was handled.
        """
        left = iter(messages)
        taken: list[Incoming] = []
        try:
            return self._transaction(_noted(left, taken))
        except Exception as error:  # noqa: BLE001 - what breaks at one message stops no other
            self._take_back()
            taken += itertools.islice(left, max(2 - len(taken), 0))
            if len(taken) <= 1:
                self._complain(error)
                self._not_before = self._context.clock() + PAUSE_SECONDS
                for message in taken:
                    # It has its answer with that: another one would be taken for the next one's.
                    self._context.waits.drop(message.envelope[0])
                return Outcome([(message.envelope, _failed(error)) for message in taken])
        # One of them brought all down: each by itself, so that the others are not held up.
        outcome = Outcome()
        for message in itertools.chain(taken, left):
            outcome.extend(self.handle([message]))
        return outcome

    def subscribed(self, host: str) -> None:
        """Publish again all that a host has not acknowledged: it listens from now on."""
        self._subscribed.add(host)

    def tick(self) -> Outcome:
        """Do what is due by the clock; return what to send."""
        context, now = self._context, self._context.clock()
        outcome = Outcome()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            context.hosts.sweep(now)
        for wait in context.waits.over(now):
            outcome.replies.append((wait.envelope, self._answer(wait)))
        keep_at = 0.0 if context.hosts.first_to_keep else self._next_keep
        if now >= max(keep_at, self._not_before):
            self._next_keep = now + KEEP_SECONDS
            # Who has not told all in time is waited for no more, and that is said.
            learning.missing(context)
            self._by_the_way(lambda: self._keep_hosts(now))
        if now >= max(self._next_prune, self._not_before):
            self._next_prune = now + PRUNE_SECONDS
            self._by_the_way(self._prune)
        return outcome

    def patience(self) -> float:
        """Return for how many seconds nothing will be due, unless a message comes."""
        now = self._context.clock()
        if self._more and now >= self._not_before:
            return 0.0
        times = [now + SWEEP_SECONDS]
        times += [t for t in (self._context.waits.next_end(),) if t is not None]
        due = self._context.delivery.next_time()
        if due is not None:
            times.append(max(due, self._not_before))
        return max(0.0, min(times) - now)

    def _transaction(self, messages: Iterable[Incoming]) -> Outcome:
        context = self._context
        outcome = Outcome()
        context.requests.begin()
        for message in messages:
            answer = dispatch(context, message)
            if answer is not None:
                outcome.replies.append((message.envelope, answer))
        if context.clock() >= self._not_before:
            self._publish(outcome)
        added = list(context.requests.added.values())
        context.requests.commit()
        self._told_bytes = context.told_bytes.copy()
        for request in added:
            with about(request):
                logger.info("accepted from %s: %s", request.who, _described(request))
        for request in context.requests.changed.values():
            if request.state.ended:
                self._ended(request)
        outcome.replies += self._answered()
        return outcome

    def _answered(self) -> Iterator[tuple[Envelope, Message]]:
        """Yield the answers to those who wait for what has changed."""
        context = self._context
        made: dict[Any, Message] = {}
        for wait, news in context.waits.answered_by(context.requests.changed.values()):
            # However many wait for the same, it is shown once.
            which = (wait.tail or tuple(request.id for request in news), wait.features)
            if which not in made:
                made[which] = self._answer(wait, news)
            yield wait.envelope, made[which]

    def _answer(self, wait: Wait, news: Iterable[Request] = ()) -> Message:
        """Return what somebody gets who has waited; no news: the time is over."""
        if wait.tail:
            try:
                answer = tail_answer(self._context, wait.tail, wait.features)
            except JournalFailed as error:
                return error_message(error)
        else:
            answer = short_answer(wait.features)
            for request in news:
                if not answer.add(request):
                    break
        message = answer.message()
        message.body["features"] = features.OWN
        return message

    def _ended(self, request: Request) -> None:
        self._context.delivery.drop(request.id)
        self._context.hosts.release(request, self._context.clock())
        why = f": {request.failure.text}" if request.failure else ""
        with about(request):
            logger.info("%s: %s%s", request.state.value, _described(request), why)

    def _repeat(self) -> None:
        now = self._context.clock()
        for host in [each for each in self._subscribed if self._repeat_at.get(each, now) <= now]:
            self._subscribed.discard(host)
            self._repeat_at[host] = now + REPEAT_SECONDS
            for request in self._context.requests.of_host(host):
                self._publish_again(request)

    def _publish_again(self, request: Request) -> None:
        is_known_there = request.state is State.RUNNING and not request.cancelling
        if not is_known_there and not waits_for_turn(self._context, request):
            self._context.delivery.add(request.id, request.host or "")

    def _publish(self, outcome: Outcome) -> None:
        self._repeat()
        context = self._context
        give_turns(context)
        ids = context.delivery.due(context.clock(), PUBLISH_AT_ONCE, context.hosts.serves)
        self._more = len(ids) == PUBLISH_AT_ONCE
        first: list[Request] = []
        for request_id in ids:
            request = context.requests.open.get(request_id)
            if request is None:
                context.delivery.drop(request_id)
                continue
            if request.state is State.QUEUED:
                if not may_be_told(context, request):
                    continue
                first.append(context.requests.change(request, state=State.SENT, phase=None))
            else:
                outcome.publications += published(context, [request])
        outcome.publications += published(context, first)

    def _take_back(self) -> None:
        context = self._context
        try:
            context.requests.rollback()
        except JournalFailed as error:
            self._complain(error)
        context.told_bytes = self._told_bytes.copy()
        for request in context.requests.added.values():
            context.hosts.unreserve(request)
            context.delivery.drop(request.id)

    def _keep_hosts(self, now: float) -> None:
        rows = self._context.hosts.to_keep(now)
        if not rows:
            return
        took = {}
        for name, seen, report in rows:
            begun = self._context.clock()
            self._journal.keep_host(name, seen, report)
            took[name] = self._context.clock() - begun
        self._context.hosts.kept(took, now)

    def _prune(self) -> None:
        before = self._context.wall() - self._retention
        if self._journal.prune(before, PRUNE_AT_ONCE) == PRUNE_AT_ONCE:
            self._next_prune = 0.0
        if self._names is not None:
            for name in self._context.hosts.retain(self._names, self._context.requests.of_host):
                self._journal.forget_host(name)

    def _by_the_way(self, work: Callable[[], None]) -> None:
        """Do upkeep in a transaction of its own; a failure waits for the next time."""
        try:
            self._context.requests.begin()
            work()
            self._context.requests.commit()
            self._journal.wipe_log()
        except JournalFailed as error:
            self._take_back()
            self._complain(error)
            self._not_before = self._context.clock() + PAUSE_SECONDS

    def _complain(self, error: Exception) -> None:
        """Log a failure; a journal that goes on failing the same way is logged now and then."""
        if not isinstance(error, JournalFailed):
            logger.error("a message could not be handled", exc_info=error)
            return
        now = self._context.clock()
        if str(error) != self._complaint or now >= self._complain_again:
            logger.error("%s", error)
            self._complaint, self._complain_again = str(error), now + COMPLAIN_SECONDS


def _noted(messages: Iterable[Incoming], taken: list[Incoming]) -> Iterator[Incoming]:
    for message in messages:
        taken.append(message)
        yield message


def _failed(error: Exception) -> Message:
    if isinstance(error, MaglicaError):
        return error_message(error)
    return error_message(MaglicaError("the client worker failed at this message; see its log"))


def _described(request: Request) -> str:
    return f"request {request.id}, {request.kind} {request.name} on host {request.host}"
