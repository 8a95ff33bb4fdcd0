# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin without Ansible around it: what it prints, and what it gives the module."""

from __future__ import annotations

import shutil
import socket
import threading
from typing import Any

import pytest
from ansible_collections.maglica.cloud.plugins.module_utils._ansible import (
    PROGRESS_VARIABLE,
    Progress,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.model.request import (
    Phase,
    Request,
    State,
)
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.verbs.clone import CloneSpec
from ansible_collections.maglica.cloud.plugins.plugin_utils import progress as plugin
from ansible_collections.maglica.cloud.plugins.plugin_utils.changing import ChangingAction

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
REQUEST = {
    "name": NAME,
    "kind": "clone",
    "state": "queued",
    "host": None,
    "phase": None,
    "phases": [],
}
COPY = {"name": "copy", "seconds": 1.24}
BASE = {"name": "base", "seconds": 20.0}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f"{NAME}: clone: queued"),
        (
            {"kind": "add_image", "host": HOST, "phase": "waiting for other imports"},
            f"{NAME}: add_image on {HOST}: waiting for other imports",
        ),
        ({"host": HOST, "state": "sent"}, f"{NAME}: clone on {HOST}: sent"),
        ({"host": HOST, "state": "running"}, f"{NAME}: clone on {HOST}: running"),
        (
            {"host": HOST, "state": "running", "phase": "copy", "phases": [BASE]},
            f"{NAME}: clone on {HOST}: copy (base 20.0 s)",
        ),
        (
            {"host": HOST, "state": "running", "phase": "copy", "amount": "1 MiB of 2 MiB"},
            f"{NAME}: clone on {HOST}: copy 1 MiB of 2 MiB",
        ),
        (
            {"host": HOST, "state": "done", "phases": [BASE, COPY]},
            f"{NAME}: clone on {HOST}: done (base 20.0 s, copy 1.2 s)",
        ),
        ({"kind": "remove", "host": HOST, "state": "done"}, f"{NAME}: remove on {HOST}: done"),
    ],
)
def test_lines(changes: dict[str, Any], text: str) -> None:
    assert plugin.line({**REQUEST, **changes}) == text


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(plugin.display, "display", lambda text, **_how: lines.append(text))
    return lines


class FakeTask:
    def __init__(self, environment: list[dict[str, str]] | None) -> None:
        self.environment = environment


class FakeAction(plugin.ProgressAction):
    def __init__(self, environment: list[dict[str, str]] | None = None) -> None:
        self._task = FakeTask(environment)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Let the module be one that tells of these requests, by what its environment says."""
    told: list[Request] = []

    def run(self: FakeAction, _tmp: object, _variables: object) -> dict[str, Any]:
        for entry in self._task.environment or []:
            for name, value in entry.items():
                monkeypatch.setenv(name, value)
        progress = Progress()
        for request in told:
            progress(request)
        return {"changed": True, **progress.seen()}

    monkeypatch.setattr(ChangingAction, "run", run)
    return told


def test_each_change_is_printed_once(printed: list[str], module: list[Request]) -> None:
    request = Request("r", CloneSpec(NAME, "image"), host=HOST)
    running = Request("r", CloneSpec(NAME, "image"), State.RUNNING, HOST, phase="copy")
    done = Request("r", CloneSpec(NAME, "image"), State.DONE, HOST, phases=(Phase("copy", 2.0),))
    module += [request, request, running, done]
    result = FakeAction([{"A": "b"}]).run(None, {})
    assert result["request"]["state"] == "done"
    where = f"{NAME}: clone on {HOST}"
    assert printed == [f"{where}: queued", f"{where}: copy", f"{where}: done (copy 2.0 s)"]


def test_of_what_is_counted_each_tenth_is_printed(
    printed: list[str], module: list[Request]
) -> None:
    spec = CloneSpec(NAME, "image")
    for done in range(0, 101, 2):
        for number in range(2):
            host = f"kvm{number}"
            counts = {"done": done << 20, "total": 100 << 20}
            module.append(Request(host, spec, State.RUNNING, host, phase="copy", **counts))
    FakeAction().run(None, {})
    assert len(printed) == 2 * 11
    assert printed[3] == f"{NAME}: clone on kvm1: copy 10.0 MiB of 100 MiB"


def test_a_module_without_requests_prints_nothing(printed: list[str], module: list) -> None:
    assert FakeAction().run(None, {})["changed"]
    assert printed == []


def test_without_a_socket_the_task_runs_all_the_same(
    printed: list[str], module: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.delenv(PROGRESS_VARIABLE, raising=False)
    monkeypatch.setattr(plugin.tempfile, "tempdir", str(long))
    module.append(Request("r", CloneSpec(NAME, "image")))
    assert FakeAction().run(None, {})["changed"]
    assert printed == []


def test_a_folder_that_vanishes_takes_only_the_show_along(
    printed: list[str], module: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    run = ChangingAction.run

    def run_and_sweep(self: FakeAction, tmp: object, variables: object) -> dict[str, Any]:
        for folder in tmp_path.iterdir():
            shutil.rmtree(folder)
        return run(self, tmp, variables)

    monkeypatch.setattr(plugin.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ChangingAction, "run", run_and_sweep)
    module.append(Request("r", CloneSpec(NAME, "image")))
    before = set(threading.enumerate())
    assert FakeAction().run(None, {})["changed"]
    assert set(threading.enumerate()) <= before
    assert printed == []


@pytest.mark.parametrize("broken", ["tempfile.TemporaryDirectory", "socket.socketpair"])
def test_what_is_not_there_is_not_shown(
    module: list[Request], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    where, name = broken.split(".")
    monkeypatch.setattr(getattr(plugin, where), name, fail)
    assert FakeAction().run(None, {})["changed"]


def test_rubbish_is_passed_over(
    printed: list[str], module: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ChangingAction.run

    def run_amid_rubbish(self: FakeAction, tmp: object, variables: object) -> dict[str, Any]:
        address = self._task.environment[-1][PROGRESS_VARIABLE]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for rubbish in (b"", b"{", b"[]", b"{}", b'{"text": 1}', b"\xff"):
                sender.sendto(rubbish, address)
        return run(self, tmp, variables)

    monkeypatch.setattr(ChangingAction, "run", run_amid_rubbish)
    module.append(Request("r", CloneSpec(NAME, "image")))
    assert FakeAction().run(None, {})["changed"]
    assert printed == [f"{NAME}: clone: queued"]


def test_a_display_that_fails_fails_nothing(
    module: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_how: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(plugin.display, "display", fail)
    module.append(Request("r", CloneSpec(NAME, "image")))
    assert FakeAction().run(None, {})["changed"]


def test_a_module_that_fails_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def fail(*_arguments: object) -> dict[str, Any]:
        raise RuntimeError("no")

    monkeypatch.setattr(ChangingAction, "run", fail)
    monkeypatch.setattr(plugin.tempfile, "tempdir", str(tmp_path))
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no"):
        FakeAction().run(None, {})
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= before


def test_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv(PROGRESS_VARIABLE, str(tmp_path / "gone"))
    progress = Progress()
    progress(Request("r", CloneSpec(NAME, "image")))
    assert progress.seen()["request"]["id"] == "r"
