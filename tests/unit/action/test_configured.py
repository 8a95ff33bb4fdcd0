# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.maglica.cloud.plugins.module_utils.maglica.fleet import changes
from ansible_collections.maglica.cloud.plugins.plugin_utils.configured import ConfiguredAction

ACTIONS = "ansible_collections.maglica.cloud.plugins.action"


class FakeAction(ConfiguredAction):
    """Runs a module that returns ``answer``, and keeps the arguments that it got."""

    def __init__(self, args: dict[str, Any], answer: dict[str, Any], check_mode: bool) -> None:
        self._task = SimpleNamespace(args=args, action="m", async_val=0, check_mode=check_mode)
        self._templar = SimpleNamespace(template=lambda value: value.upper())
        self.answer = answer

    def _execute_module(self, **arguments: Any) -> dict[str, Any]:
        self.arguments = arguments["module_args"]
        return self.answer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {"base": True})
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("args", "variables", "config"),
    [
        ({}, {"maglica_config": "/a"}, "/A"),
        ({"config": None}, {"maglica_config": "/a"}, "/A"),
        ({"config": "/b"}, {"maglica_config": "/a"}, "/b"),
        ({}, {}, None),
    ],
)
def test_config(args: dict[str, Any], variables: dict[str, str], config: str | None) -> None:
    action = FakeAction(args, {"changed": False}, check_mode=False)
    assert action.run(None, variables) == {"base": True, "changed": False}
    assert action.arguments.get("config") == config


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


@pytest.mark.parametrize("answer", [{"failed": True}, {"changed": True}])
def test_what_can_change_nothing_is_not_noted(answer: dict[str, Any]) -> None:
    for name in ("host", "image", "vm"):
        module = importlib.import_module(f"{ACTIONS}.maglica_{name}_info")
        assert not module.ActionModule.MAY_CHANGE
    for name in ("image", "vm", "vms"):
        assert importlib.import_module(f"{ACTIONS}.maglica_{name}").ActionModule.MAY_CHANGE

    class Reads(FakeAction):
        MAY_CHANGE = False

    Reads({}, answer, check_mode=False).run(None, {})
    assert changes.last() == 0


def test_a_home_that_can_not_be_written_is_no_error(home: Path) -> None:
    home.write_text("a file where the folder would be")
    changes.note()
    assert changes.last() == 0
