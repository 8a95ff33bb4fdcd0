# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals on a disk that is full: the client worker's, and a host worker's."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from maglica.client_worker.journal import Journal
from maglica.model.request import Request, State, new_request_id
from support.client_worker import LONG_PATIENCE, Peer, Worker, eventually
from support.host_worker import Cell, HostWorker
from support.own_libvirtd import OwnLibvirtd
from support.reports import clone, image, report
from support.small_disk import SmallDisk, small_disk

from . import without
from .frame import Run, until_heard
from .stage import HOST_SECONDS, UnprotectedWorker

REFUSALS = 20
MOST = 400
# SQLite's default page, https://www.sqlite.org/pragma.html#pragma_page_size.
PAGE = 4096
# How long a control waits for what comes within a few seconds, or never.
CONTROL_PATIENCE = 4.0


@dataclass
class Found:
    """What was counted; ``seconds`` from the moment that there was room again."""

    accepted: int = 0
    refused: int = 0
    lost: int = 0
    kept: int = 0
    unclear: int = 0
    unfinished: int = 0
    damaged: int = 0
    seconds: float = 0.0


def client_side(run: Run, protection: str = "") -> Found:
    """Hand in requests until they are refused, then kill; compare with what the journal has."""
    folder = run.folder / f"client{protection}"
    folder.mkdir()
    found = Found()
    with small_disk(folder / "disk", 6) as disk:
        kind = UnprotectedWorker if protection else Worker
        journal = str(disk.path / "journal.sqlite")
        worker = kind(folder, journal=journal, host_timeout=HOST_SECONDS)
        if isinstance(worker, UnprotectedWorker):
            worker.protection = protection
        try:
            _fill_client(worker, disk, found, is_whole=protection != "commits")
        finally:
            worker.close()
    run.say(f"client worker{' without ' if protection else ''}{protection}: {found}")
    return found


def _fill_client(worker: Worker, disk: SmallDisk, found: Found, is_whole: bool) -> None:
    worker.start()
    host = worker.host("kvm0.example.jp")
    host.hello(
        report(
            image(memory_mib=16, disk_bytes=0), memory_total_mib=1 << 20, memory_free_mib=1 << 20
        )
    )
    client = worker.peer("client", "alice")
    accepted = {client.clone(f"early{number}").id for number in range(5)}
    disk.fill()
    refused = _submit(client, worker, accepted, found)
    disk.empty()
    begun = time.monotonic()
    if is_whole:
        later = eventually(lambda: _accepted(client, "later"))
        found.seconds = time.monotonic() - begun
        accepted.add(later)
    worker.stop(signal.SIGKILL)
    known = _ids(disk.path / "journal.sqlite", found)
    found.accepted, found.refused = len(accepted), len(refused)
    found.lost, found.kept = len(accepted - known), len(refused & known)


def _submit(client: Peer, worker: Worker, accepted: set[str], found: Found) -> set[str]:
    """Hand in requests on a full disk; return the ids of those that were refused."""
    refused: set[str] = set()
    for number in range(MOST):
        body = clone(f"vm{number}", new_request_id(), memory_mib=16)
        kind, answer = client.ask("submit", **body)
        if kind == "request":
            accepted.add(body["id"])
        else:
            refused.add(body["id"])
            text = f"{answer['code']}: {answer['text']}"
            path = f"journal {worker.folder}/disk/journal.sqlite"
            found.unclear += not (text.startswith("journal_failed: ") and path in text)
        if len(refused) >= REFUSALS:
            break
    return refused


def _accepted(client: Peer, name: str) -> str | None:
    kind, answer = client.ask("submit", **clone(name, memory_mib=16))
    return answer["request"].id if kind == "request" else None


def _ids(path: Path, found: Found) -> set[str]:
    found.damaged += is_damaged(path)
    with closing(sqlite3.connect(path)) as database:
        return {row[0] for row in database.execute("SELECT id FROM requests")}


