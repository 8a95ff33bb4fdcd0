# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm clone`` of many vms by a pattern."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from maglica.model.request import Failure, State
from support.cli_runs import CLONE, DONE, VM, Ran
from support.fake_client import FakeClient

MANY = ("vm", "clone", "--image", "SL6.1-x86_64.original", "web%02d.example.jp")


def made(number: int) -> dict[str, Any]:
    """The end of the clone of that number."""
    return {**DONE, "vm": replace(VM, name=f"web{number:02d}.example.jp")}


def test_a_pattern_and_a_count_are_many_vms(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [made(1), made(2), made(3)]
    ran = run(*MANY, "--count", "3", "--memory", "64")
    assert ran.status == 0
    names = [f"web0{number}.example.jp" for number in (1, 2, 3)]
    assert [request.name for request in reversed(fake.list())] == names
    assert {request.spec.memory_mib for request in fake.list()} == {64}
    assert [line.split(" (")[0] for line in ran.out.splitlines()] == [
        f"{name} is running on host0.example.jp" for name in names
    ]
    assert ran.err.splitlines() == ["0 of 3 done, 3 waiting", "3 of 3 done"]


def test_many_names_and_other_numbers(run: Callable[..., Ran], fake: FakeClient) -> None:
    assert run(*MANY, "--count", "2", "--first", "0", "--no-wait").status == 0
    ran = run(*CLONE, "vm8.example.jp", "--no-wait", "--json")
    assert [result["name"] for result in json.loads(ran.out)] == [
        *("vm0.example.jp", "vm8.example.jp")
    ]
    assert [request.name for request in reversed(fake.list())] == [
        *("web00.example.jp", "web01.example.jp", "vm0.example.jp", "vm8.example.jp")
    ]


def test_of_many_the_failed_ones_are_named(run: Callable[..., Ran], fake: FakeClient) -> None:
    failed = {"state": State.FAILED, "failure": Failure("no_room", "pool default is full")}
    fake.story = [made(1), failed, made(3)]
    ran = run(*MANY, "--count", "3")
    assert ran.status == 1
    assert [line.split()[0] for line in ran.out.splitlines()] == [
        *("web01.example.jp", "web03.example.jp")
    ]
    assert ran.err.splitlines()[-1] == (
        "maglica: 1 of 3 vms failed: web02.example.jp: pool default is full"
    )
    assert "web02.example.jp: clone: pool default is full" in ran.err.splitlines()


def test_many_that_go_on(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [made(1)]
    ran = run(*MANY, "--count", "2", "--timeout", "1")
    assert ran.status == 6
    assert "1 of 2 vms failed: web02.example.jp: request" in ran.err
    fake.story = [KeyboardInterrupt()]
    ran = run(*MANY, "--count", "2", "--first", "5")
    assert ran.status == 130
    assert "the requests go on; `maglica request list` shows them" in ran.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((*MANY, "--count", "0"), "not a whole number above 0"),
        ((*MANY, "--count", "1001"), "more than 1000"),
        ((*MANY, "--count", "2", "--first", "x"), "--first"),
        ((*MANY, "--count", "2", "--first", "99999"), "number 100000 is above 99999"),
        ((*CLONE, "--first", "0"), "--first goes with --count"),
        ((*MANY, "vm1", "--count", "2"), "goes with one NAME"),
        (MANY, "'web%02d.example.jp' is not a valid host name"),
        ((*MANY[:-1], "web", "--count", "2"), "'web' is not a pattern of names"),
    ],
)
def test_many_by_a_wrong_command_line(
    run: Callable[..., Ran], fake: FakeClient, words: tuple[str, ...], why: str
) -> None:
    ran = run(*words)
    assert (ran.status, ran.out) == (2, "")
    assert why in ran.err
    assert fake.list() == ()
