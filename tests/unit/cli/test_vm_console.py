# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica vm console`` makes of where its keys come from and its words go to."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from maglica.libvirtd import serial
from support.cli_runs import Ran

VM = "vm1.example.jp"
# A process of its own, whose terminal is the test's.
CONSOLE = f"""
import signal, sys
from maglica.cli import main
from maglica.libvirtd import serial
from support.cli_runs import HOST0, FakeFleet, seen
from support.fake_client import FakeClient

def attach(*_asked, **_how):
    print("attached", flush=True)
    while True:
        signal.pause()

serial.attach = attach
FakeFleet.domains = seen(HOST0)
arguments = ["--config", sys.argv[1], "vm", "console", "{VM}"]
main.main(arguments, lambda _config: FakeClient([HOST0]), FakeFleet.of)
"""


@pytest.mark.parametrize("closed", ["stdin", "stdout"])
def test_what_is_closed_is_told(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    monkeypatch.setattr(sys, closed, None)
    ended = run("vm", "console", VM)
    assert (ended.status, ended.out) == (2, "")
    assert (
        ended.err == f"maglica: a console needs a standard input and output: {closed} is closed\n"
    )


def test_another_program_has_left_them_non_blocking(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, screen = os.pipe()
    seen = []

    def attach(_host: Any, _vm: Any, terminal: tuple[int, int], **_how: Any) -> bool:
        seen.extend(map(os.get_blocking, terminal))
        return True

    monkeypatch.setattr(serial, "attach", attach)
    with os.fdopen(keys) as stdin, os.fdopen(screen, "w") as stdout:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        os.set_blocking(keys, False)
        os.set_blocking(screen, False)
        assert run("vm", "console", VM).status == 0
        assert seen == [True, True]
        assert (os.get_blocking(keys), os.get_blocking(screen)) == (False, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "maglica.conf"
    path.write_text(
        "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
        "[host host0.example.jp]\nuri = test:///a\n"
    )
    user, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        [sys.executable, "-c", CONSOLE, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"attached\n"
            assert termios.tcgetattr(terminal) != before
            process.send_signal(number)
            assert process.wait(60) == -number
        finally:
            process.kill()
    assert termios.tcgetattr(terminal) == before
    os.close(user)
    os.close(terminal)
