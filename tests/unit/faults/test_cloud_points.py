# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a job on the cloud is stopped, and that a cancel finds it there."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from faults.cloud_cases import Case
from faults.cloud_work import Worker
from maglica.model.request import State
from support import points


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What a host's processes load; the folder of its points is the test's."""
    monkeypatch.setenv("MAGLICA_POINTS", str(tmp_path))
    path = Path(points.__file__).with_name("cloud_points") / "sitecustomize.py"
    spec = importlib.util.spec_from_file_location("cloud_points", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_who_waits_at_a_point_stays_while_it_is_among_those_named(
    planted: ModuleType, tmp_path: Path
) -> None:
    stop, draft = tmp_path / "stop", tmp_path / "next"

    def name(text: str) -> None:
        draft.write_text(text)
        draft.rename(stop)

    name("copying")
    waiting = threading.Thread(target=planted.point, args=("copying",), daemon=True)
    waiting.start()
    while not (tmp_path / "reached").exists():
        time.sleep(0.01)
    name("copying undo")
    waiting.join(0.2)
    assert waiting.is_alive()
    name("undo")
    waiting.join(10)
    assert not waiting.is_alive()


class FakeHost:
    """A site and a client; notes what is armed when the cancel is accepted."""

    def __init__(self) -> None:
        self.armed: tuple[str, ...] = ("customize/begin",)
        self.at_cancel: tuple[str, ...] = ()

    def is_reached(self) -> bool:
        return True

    def stop_at(self, *armed: str) -> None:
        self.armed = armed

    def kill(self, _victim: str, _following: str | None) -> None:
        self.armed = ()

    def go_on(self) -> None:
        self.armed = ()

    def cancel(self, _request: str) -> None:
        self.at_cancel = self.armed

    def wait(self, _request: str, _patience: float) -> SimpleNamespace:
        return SimpleNamespace(state=State.CANCELLED)


@pytest.mark.parametrize(
    ("removal", "expected"),
    [((("child", "undo/undo"),), ("customize/begin", "undo/undo")), ((), ("customize/begin",))],
)
def test_a_cancel_finds_the_job_at_its_point_and_the_next_point_armed(
    removal: tuple[tuple[str, str], ...], expected: tuple[str, ...]
) -> None:
    host = FakeHost()
    worker = Worker.__new__(Worker)
    worker._site = worker._client = host
    worker._count = SimpleNamespace(lock=threading.Lock(), kills=0, not_cancelled=[])
    worker._cancel(SimpleNamespace(id="1"), Case(cancel="customize/begin", removal=removal))
    assert host.at_cancel == expected
    assert host.armed == ()
