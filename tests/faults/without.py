# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a worker with one of its protections taken out, for the negative controls.

    python without.py PROTECTION MODULE ARGUMENT…

The product has no switch for any of them, so each is patched before the module's ``main``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


def access() -> None:
    """Let everybody in, and do everything."""
    from maglica.client_worker import access, broker, dispatch, zap

    def admit(frames: list[bytes], *_rules: object) -> zap.Verdict:
        return zap.Verdict([b"1.0", frames[1], b"200", b"OK", b"anybody", b""], None)

    def anybody(_context: object, _key: object) -> access.Caller:
        return access.ANYBODY

    broker.zap = admit
    broker.identify = dispatch.identify = anybody


def types() -> None:
    """Let a message's type name any function of the handlers' modules, with any body."""
    from maglica.client_worker import client_messages, dispatch
    from maglica.client_worker.host_messages import OK
    from maglica.wire import messages

    checked = messages.asked

    class Everything(dict):
        def __contains__(self, name: object) -> bool:
            return True

        def __missing__(self, name: str) -> Any:
            getattr(client_messages, name)
            return lambda _context, _call: OK

    dispatch.HANDLERS = Everything(dispatch.HANDLERS)
    dispatch.Caller.may = lambda _peer, _type: True
    messages.asked = lambda kind, body: checked(kind, body) if kind in messages.ASKED else body


def revocation() -> None:
    """Keep the connections of hosts whose key is gone."""
    from maglica.client_worker.broker import Broker

    Broker._end_subscriptions = lambda _broker: None


def subscriptions() -> None:
    """Let every host subscribe to whatever it likes."""
    import zmq
    from maglica.client_worker.broker import Broker

    Broker._subscribe = lambda broker, wanted, _key: broker._publisher.setsockopt(
        zmq.SUBSCRIBE, wanted
    )


def ends() -> None:
    """Take in what is said of a request that has ended as if it still ran."""
    from dataclasses import replace

    from maglica.client_worker import host_messages
    from maglica.model.request import State

    mine = host_messages._mine

    def running(context: Any, call: Any) -> Any:
        request = mine(context, call)
        if not request.state.ended:
            return request
        return context.requests.open.setdefault(request.id, replace(request, state=State.RUNNING))

    host_messages._mine = running


def heartbeats() -> None:
    """Send none, and expect none."""
    from maglica.wire import sockets

    sockets.HEARTBEAT_INTERVAL = 0
    sockets.HEARTBEAT_TIMEOUT = 0


def strictness() -> None:
    """Read messages as they come, and let what breaks at one end the worker."""
    import json

    from maglica.client_worker import dispatch, transactions
    from maglica.wire.frames import Message

    dispatch.decode = lambda frames: Message(frames[1].decode(), json.loads(frames[2]))
    transactions.Engine.handle = transactions.Engine._transaction


def discretion() -> None:
    """Keep every message, and log it."""
    from maglica.client_worker import transactions

    kept: list[list[bytes]] = []
    dispatch = transactions.dispatch

    def note(context: Any, incoming: Any) -> Any:
        kept.append([bytes(frame) for frame in incoming.frames])
        transactions.logger.info("%r", kept[-1][-1][:1000])
        return dispatch(context, incoming)

    transactions.dispatch = note


def commits() -> None:
    """Reply as if a commit that failed had not."""
    from contextlib import suppress

    from maglica.client_worker.journal import Journal
    from maglica.model.errors import JournalFailed

    real = Journal.commit

    def commit(self: Journal) -> None:
        with suppress(JournalFailed):
            real(self)
        self.rollback()

    Journal.commit = commit


def rollback() -> None:
    """Keep what a transaction that failed would have added, and commit it with the next."""
    from maglica.client_worker.journal import Journal
    from maglica.system.database import Database

    change, begin, really_commit, rollback = (
        Database.change,
        Journal.begin,
        Journal.commit,
        Journal.rollback,
    )
    tried: list[Any] = []
    late: list[Any] = []

    def note(database: Database, statement: str, *values: Any) -> int:
        if statement.startswith("INSERT INTO requests"):
            tried.append((statement, *values))
        return change(database, statement, *values)

    def begin_late(journal: Journal) -> None:
        tried.clear()
        begin(journal)
        for each in late:
            change(journal._db, *each)

    def commit(journal: Journal) -> None:
        really_commit(journal)
        late.clear()

    def keep(journal: Journal) -> None:
        rollback(journal)
        late.extend(tried)
        tried.clear()

    Database.change, Journal.begin = note, begin_late
    Journal.commit, Journal.rollback = commit, keep


