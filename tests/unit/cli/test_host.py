# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica host`` prints, and what is said of hosts that are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.cli_runs import HOST1, FakeFleet, Ran
from support.fake_client import FakeClient


def test_host_list(run: Callable[..., Ran], fake: FakeClient) -> None:
    report = replace(HOST1.report, problem="libvirtd does not answer")
    fake._hosts["host1.example.jp"] = replace(HOST1, alive=False, weight=2.5, report=report)
    lines = run("host", "list").out.split("\n")
    assert lines[0].split() == [
        "Name",
        "State",
        "Weight",
        "CPUs",
        "MiB",
        "free",
        "Images",
        "Vms",
        "Problem",
    ]
    assert lines[2].split() == ["host0.example.jp", "up", "1", "8", "8192/16384", "2", "1", "-"]
    assert lines[3].split(maxsplit=7) == [
        *["host1.example.jp", "down", "2.5", "8", "8192/16384", "1", "1"],
        "libvirtd does not answer",
    ]


@pytest.mark.parametrize("what", ["image", "vm"])
def test_what_is_missing_is_said(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(FakeFleet, "silent", ["host1.example.jp"])
    ran = run(what, "list")
    assert ran.err == "maglica: warning: host host1.example.jp is left out: no answer\n"
    assert ran.status == 0


def test_a_host_that_is_not_configured(run: Callable[..., Ran]) -> None:
    ran = run("vm", "list", "--host", "host9.example.jp")
    assert (ran.status, ran.out) == (3, "")
    assert ran.err.startswith("maglica: host host9.example.jp is not in the configuration, which")


def test_without_hosts_nothing_can_be_said_of_vms(run: Callable[..., Ran], tmp_path: Path) -> None:
    path = tmp_path / "hostless.conf"
    path.write_text("[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n")
    for words in (["vm", "list"], ["vm", "remove", "vm1.example.jp"], ["image", "list"]):
        ran = run(*words, config=path)
        assert (ran.status, ran.out) == (2, "")
        assert "section [host NAME] is missing" in ran.err
    assert run("host", "list", config=path).status == 0
