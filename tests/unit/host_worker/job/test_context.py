# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job says to its worker of how far it is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from maglica.config.config import HostWorker
from maglica.host_worker import channel
from maglica.host_worker.job.context import COUNT_SECONDS, JobContext
from maglica.host_worker.journal.journal import Journal

ID = "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e"


def test_counts_are_told_at_once_and_then_not_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[channel.Said] = []
    settings = HostWorker("kvm0.example.jp", Path("/key"), state_dir=tmp_path)
    context = JobContext(Journal(tmp_path), settings, said.append)
    # The clock counts from the machine's start, which may be just over.
    started = COUNT_SECONDS / 4
    for done, seconds in ((1, 0.0), (2, COUNT_SECONDS / 2), (3, COUNT_SECONDS)):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: started + seconds)
        context.counted(ID, "copy", done, 9)
    assert said == [
        channel.Counted(ID, "copy", 1, 9),
        channel.Alive(),
        channel.Counted(ID, "copy", 3, 9),
    ]
