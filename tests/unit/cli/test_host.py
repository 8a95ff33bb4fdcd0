# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica host`` prints, and what is said of hosts that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.cli import main
from maglica.fleet.source import Source
from maglica.model.reported import ReportedHost
from support import reported
from support.cli_runs import CLONE, HOST0, HOST1, SL61, FakeFleet, Ran, seen
from support.fake_client import FakeClient


def test_host_list(run: Callable[..., Ran], fake: FakeClient) -> None:
    report = replace(HOST1.report, problem="libvirtd does not answer")
    fake._hosts["host1.example.jp"] = replace(
        HOST1, alive=False, weight=2.5, report=report, worker_version="0.1.0+3f2a1b9c0d1e"
    )
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
        "Version",
        "Problem",
    ]
    assert lines[2].split() == [
        "host0.example.jp",
        "up",
        "1",
        "8",
        "8192/16384",
        "2",
        "1",
        "-",
        "-",
    ]
    assert lines[3].split(maxsplit=8) == [
        *["host1.example.jp", "down", "2.5", "8", "8192/16384", "1", "1", "0.1.0+3f2a1b9c0d1e"],
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


def test_who_tells_what_runs_where(run: Callable[..., Ran]) -> None:
    commands = (["vm", "list"], ["image", "list"], ["vm", "show", "vm1.example.jp"])
    acts = (["vm", "tag", "vm1.example.jp", "a"], [*CLONE, "--no-wait"])
    for words in (*commands, *acts):
        for said, source in (
            ([], Source.AUTO),
            (["--source=client_worker"], Source.CLIENT_WORKER),
            (["--source", "libvirt"], Source.LIBVIRT),
        ):
            FakeFleet.sources.clear()
            run(*words, *said)
            assert set(FakeFleet.sources) == {source}, words
    assert run("vm", "list", "--source=hearsay").status == 2


def test_a_list_of_reports(
    fake: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither hosts are configured, nor is libvirt needed."""
    told = [reported.domain(replace(each, address=None)) for each in seen(HOST0)]
    hosts = (ReportedHost(HOST0.host, alive=True, age_s=1.0), ReportedHost("new", alive=False))
    fake.reported = reported.FakeReports(hosts, told).reported
    path = tmp_path / "maglica.conf"
    path.write_text("[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n")

    def ran(*words: str) -> str:
        assert main.main(["--config", str(path), *words], lambda config: fake) == 0
        return capsys.readouterr().out

    assert [line.split()[0] for line in ran("vm", "list").splitlines()[2:]] == ["vm1.example.jp"]
    (vm,) = json.loads(ran("vm", "list", "--json", "--host", HOST0.host))
    assert 1.0 <= vm["report_age_s"] < 60
    assert SL61 in ran("image", "list")
