# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose disk is full takes no new work, and loses none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.model.request import State
from support.client_worker import eventually
from support.host_worker import Cell


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
