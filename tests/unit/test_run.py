# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the library take no code from the folder in which they are started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from maglica import run
from maglica.host_worker.daemon.children import Children


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder where somebody has put modules by the names that are looked for."""
    marker = tmp_path / "ran"
    for name in ("zmq.py", "argparse.py", "maglica/__init__.py", "maglica/host_worker/job/main.py"):
        module = tmp_path / "here" / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return marker


@pytest.mark.parametrize("program", run.PROGRAMS)
def test_programs(program: str, trapped: Path) -> None:
    done = subprocess.run(
        [sys.executable, run.__file__, program, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not trapped.exists()


def test_jobs_of_the_host_worker(trapped: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    children = Children(tmp_path / "none.conf", tmp_path / "state")
    child = children.prepare()
    assert child is not None
    with os.fdopen(os.dup(child.descriptor), "rb") as said:
        os.set_blocking(said.fileno(), True)
        assert b"none.conf" in said.read()
    children.close()
    assert not trapped.exists()


def test_what_is_no_program_is_not_started(trapped: Path) -> None:
    command = [sys.executable, run.__file__, "zmq"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "maglica.host_worker.main" in done.stderr
    assert not trapped.exists()
