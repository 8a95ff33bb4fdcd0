# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rubbish on both ports does nothing but get refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.config import Config, Library
from maglica.wire.client import Client
from support import fuzz
from support.client_worker import Worker

SEED = int(os.environ.get("FUZZ_SEED", "20261124"))
MESSAGES = int(os.environ.get("FUZZ_MESSAGES", "3000"))
CONNECTIONS = MESSAGES // 10

# A client worker without its strict reading and without its guard around the handling of messages.
UNPROTECTED = """
import json
from maglica.client_worker import dispatch, engine, main
from maglica.wire.message import Message
dispatch.decode = lambda frames: Message(frames[1].decode(), json.loads(frames[2]))
engine.Engine.handle = engine.Engine._transaction
raise SystemExit(main.main())
"""


class Unprotected(Worker):
    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", UNPROTECTED, *super().command(*arguments)[3:]]


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.close()


@pytest.mark.timeout(900)
def test_rubbish_is_refused_and_nothing_else(workers: list[Worker], tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    workers.append(worker)
    worker.start()
    found = fuzz.run(worker, SEED, MESSAGES, CONNECTIONS)
    print(found)
    assert (found["crashes"], found["hangs"]) == (0, 0)
    assert found["growth"] < 0.1
    assert found["counts"]["messages"] >= MESSAGES
    assert set(found["answers"]) <= fuzz.CODES
    # Each kind of refusal was met, so the rubbish got as far as it should.
    assert set(found["answers"]) >= {"message_invalid", "access_denied", "request_unknown"}
    assert "root_password" not in worker.log
    assert "$6$salt" not in worker.log
    worker.grant("client", "other")
    (key,) = worker.folder.glob("client.other.*.key")
    with Client(Config(worker.config_file, worker.where, library=Library(key))) as client:
        assert [status.host for status in client.hosts()] == [fuzz.HOST]
        assert client.list() == ()


def test_without_its_protection_the_same_rubbish_ends_it(
    workers: list[Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "REPLY_SECONDS", 2.0)
    worker = Unprotected(tmp_path)
    workers.append(worker)
    worker.start()
    found = fuzz.run(worker, SEED, 200, 0)
    assert found["crashes"] > 0
    assert found["hangs"] > 0
