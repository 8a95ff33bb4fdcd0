# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes
from ansible_collections.maglica.cloud.plugins.plugin_utils.changing import ChangingAction


class FakeAction(ChangingAction):
    """Runs a module that returns ``answer``, and keeps the arguments that it got."""

    def __init__(self, args: dict[str, Any], answer: dict[str, Any], check_mode: bool) -> None:
        self._task = SimpleNamespace(args=args, action="m", async_val=0, check_mode=check_mode)
        self.answer = answer

    def _execute_module(self, **arguments: Any) -> dict[str, Any]:
        self.arguments = arguments
        return self.answer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {"base": True})
    return tmp_path / "home"


def test_the_module_gets_what_the_task_says_and_nothing_else() -> None:
    action = FakeAction({"name": "vm0"}, {"changed": False}, check_mode=False)
    variables = {"maglica_config": "/a"}
    assert action.run(None, variables) == {"base": True, "changed": False}
    assert action.arguments == {"task_vars": variables, "wrap_async": 0}
    assert action._task.args == {"name": "vm0"}


@pytest.mark.parametrize(
    ("answer", "check_mode", "noted"),
    [
        ({"changed": True}, False, True),
        ({"changed": True}, True, False),
        ({"changed": False}, False, False),
        ({"failed": True, "changed": False}, False, True),
        ({"failed": True}, True, False),
    ],
)
def test_changes_are_noted(answer: dict[str, Any], check_mode: bool, noted: bool) -> None:
    assert changes.last() == 0
    FakeAction({}, answer, check_mode).run(None, {})
    assert (changes.last() > 0) is noted


_CHANGED = {"changed": True}


@pytest.mark.parametrize(
    ("args", "answer", "asynchronous", "goes_on"),
    [
        ({}, _CHANGED, 0, False),
        ({"wait": True}, _CHANGED, 0, False),
        ({"wait": False}, _CHANGED, 0, True),
        ({"wait": "no"}, _CHANGED, 0, True),
        ({"wait": False}, {"changed": False}, 0, False),
        ({}, {"changed": False}, 60, True),
        ({}, {"failed": True, "code": "request_timeout"}, 0, True),
        ({}, {"failed": True, "code": "peer_silent"}, 0, True),
        ({}, {"failed": True, "code": "name_invalid"}, 0, False),
    ],
)
def test_what_is_read_before_the_end_is_out_of_date(
    args: dict[str, Any], answer: dict[str, Any], asynchronous: int, goes_on: bool
) -> None:
    action = FakeAction(args, answer, check_mode=False)
    action._task.async_val = asynchronous
    action.run(None, {})
    assert (changes.last() > time.time()) is goes_on


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_task_that_is_ended_may_go_on(error: type[BaseException], home: Path) -> None:
    class Ended(FakeAction):
        def _execute_module(self, **_arguments: Any) -> dict[str, Any]:
            assert changes.last() > time.time()
            raise error

    with pytest.raises(error):
        Ended({}, {}, check_mode=False).run(None, {})
    assert time.time() < changes.last() <= time.time() + changes.OPEN_SECONDS
    # After that time it counts no more, and is forgotten.
    (begun,) = (home / "maglica" / "changes").iterdir()
    then = time.time() - changes.OPEN_SECONDS - 1
    os.utime(begun, (then, then))
    assert changes.last() < time.time()
    assert not begun.exists()


def test_what_can_change_nothing_has_no_action_plugin() -> None:
    plugins = Path(__file__).parents[3] / "plugins"
    modules = {path.stem for path in (plugins / "modules").glob("maglica_*.py")}
    actions = {path.stem for path in (plugins / "action").glob("*.py")}
    # The inventory shows no pools and no networks.
    not_shown = {"maglica_pool", "maglica_network"}
    assert actions == {name for name in modules - not_shown if not name.endswith("_info")}


def test_a_home_that_can_not_be_written_is_no_error(home: Path) -> None:
    home.write_text("a file where the folder would be")
    changes.note()
    assert changes.last() == 0
