# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica image`` prints and asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from maglica.model.request import Failure, LookSummary, Phase, State
from support.cli_runs import HOST0, SL61, Ran
from support.fake_client import FakeClient


def test_image_list_is_the_table_that_users_know(run: Callable[..., Ran]) -> None:
    ran = run("image", "list")
    assert ran.out == (
        "Name                                     Host\n"
        "---------------------------------------------------------\n"
        "SL6.0-x86_64.original                    host0.example.jp\n"
        "SL6.1-x86_64.original                    host0.example.jp\n"
        "SL6.1-x86_64.original                    host1.example.jp\n"
    )
    assert (ran.status, ran.err) == (0, "")


def test_image_list_tells_what_can_not_be_cloned(run: Callable[..., Ran], fake: FakeClient) -> None:
    looks = (
        LookSummary("SL6.0-x86_64.original", "v", False, "no ifupdown", True),
        LookSummary("SL6.1-x86_64.original", "v", True, None, True),
        LookSummary("SL6.1-x86_64.original", "old", False, "no system", False),
    )
    fake._hosts["host0.example.jp"] = replace(HOST0, report=replace(HOST0.report, looks=looks))
    lines = run("image", "list").out.split("\n")
    assert lines[0].split("Host")[1].strip() == "Can't be cloned"
    assert [line.split(None, 2)[1:] for line in lines[2:5]] == [
        ["host0.example.jp", "no ifupdown"],
        ["host0.example.jp", "-"],
        ["host1.example.jp", "-"],
    ]
    images = json.loads(run("image", "list", "--json").out)
    assert {image["refused"] for image in images} == {None, "no ifupdown"}


def places(ran: Ran) -> dict[str, str]:
    """What the table says was done on each host."""
    rows = (line.split(maxsplit=1) for line in ran.out.splitlines()[2:])
    return {host: done.strip() for host, done in rows}


def test_an_image_is_prepared_on_all_hosts(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{"state": State.DONE, "phases": (Phase("base", 2.0),)}] * 2
    ran = run("image", "prepare", SL61)
    assert ran.status == 0
    assert places(ran) == dict.fromkeys(("host0.example.jp", "host1.example.jp"), "prepared")
    for host in places(ran):
        assert f"\n  {host}: base: 2.0 s\n" in ran.err
    assert {(each.kind, each.spec.host) for each in fake.list()} == {
        ("prepare", "host0.example.jp"),
        ("prepare", "host1.example.jp"),
    }


def test_a_host_where_an_image_is_not_prepared(run: Callable[..., Ran], fake: FakeClient) -> None:
    text = f"cannot prepare {SL61} on host host0.example.jp:\npool default is full"
    failed = {"state": State.FAILED, "failure": Failure("no_room", text)}
    fake.story = [failed, {"state": State.DONE, "phases": (Phase("base", 2.0),)}]
    ran = run("image", "prepare", SL61)
    assert ran.status == 1
    assert places(ran) == {"host0.example.jp": "failed", "host1.example.jp": "prepared"}
    assert ran.err.splitlines()[-1] == f"maglica: {text}".replace("\n", " ")


def test_each_host_tells_what_was_to_do(run: Callable[..., Ran], fake: FakeClient) -> None:
    for act, phase, done in (("release", "volumes", "released"), ("prepare", "base", "prepared")):
        fake.story = [
            {"state": State.DONE},
            {"state": State.DONE, "phases": (Phase(phase, 0.1),)},
        ]
        ran = run("image", act, SL61)
        assert ran.status == 0
        assert places(ran) == {"host0.example.jp": "nothing to do", "host1.example.jp": done}
        assert [(each.kind, each.spec.host) for each in fake.list()][:2] == [
            (act, "host1.example.jp"),
            (act, "host0.example.jp"),
        ]


@pytest.mark.parametrize(("words", "status"), [(["--no-wait"], 0), (["--timeout", "1"], 3)])
def test_what_is_only_queued_is_not_called_prepared(
    run: Callable[..., Ran], words: list[str], status: int
) -> None:
    ran = run("image", "prepare", SL61, "--host", "host0.example.jp", *words)
    assert ran.status == status
    assert places(ran) == {"host0.example.jp": "queued"}
