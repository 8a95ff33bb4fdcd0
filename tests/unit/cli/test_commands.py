# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command has: words about itself and its options, and --json where it has a result."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

import pytest
from maglica.cli import main
from maglica.verbs import table
from maglica.verbs.hardware.set_boot_order import BootDevice, SetBootOrderSpec
from support.cli_runs import UUID, Ran
from support.fake_client import FakeClient

VM1 = ("vm1.example.jp", UUID, "host0.example.jp")


def _below(parser: argparse.ArgumentParser, said: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each command, and what lacks words of it."""
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for group in groups:
        for name, below in group.choices.items():
            yield from _below(below, f"{said} {name}".strip())
    if not groups:
        options = [
            (*each.option_strings, each.dest)[0] for each in parser._actions if not each.help
        ]
        flags = {flag for each in parser._actions for flag in each.option_strings}
        yield said, options + [flag for flag in ("--json", "--help") if flag not in flags]


COMMANDS = dict(_below(main._parser()))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_says_what_it_and_its_options_are(command: str) -> None:
    # The shell's words are no result of anything.
    without = ["--json"] if command == "completion" else []
    assert COMMANDS[command] == without


def test_each_verb_has_a_command() -> None:
    assert {f"{verb.about} {verb.command}" for verb in table.VERBS} <= COMMANDS.keys()


def test_a_vm_boots_from_what_there_is(run: Callable[..., Ran], fake: FakeClient) -> None:
    for words in ((), ("hd",)):
        ran = run("vm", "set-boot-order", VM1[0], *words)
        assert (ran.status, ran.out, fake.list()) == (2, "", ())
    ran = run("vm", "set-boot-order", VM1[0], "network", "disk", "--no-wait", "--json")
    assert json.loads(ran.out)["request"]["kind"] == "set_boot_order"
    assert fake.specs == [SetBootOrderSpec(*VM1, (BootDevice.NETWORK, BootDevice.DISK))]
