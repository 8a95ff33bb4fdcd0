# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from maglica.system import memory

GROUP = "system.slice/a b.service"


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel counts for the control group that this process seems to be in."""
    own, groups = tmp_path / "self", tmp_path / "cgroup"
    (groups / GROUP).mkdir(parents=True)
    own.mkdir()
    (own / "cgroup").write_text(f"4:memory:/old\n0::/{GROUP}\n")
    monkeypatch.setattr(memory, "_OWN", own)
    monkeypatch.setattr(memory, "_CGROUPS", groups)
    return groups / GROUP / "memory.events"


def counted(kills: int) -> str:
    return f"low 0\nhigh 7\nmax 9\noom {kills + 1}\noom_kill {kills}\noom_group_kill 0\n"


def test_what_is_ended_for_want_of_memory_is_told(events: Path) -> None:
    events.write_text(counted(3))
    kills = memory.Kills()
    assert kills.told() == ""
    events.write_text(counted(5))
    assert "the kernel has ended 2 of the worker's processes" in kills.told()
    assert "host_worker_memory_max" in kills.told()


def test_where_nothing_is_counted_nothing_is_said(events: Path, tmp_path: Path) -> None:
    kills = memory.Kills()
    for text in ("", "oom_kill many\n", "no such thing\n"):
        events.write_text(text)
        assert kills.told() == ""
    (tmp_path / "self" / "cgroup").unlink()
    assert kills.told() == ""


def test_a_process_that_may_be_ended_first(events: Path, tmp_path: Path) -> None:
    memory.be_first_to_end()
    assert 0 < int((tmp_path / "self" / "oom_score_adj").read_text()) <= 1000
