# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from maglica.host_worker import channel
from maglica.host_worker.channel import Alive, Idle
from maglica.host_worker.daemon.children import Child
from maglica.system import memory

ALIVE = channel.line(Alive())


@pytest.mark.parametrize(
    ("says", "heard", "cause"),
    [
        (ALIVE + b"oops\n" + ALIVE, [Alive()], "it said what no job says: not JSON: b'oops'"),
        (ALIVE + b"x" * (channel.MAX_LINE + 1), [Alive()], "not JSON: b'xxxx"),
        (ALIVE + b'{"Al', [Alive()], "it ended"),
    ],
    ids=["no line of a job", "a line without an end", "a torn line"],
)
def test_what_is_no_line_of_a_job_ends_the_child(
    says: bytes, heard: list[channel.Said], cause: str, tmp_path: Path
) -> None:
    path = tmp_path / "said"
    path.write_bytes(says)
    process = subprocess.Popen(["true"], start_new_session=True)
    process.stdout = path.open("rb")
    child = Child(process, tmp_path / "folder")
    assert [said for _turn in range(3) for said in child.said()] == heard
    process.wait()
    child.close()
    assert cause in child.cause()
    assert child.is_to_blame


def test_what_was_not_taken_comes_the_next_time(tmp_path: Path) -> None:
    """A journal that fails at one thing that a child says must not hide that its job is over."""
    path = tmp_path / "said"
    path.write_bytes(ALIVE + channel.line(Idle(1)))
    process = subprocess.Popen(["true"], start_new_session=True)
    process.stdout = path.open("rb")
    child = Child(process, tmp_path / "folder")
    for said in child.said():
        assert said == Alive()
        break
    assert list(child.said()) == [Idle(1)]
    process.wait()
    child.close()


def test_the_cause_of_an_end_by_the_kernel_tells_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.Kills, "told", lambda self: " (no memory)")
    causes = []
    for number in ("KILL", "ABRT"):
        process = subprocess.Popen(
            ["sh", "-c", f"kill -{number} $$"], start_new_session=True, stdout=subprocess.PIPE
        )
        child = Child(process, tmp_path / "folder")
        process.wait()
        child.close()
        causes.append(child.cause())
    assert causes == ["signal SIGKILL (no memory)", "signal SIGABRT"]
