# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica request`` prints and asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maglica.model.request import Phase, State
from support.cli_runs import CLONE, DONE, VM, Ran
from support.fake_client import FakeClient


def test_requests_are_listed_shown_and_followed(run: Callable[..., Ran], fake: FakeClient) -> None:
    run(*CLONE, "--no-wait")
    (request,) = fake.list()
    line = run("request", "list").out.split("\n")[2]
    assert line.split()[:5] == [
        request.id,
        "clone",
        "vm0.example.jp",
        "host0.example.jp",
        "queued",
    ]
    assert run("request", "list", "--state", "done", "--state", "failed").out.count("\n") == 2
    assert run("request", "list", "--name", "vm9.example.jp").out.count("\n") == 2

    shown = run("request", "show", request.id).out
    facts = dict(line.split(None, 1) for line in shown.splitlines())
    wanted = {"kind:": "clone", "image:": "SL6.1-x86_64.original", "state:": "queued"}
    assert wanted.items() <= facts.items()

    fake.story = [{"phases": (Phase("base", 1.0),), **DONE}]
    ran = run("request", "wait", request.id)
    assert ran.status == 0
    assert "  base 1.0 s" in ran.err
    assert ran.out.startswith("vm0.example.jp is running on host0.example.jp")
    assert "phase base:       1.00 s" in run("request", "show", request.id).out


def test_what_hosts_say_forges_no_line(run: Callable[..., Ran], fake: FakeClient) -> None:
    run(*CLONE, "--no-wait")
    (request,) = fake.list()
    lie = "x\nstate:             done"
    fake.story = [
        {"phases": (Phase(lie, 1.0),), "phase": lie},
        {**DONE, "vm": replace(VM, state=lie)},
    ]
    ran = run("request", "wait", request.id)
    shown = run("request", "show", request.id).out
    assert [line for line in ran.err.splitlines() if line.startswith("state:")] == []
    assert ran.out.count("\n") == 1
    assert [line for line in shown.splitlines() if line.startswith("state:")] == [
        "state:            done"
    ]
    assert "phase x\\nstate:" in shown


def test_cancel_waits_for_the_end(run: Callable[..., Ran], fake: FakeClient) -> None:
    run(*CLONE, "--no-wait")
    (request,) = fake.list()
    ran = run("request", "cancel", request.id, "--no-wait")
    assert (ran.status, ran.out) == (0, f"request {request.id} is being cancelled\n")
    fake.story = [{"state": State.CANCELLED}]
    ran = run("request", "cancel", request.id)
    assert (ran.status, ran.out) == (0, f"request {request.id} is cancelled\n")
