# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica status`` prints, and how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from maglica.model.moment import Moment
from maglica.model.request import Request
from maglica.model.worker import ClientWorkerStatus
from maglica.verbs.clone import CloneSpec
from support.cli_runs import HOST0, HOST1, Ran
from support.fake_client import FakeClient

VERSION = "0.2.0+0123456789ab"


@pytest.fixture
def fake(fake: FakeClient) -> FakeClient:
    """Two hosts that are as they should be."""
    fake.client_worker = ClientWorkerStatus(VERSION)
    for status in (HOST0, HOST1):
        fake._hosts[status.host] = replace(status, worker_version=VERSION)
    return fake


def test_a_cloud_with_which_nothing_is_wrong(run: Callable[..., Ran]) -> None:
    ran = run("status")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.split("\n")
    titles = "Name State Version MiB free Space free Images Vms Open Oldest"
    assert lines[0].split() == titles.split()
    assert lines[2].split() == ["client", "worker", "up", VERSION, "-", "-", "-", "-", "0", "-"]
    assert lines[3].split() == [
        *(HOST0.host, "up", VERSION, "8192/16384", "default", "50.0", "GiB", "2", "1", "0", "-")
    ]
    assert lines[-2] == "Nothing is wrong."


def test_a_cloud_with_which_something_is_wrong(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake._hosts[HOST1.host] = replace(HOST1, alive=False, seen=Moment(time.time() - 40))
    old = Request("an-id", CloneSpec("vm0", "golden"), host=HOST0.host, created=Moment(1))
    fake.requests[old.id] = old
    ran = run("status")
    assert (ran.status, ran.err) == (7, "")
    said = ran.out.split("\n\n")[1].split("\n")
    assert said[0].startswith(f"Wrong: {HOST1.host}: nothing was heard of it for 4")
    assert said[1].startswith("  To do: see that the machine runs")
    assert said[2].startswith(f"Wrong: {HOST0.host}: request an-id (clone vm0) is open for ")
    row = next(line for line in ran.out.split("\n") if line.startswith(HOST0.host))
    assert row.split()[9] == "1"


def test_as_json(run: Callable[..., Ran], fake: FakeClient) -> None:
    shown = json.loads(run("status", "--json").out)
    assert (shown["ok"], shown["troubles"], shown["oldest_open"]) == (True, [], None)
    assert shown["client_worker"] == {"version": VERSION, "problems": []}
    assert [host["worker_version"] for host in shown["hosts"]] == [VERSION, VERSION]
    fake._hosts[HOST1.host] = replace(fake._hosts[HOST1.host], worker_version="0.1.0")
    ran = run("status", "--json")
    shown = json.loads(ran.out)
    assert (ran.status, shown["ok"]) == (7, False)
    (trouble,) = shown["troubles"]
    assert (trouble["code"], trouble["host"], trouble["wrong"]) == ("version", HOST1.host, True)
