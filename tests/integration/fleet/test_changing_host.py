# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that go after they were listed, and before they are looked at."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.libvirtd import host_reader
from maglica.libvirtd.hosts import Gather
from maglica.model.vm import vm_uuid
from support import testdriver
from support.reading import snapshot
from support.testdriver import Libvirtd

# How often the race must be met, and how many seconds it may take until then.
_MET = 20
_PATIENCE = 60


@contextlib.contextmanager
def _changing(uri: str) -> Iterator[None]:
    """Make and remove domains all the time, running ones that are transient and stopped ones that
    are persistent, until the block ends.
    """
    stop = threading.Event()

    def change(own: int) -> None:
        connection = libvirt.open(uri)
        number = 0
        while not stop.is_set():
            number += 1
            # What minimal looks at: a stopped domain that Maglica may have made.
            identity = vm_uuid(str(uuid.uuid4()))
            xml = testdriver.domain(f"short{own}-{number}", number, identity=identity)
            if own % 2:
                connection.createXML(xml).destroy()
            else:
                connection.defineXML(xml).undefine()
        connection.close()

    threads = [threading.Thread(target=change, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each domain was active that was listed and had gone when it was looked at."""
    found: list[bool] = []
    look = host_reader._looked_at

    def looked_at(session: Any, connection: Any, record: host_reader.Record, reading: Any) -> Any:
        answer = look(session, connection, record, reading)
        if answer is None:
            found.append(record.domain.active)
        return answer

    monkeypatch.setattr(host_reader, "_looked_at", looked_at)
    return found


@pytest.mark.parametrize(("gather", "kinds"), [("full", {True, False}), ("minimal", {False})])
def test_domains_that_come_and_go_meanwhile(
    libvirtd: Libvirtd, gone: list[bool], gather: str, kinds: set[bool]
) -> None:
    host = HostEntry("kvm0", libvirtd.uri())
    until = time.monotonic() + _PATIENCE
    with _changing(libvirtd.uri()):
        while any(gone.count(active) < _MET for active in kinds):
            assert time.monotonic() < until, gone
            seen = snapshot([host], gather=Gather(gather))
            assert seen.unreachable == seen.problems == ()
            assert "test" in [vm.name for vm in seen.vms]
    # An active domain's definition is not read with minimal.
    assert set(gone) == kinds