def is_damaged(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        try:
            return bool(database.execute("PRAGMA integrity_check").fetchone()[0] != "ok")
        except sqlite3.DatabaseError:
            return True


def torn(folder: Path) -> bool:
    """Tell whether a journal is found damaged that lacks the last write of a transaction."""
    path = folder / "torn.sqlite"
    with closing(Journal.open(path)) as journal:
        journal.begin()
        for number in range(100):
            journal.keep_host(f"kvm{number}.example.jp", 1.0, report())
        journal.commit()
    os.truncate(path, path.stat().st_size - PAGE)
    return is_damaged(path)


def host_side(run: Run, settle: float, protection: str = "") -> Found:
    """Let the disk of a host worker's state be full when requests come.

    For ``settle`` seconds no request may be acknowledged. Without a protection, and a client
    worker that publishes once, it ends with the first that is, and ``seconds`` is when that was.
    """
    folder = run.folder / f"host{protection}"
    folder.mkdir()
    found = Found()
    libvirtd = OwnLibvirtd()
    worker = UnprotectedWorker(folder) if protection else Worker(folder)
    if isinstance(worker, UnprotectedWorker):
        worker.protection = "redelivery"
    host = HostWorker(folder / "host", worker, libvirtd.uri)
    try:
        libvirtd.start()
        host.allow()
        if protection:
            weak = without.command(protection, host.command())
            host.command = lambda: weak  # type: ignore[method-assign]
        with small_disk(host.state, 4) as disk:
            with closing(Cell(worker, host, libvirtd)) as cell:
                requests = _fill_host(cell, disk, found)
                _watch_host(cell, disk, requests, found, settle)
                _empty_host(cell, disk, requests, found, not protection)
            host.close()
    finally:
        host.close()
        worker.close()
        libvirtd.close()
    run.say(f"host worker{' without ' if protection else ''}{protection}: {found}")
    return found


def _fill_host(cell: Cell, disk: SmallDisk, found: Found) -> list[Request]:
    """Hand in requests while the disk is full, and wait until the host says so."""
    cell.start()
    until_heard(lambda number: _is_done(cell, f"early{number}.example.jp"))
    disk.fill()
    # In one message: the host counts as down as soon as it says that its disk is full.
    clones = [clone(f"vm{number}.example.jp", memory_mib=16) for number in range(5)]
    kind, body = cell.client.ask("submit", requests=clones)
    assert kind == "requests", body
    requests = list(body["requests"])
    problem = ""
    end = time.monotonic() + LONG_PATIENCE
    while "full" not in problem and time.monotonic() < end:
        problem = cell.status().report.problem or ""
        time.sleep(0.1)
    found.unclear = int(not ("full" in problem and str(disk.path) in problem))
    found.accepted = len(requests)
    return requests


def _is_done(cell: Cell, name: str) -> bool:
    """Tell whether a clone is done in time."""
    request = cell.clone(name, memory_mib=16)
    with suppress(AssertionError):
        return bool(eventually(lambda: cell.now(request).state is State.DONE, 15))
    return False


def _watch_host(
    cell: Cell, disk: SmallDisk, requests: list[Request], found: Found, settle: float
) -> None:
    """Count what was acknowledged and is not in the journal, and what is still to be taken."""
    begun = time.monotonic()
    while not found.lost and found.seconds < settle:
        journaled = _ids(disk.path / "host_worker.sqlite", found)
        states = {each.id: each.state for each in map(cell.now, requests)}
        sent = {request_id for request_id, state in states.items() if state is State.SENT}
        found.lost = len(states.keys() - sent - journaled)
        found.refused = len(sent)
        found.seconds = time.monotonic() - begun
        time.sleep(0.1)


def _empty_host(
    cell: Cell, disk: SmallDisk, requests: list[Request], found: Found, is_whole: bool
) -> None:
    """Make room, and wait until all is done."""
    disk.empty()
    begun = time.monotonic()
    end = begun + (60 if is_whole else CONTROL_PATIENCE)
    found.unfinished = sum(not _done_by(cell, request, end) for request in requests)
    if is_whole:
        found.seconds = time.monotonic() - begun
        eventually(lambda: cell.status().report.problem is None)
    cell.host.stop(signal.SIGKILL)
    _ids(disk.path / "host_worker.sqlite", found)


def _done_by(cell: Cell, request: Request, end: float) -> bool:
    """Wait for the request's end; tell whether it is done by a time (monotonic seconds)."""
    while not (now := cell.now(request)).state.ended and time.monotonic() < end:
        time.sleep(0.05)
    return now.state is State.DONE
