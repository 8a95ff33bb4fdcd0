# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.system import processes

# It writes, says so, and stays; its name in /proc has a bracket and a space.
PROGRAM = """
import os
open("/proc/self/comm", "w").write("a ) b")
open("/dev/null", "wb").write(bytes(3 << 20))
print(flush=True)
input()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_a_process_of_ours(child: subprocess.Popen[bytes]) -> None:
    assert child.pid in processes.children()
    assert os.getpid() not in processes.children()
    assert processes.arguments(child.pid)[:3] == [sys.executable, "-c", PROGRAM]
    assert processes.moved_bytes(child.pid) >= 3 << 20


def test_a_process_that_is_gone(child: subprocess.Popen[bytes]) -> None:
    child.communicate(b"\n")
    assert child.pid not in processes.children()
    assert processes.arguments(child.pid) == []
    assert processes.moved_bytes(child.pid) == 0


def test_without_proc_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "proc")
    assert processes.children() == []
    assert processes.arguments(os.getpid()) == []
    assert processes.moved_bytes(os.getpid()) == 0
