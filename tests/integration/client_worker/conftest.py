# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running client worker for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client_worker import Host, Peer, Worker


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    # Its hosts say hello once, and must not count as down meanwhile.
    worker = Worker(tmp_path, host_timeout=3600)
    try:
        worker.start()
        yield worker
    finally:
        worker.close()


@pytest.fixture
def client(worker: Worker) -> Peer:
    return worker.peer("client", "admin")


@pytest.fixture
def kvm0(worker: Worker) -> Host:
    """A host that is alive and listens."""
    host = worker.host("kvm0.example.jp")
    host.listen()
    host.hello()
    return host
