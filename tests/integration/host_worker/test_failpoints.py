# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each write of the host's journal goes wrong once, in each way: every request still ends."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from maglica.model import Request, State
from support.client_worker import eventually
from support.host_worker import Cell

# One clone makes this many at most: accept, begin, intend, two phases, end, reported.
WRITES = 8


@contextmanager
def restarted_when_it_dies(cell: Cell) -> Iterator[None]:
    """Do what systemd does for the host worker."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if cell.host.process.poll() is not None:
                cell.host.start()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_reported(cell: Cell, request: Request) -> None:
    """Wait until the result is acknowledged, and the host says that all is well."""
    eventually(lambda: cell.host.journal().entry(request.id).reported)
    eventually(lambda: cell.status().report.problem is None)


def wait_draft(cell: Cell, name: str) -> None:
    eventually(lambda: name in cell.host.drafts)


@pytest.mark.parametrize("how", ["kill-before", "kill-after", "EIO", "ENOSPC"])
def test_every_write_of_a_clone(cell: Cell, how: str) -> None:
    cell.start()
    plan = cell.host.cheap / "failpoint"
    hits = 0
    with restarted_when_it_dies(cell):
        for count in range(1, WRITES + 1):
            name = f"vm{count}.example.jp"
            draft = plan.with_suffix(".new")
            draft.write_text(f"{count} {how}")
            draft.rename(plan)
            request = cell.ended(cell.clone(name, memory_mib=16))
            assert request.state is State.DONE, (count, request.failure)
            wait_reported(cell, request)
            hits += not plan.exists()
            plan.unlink(missing_ok=True)
            made = cell.host.effects.count(f"made {name}")
            assert 1 <= made <= 1 + cell.host.effects.count(f"undone {name}")
            assert name in cell.host.made
            assert cell.host.journal().intents(request.id) == ()
    assert cell.host.drafts == []
    assert hits >= WRITES - 2


@pytest.mark.parametrize("how", ["kill-before", "kill-after", "EIO", "ENOSPC"])
def test_every_write_of_a_cancel(cell: Cell, how: str) -> None:
    cell.start()
    plan = cell.host.cheap / "failpoint"
    with restarted_when_it_dies(cell):
        for count in range(1, 6):
            name = f"vm{count}.example.jp"
            cell.host.block(name, "copied")
            request = cell.clone(name, memory_mib=16)
            wait_draft(cell, name)
            plan.write_text(f"{count} {how}")
            cell.client.request("cancel", id=request.id)
            assert cell.ended(request).state is State.CANCELLED
            cell.host.unblock(name, "copied")
            plan.unlink(missing_ok=True)
            wait_reported(cell, request)
            assert cell.host.journal().intents(request.id) == ()
            assert (cell.host.drafts, cell.host.made) == ([], [])


@pytest.fixture
def small_disk(cell: Cell) -> Iterator[Path]:
    """A file system of 1 MiB for the host's state."""
    folder = cell.host.state
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    cell.host.close()
    # The kernel closes the files of a process that was killed a moment after it is gone.
    eventually(lambda: subprocess.run(["umount", folder], check=False).returncode == 0)


def test_a_full_disk_refuses_new_work_until_there_is_room(cell: Cell, small_disk: Path) -> None:
    cell.start()
    assert cell.ended(cell.clone("vm0.example.jp", memory_mib=16)).state is State.DONE
    with (small_disk / "filling").open("wb", buffering=0) as filling, pytest.raises(OSError):
        while True:
            filling.write(bytes(512))
    request = cell.clone("vm1.example.jp", memory_mib=16)
    eventually(lambda: "journal" in (cell.status().report.problem or ""))
    problem = cell.status().report.problem
    assert str(small_disk) in problem
    assert "full" in problem
    assert not cell.now(request).state.ended
    assert cell.host.made == ["vm0.example.jp"]
    (small_disk / "filling").unlink()
    assert cell.ended(request).state is State.DONE
    eventually(lambda: cell.status().report.problem is None)
