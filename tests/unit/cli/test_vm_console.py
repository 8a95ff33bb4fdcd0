# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica vm console`` makes of where its keys come from and its words go to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest
from maglica.libvirtd import serial
from support.cli_runs import Ran

VM = "vm1.example.jp"


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
