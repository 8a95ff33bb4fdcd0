# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/commands.md against the code: every command, every exit status."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from maglica.cli import as_json, completion, exits, main, status
from maglica.model.request import HostReport, Request
from maglica.verbs.clone import CloneSpec
from support.cli_runs import HOST0, VM

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "commands.md").read_text()


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below this one, by their words."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def test_every_command_is_there() -> None:
    told = set()
    for row in re.findall(r"^\| `maglica (.+?)` \|", DOCUMENT, re.MULTILINE):
        first, *others = row.split("`, `")
        told.update([first, *(f"{first.split()[0]} {other}" for other in others)])
    assert told == {
        f"{noun} {command}"
        for noun, parser in _commands(main._parser()).items()
        for command in _commands(parser) or completion.SHELLS
        if noun != "status"
    } | {"status"}


def test_every_exit_status_is_there() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(str(status.value), meaning) for status, meaning in exits.MEANINGS.items()]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("image list", as_json.image(VM, HostReport())),
        ("host list", as_json.host(HOST0)),
        ("request list", as_json.request(Request("a", CloneSpec("b", "c")))),
        ("status", status.shown(None, [], [], [])),
    ],
)
def test_the_keys_of_json_are_there(command: str, shown: dict[str, object]) -> None:
    (keys,) = re.findall(rf"^\| `{command}` \| [^|]+ \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert keys == ", ".join(f"`{key}`" for key in shown)