def acceptance() -> None:
    """Acknowledge what comes for a host before it is in the host's journal."""
    from maglica.host_worker.daemon.open_requests import Work

    really_accept = Work.accept

    def accept(work: Work, requests: Any) -> None:
        for request in requests:
            work._outbox.ack(request.id)
        really_accept(work, requests)

    Work.accept = accept


def durability() -> None:
    """Reply before what is accepted is on the disk: it gets there when the worker is stopped."""
    from maglica.client_worker.journal import Journal

    really_begin, really_close = Journal.begin, Journal.close

    def begin(journal: Journal) -> None:
        if not journal._db.in_transaction:
            really_begin(journal)

    def close(journal: Journal) -> None:
        journal._db.commit()
        really_close(journal)

    Journal.begin, Journal.close = begin, close
    Journal.commit = Journal.rollback = Journal.wipe_log = lambda _journal: None


def handing_in() -> None:
    """Let a client forget what it has handed in."""
    from maglica.wire.handed_in import HandedIn

    HandedIn.keep = lambda *_arguments: None


def redelivery() -> None:
    """Publish each request once to a host that listens, whether it hears it or not."""
    import math

    from maglica.client_worker import delivery, dispatch, transactions
    from maglica.system.backoff import Backoff
    from maglica.wire.frames import Message

    hello = dispatch.HANDLERS["hello"]

    def curt(context: Any, call: Any) -> Message:
        return Message("welcome", {**hello(context, call).body, "requests": []})

    dispatch.HANDLERS["hello"] = curt
    delivery.PAUSES = Backoff(math.inf, math.inf)
    subscribed = transactions.Engine.subscribed
    listened: set[str] = set()

    def once(engine: Any, host: str) -> None:
        # A host says hello before it listens: what was published by then reached nobody.
        if host not in listened:
            listened.add(host)
            subscribed(engine, host)

    transactions.Engine.subscribed = once


def known_ids() -> None:
    """Let a host run a request again that it has run, whenever it is handed over again."""
    from maglica.host_worker.journal.journal import Journal

    accept = Journal.accept

    def forgetful(journal: Journal, requests: list[Any]) -> None:
        with journal._db.write():
            for request in requests:
                journal._db.change("DELETE FROM requests WHERE id = ?", request.id)
        accept(journal, requests)

    Journal.accept = forgetful


def memory() -> None:
    """Let a host not know what it has run, nor say what it has."""
    from maglica.host_worker.daemon.open_requests import Work

    known_ids()
    Work.held = lambda _work: iter(())


def shares() -> None:
    """Serve messages as they come, all that are there in a turn, with answers as long as can be."""
    from maglica.client_worker import client_messages, inbox
    from maglica.wire import messages

    put = inbox.Inbox.put

    def put_behind(self: inbox.Inbox, incoming: Any) -> Any:
        # One queue for all of them; the key, by which roles are looked up, stays.
        size = len(self._queues.get("", ()))
        kept = put(self, replace(incoming, key=""))
        if len(self._queues.get("", ())) > size:
            self._queues[""][-1] = incoming
        return kept

    inbox.Inbox.put = put_behind
    inbox.MESSAGES_PER_KEY = inbox.BYTES_PER_KEY = 1 << 40
    inbox.SECONDS_A_TURN = 3600.0
    client_messages.SHOWN_AT_ONCE = messages.MAX_LISTED
    client_messages.ANSWER_ROOM = messages.PAGE_ROOM


PROTECTIONS: dict[str, Callable[[], None]] = {
    "access": access,
    "types": types,
    "revocation": revocation,
    "subscriptions": subscriptions,
    "ends": ends,
    "heartbeats": heartbeats,
    "strictness": strictness,
    "discretion": discretion,
    "commits": commits,
    "rollback": rollback,
    "acceptance": acceptance,
    "durability": durability,
    "handing_in": handing_in,
    "redelivery": redelivery,
    "known_ids": known_ids,
    "memory": memory,
    "shares": shares,
}


def command(protection: str, worker: list[str]) -> list[str]:
    """Return the command that starts ``python -m MODULE ARGUMENT…`` without this protection."""
    python, _m, *rest = worker
    return [python, str(Path(__file__).resolve()), protection, *rest]


def main(words: list[str]) -> int:
    protection, module, *arguments = words
    # In place of this file's own folder.
    sys.path[0] = str(LIBRARY)
    PROTECTIONS[protection]()
    return int(importlib.import_module(module).main(arguments))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
