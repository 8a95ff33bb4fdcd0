# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker without its sockets, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker.dispatch import Incoming
from maglica.client_worker.journal import Journal
from maglica.client_worker.known.hosts import KnownHosts
from maglica.client_worker.open_requests import OpenRequests
from maglica.client_worker.state import Context
from maglica.client_worker.transactions import Engine, Outcome
from maglica.model.plain import plain
from maglica.model.request import Request
from maglica.wire import messages as schema
from maglica.wire.frames import Message, encode
from support import one_request
from support.reports import GIB, clone, report

PEER = (b"peer", b"")


class Cell:
    """An engine over a real journal; every peer may do everything."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000.0
        self.configured: frozenset[str] = frozenset()
        self.open()

    def open(self) -> None:
        self.journal = Journal.open(self.path)
        requests = OpenRequests(self.journal, self.clock)
        self.context = Context(
            requests, KnownHosts({}, 15.0), None, clock=self.clock, wall=self.clock
        )
        self.engine = Engine(self.context, self.journal, 600.0, self.configured)
        self.engine.start()

    def clock(self) -> float:
        return self.now

    def reopen(self) -> None:
        self.journal.close()
        self.open()

    def send(self, kind: str, peer: tuple[bytes, ...] = PEER, /, **body: Any) -> Outcome:
        return self.handle((kind, body), peer=peer)

    def handle(
        self, *messages: tuple[str, dict[str, Any]], peer: tuple[bytes, ...] = PEER
    ) -> Outcome:
        return self.engine.handle(
            [
                Incoming(peer, None, encode(Message(kind, plain(one_request.listed(kind, body)))))
                for kind, body in messages
            ]
        )

    def ask(self, kind: str, /, **body: Any) -> tuple[str, dict[str, Any]]:
        """Return the answer; to a message about one request, as one about it."""
        _peer, answer = self.send(kind, **body).replies[0]
        told = schema.answered(answer.type, plain(answer.body))
        is_one = one_request.is_one(kind, body)
        return one_request.alone(answer.type, told) if is_one else (answer.type, told)

    def clone(self, name: str, request_id: str | None = None, **fields: Any) -> Request:
        kind, body = self.ask("submit", **clone(name, request_id, **fields))
        assert kind == "request", body
        found: Request = body["request"]
        return found

    def plan(self, *names: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        """Ask where clones of these names would be made."""
        asked = [clone(name, **fields) for name in names]
        return self.ask("submit", requests=asked, dry_run=True)

    def hello(self, host: str = "kvm0", said: Any = None, **held: str) -> dict[str, Any]:
        entries = [{"id": request_id, "state": state} for request_id, state in held.items()]
        kind, body = self.ask("hello", host=host, report=said or report(), requests=entries)
        assert kind == "welcome", body
        return body

    def result(self, request: Request, **body: Any) -> None:
        kind, answer = self.ask("result", host=request.host, id=request.id, **body)
        assert kind == "ok", answer

    def reserved(self, host: str = "kvm0") -> tuple[int, float, set[str]]:
        """Memory in MiB, disk in GiB and bases that are reserved on a host."""
        found = self.context.hosts.candidates[host].reserved
        disk = round(sum(found.pool_bytes.values()) / GIB, 1)
        return found.committed_mib, disk, set(found.bases)


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    cell = Cell(tmp_path / "journal.sqlite")
    yield cell
    cell.journal.close()
