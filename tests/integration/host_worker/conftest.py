# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client_worker import Worker
from support.host_worker import Cell, HostWorker
from support.own_libvirtd import OwnLibvirtd


@pytest.fixture(scope="session")
def shared_libvirtd() -> Iterator[OwnLibvirtd]:
    daemon = OwnLibvirtd()
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def own_libvirtd() -> Iterator[OwnLibvirtd]:
    """A libvirtd that a test may break."""
    daemon = OwnLibvirtd()
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A client worker that is not started yet."""
    folder = tmp_path / "client"
    folder.mkdir()
    made = Worker(folder)
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, worker: Worker, shared_libvirtd: OwnLibvirtd) -> Iterator[HostWorker]:
    """A host worker whose key is allowed, not started yet."""
    made = HostWorker(tmp_path / "host", worker, shared_libvirtd.uri)
    made.allow()
    yield made
    made.close()


@pytest.fixture
def cell(worker: Worker, host: HostWorker, shared_libvirtd: OwnLibvirtd) -> Iterator[Cell]:
    """Both workers, not started yet."""
    made = Cell(worker, host, shared_libvirtd)
    yield made
    made.close()


@pytest.fixture
def fragile_cell(tmp_path: Path, worker: Worker, own_libvirtd: OwnLibvirtd) -> Iterator[Cell]:
    """Both workers and a libvirtd that may be broken."""
    host = HostWorker(tmp_path / "host", worker, own_libvirtd.uri)
    host.allow()
    made = Cell(worker, host, own_libvirtd)
    yield made
    own_libvirtd.thaw()
    host.close()
    made.close()
