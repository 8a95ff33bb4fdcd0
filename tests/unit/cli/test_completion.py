# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a shell is helped with a command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from maglica.cli import completion
from maglica.cli.completion import Values
from maglica.model.errors import PeerSilent
from maglica.model.request import HostStatus
from support.cli_runs import Ran, completing

RUN = Path(__file__).resolve().parents[3] / "plugins/module_utils/maglica/run.py"


def test_a_shell_is_told_how_to_complete(run: Callable[..., Ran], tmp_path: Path) -> None:
    nowhere = tmp_path / "none.conf"
    for shell in completion.SHELLS:
        ran = run("completion", shell, config=nowhere)
        assert (ran.status, "_python_argcomplete maglica" in ran.out, ran.err) == (0, True, "")
    assert run("completion", "tcsh", config=nowhere).status == 2


def test_completion_needs_a_package(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    ran = run("completion", "bash")
    assert (ran.status, ran.out) == (2, "")
    assert "argcomplete (Debian: python3-argcomplete)" in ran.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("maglica v", {"vm"}),
        ("maglica vm re", {"remove", "remove-interface", "resize", "restart"}),
        ("maglica vm clone --cust", {"--customize"}),
        ("maglica request list --state q", {"queued"}),
        ("maglica vm set-", {"set-boot-order", "set-cdrom"}),
        ("maglica vm set-boot-order vm0 disk n", {"network"}),
        ("maglica vm add-disk vm0 data --bus s", {"sata", "scsi"}),
        ("maglica vm add-disk vm0 data --cache writet", {"writethrough"}),
    ],
)
def test_a_command_line_is_completed(tmp_path: Path, line: str, words: set[str]) -> None:
    found = tmp_path / "found"
    subprocess.run(
        [sys.executable, RUN, "maglica.cli.main"],
        check=True,
        env={**os.environ, **completing(line, found)},
    )
    assert {word.strip() for word in found.read_text().split("\n")} == words


def offered(ask: Callable[[argparse.Namespace], Sequence[HostStatus]]) -> list[str]:
    """Return what is offered as the name of a vm."""
    parser = argparse.ArgumentParser(prog="maglica vm stop")
    action = parser.add_argument("name")
    values = Values(ask, lambda **_rest: ["a-file"])
    return list(values("", action, parser, argparse.Namespace()))


def test_nothing_is_offered_where_nobody_can_be_asked(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(_asked: argparse.Namespace) -> Sequence[HostStatus]:
        raise PeerSilent("the client worker does not answer")

    assert offered(fail) == []
    assert capfd.readouterr() == ("", "")


def test_nobody_is_waited_for_who_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    waited = []

    def hang(_asked: argparse.Namespace) -> Sequence[HostStatus]:
        waited.append(over.wait(30))
        return ()

    monkeypatch.setattr(completion, "SECONDS", 0.01)
    assert offered(hang) == []
    assert not waited
    over.set()
