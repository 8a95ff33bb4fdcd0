# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes are killed at random moments: no request is lost, none takes effect twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import pytest
from maglica.model import Request, State
from support.client_worker import clone
from support.host_worker import Cell

REQUESTS = 60
KILLS = 15


class Killer(threading.Thread):
    """Kills one process after the other, and starts the workers again as systemd does."""

    def __init__(self, cell: Cell, seed: int) -> None:
        super().__init__()
        self.cell = cell
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not secret
        self.kills: list[str] = []

    def run(self) -> None:
        while len(self.kills) < KILLS:
            time.sleep(self.random.uniform(0.05, 0.8))
            victim = self.random.choice(["client worker", "host worker", "child", "child"])
            if victim == "client worker":
                self.cell.worker.restart(signal.SIGKILL)
            elif victim == "host worker":
                self.cell.host.restart(signal.SIGKILL)
            elif children := self.cell.host.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.random.choice(children), signal.SIGKILL)
            self.kills.append(victim)


def insist(cell: Cell, asked: str, **body: object) -> Request:
    """Ask until there is an answer, as the library does, and a host that has reported."""
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(TimeoutError):
            kind, answer = cell.client.ask(asked, **body)
            if kind == "request":
                return answer["request"]
            assert answer["code"] in ("image_unknown", "host_down"), answer
        assert time.monotonic() < end, (asked, body)
        time.sleep(0.05)


@pytest.mark.parametrize("seed", [1])
def test_random_kills(cell: Cell, seed: int) -> None:
    cell.host.options["clone_jobs"] = 2
    cell.start()
    killer = Killer(cell, seed)
    killer.start()
    requests = []
    try:
        for number in range(REQUESTS):
            name = f"vm{number}.example.jp"
            requests.append(insist(cell, "submit", **clone(name, memory_mib=16)))
            time.sleep(0.05)
    finally:
        killer.join()
    ended = []
    end = time.monotonic() + 60
    for request in requests:
        while not (now := insist(cell, "status", id=request.id)).state.ended:
            assert time.monotonic() < end, (seed, killer.kills, now)
            time.sleep(0.05)
        ended.append(now)
    assert [each for each in ended if each.state is not State.DONE] == []
    assert cell.host.made == sorted(request.name for request in requests)
    assert cell.host.drafts == []
    for request in requests:
        made = cell.host.effects.count(f"made {request.name}")
        assert 1 <= made <= 1 + cell.host.effects.count(f"undone {request.name}")
        assert cell.host.journal().intents(request.id) == ()
