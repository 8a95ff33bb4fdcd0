# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job says to its worker of how far it is, and of its end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from maglica.config.config import HostWorker
from maglica.host_worker import channel
from maglica.host_worker.job.context import COUNT_SECONDS, JobContext
from maglica.host_worker.journal.journal import Journal
from maglica.model.errors import GuestUnreadable
from maglica.model.request import Failure, Request
from maglica.verbs.clone import CloneSpec

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


def test_a_failure_tells_of_what_the_kernel_ended_for_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = HostWorker("kvm0.example.jp", Path("/key"), state_dir=tmp_path)
    context = JobContext(Journal(tmp_path), settings, lambda said: None)
    request = Request(id=ID, spec=CloneSpec("vm0", "image"), host="kvm0.example.jp")
    context.journal.accept([request])
    monkeypatch.setattr(context.kills, "told", lambda: " (no memory)")
    context.failed(request, GuestUnreadable("the appliance ended"))
    entry = context.journal.entry(ID)
    assert entry is not None
    assert entry.request.failure == Failure("guest_unreadable", "the appliance ended (no memory)")
