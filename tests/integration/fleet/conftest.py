# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd with the test driver, and a check that reading a fleet leaves nothing behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import testdriver
from support.testdriver import Libvirtd


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Libvirtd]:
    with testdriver.running() as running:
        yield running


@pytest.fixture(scope="session")
def node(libvirtd: Libvirtd) -> Path:
    """A node with ten running vms and two images that are off."""
    domains = [testdriver.domain(f"vm{number}", number) for number in range(10)]
    domains += [
        testdriver.domain(name, 100 + number, state=5)
        for number, name in enumerate(("debian12.original", "rocky9.original"))
    ]
    return testdriver.node(libvirtd.folder / "node.xml", domains)


@pytest.fixture
def folder(libvirtd: Libvirtd, request: pytest.FixtureRequest) -> Path:
    """A folder for node files, which libvirtd can read."""
    path = libvirtd.folder / request.node.name
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """After a test there are the threads, descriptors and child processes of before it."""
    # What is left must go without the garbage collector's help: a connection that waits for it
    # stays open for as long as the collector likes.
    gc.collect()
    gc.disable()
    before = _own()
    yield
    # What goes does so a moment later, or much later on a machine that does other things too.
    until = time.monotonic() + 30
    while (left := _own() - before) and time.monotonic() < until:
        time.sleep(0.02)
    gc.enable()
    assert not left


def _own() -> set[str]:
    own = {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if not target.startswith("/proc/"):
            own.add(f"descriptor {entry.name} {target}")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == os.getpid():
            own.add(f"process {stat.parent.name}")
    return own
