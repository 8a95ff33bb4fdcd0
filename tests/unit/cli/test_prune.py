# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm prune``: what has a tag goes, but for what is kept, and nothing unasked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from maglica.cli import options
from maglica.cli.console import Console
from maglica.verbs.verb import Option
from support.cli_runs import DONE, VM, FakeFleet, Ran
from support.fake_client import FakeClient

HOST = "host0.example.jp"
NAMES = ("a.example.jp", "b.example.jp", "c.example.jp")
A, B, C = NAMES
PRUNE = ("vm", "prune", "--tag", "shop")


@pytest.fixture(autouse=True)
def shop(fake: FakeClient) -> None:
    """Three vms, of which the last has another tag."""
    vm = replace(VM, made=True, image="SL6.1-x86_64.original", clone_mode="linked")
    uuids = [f"6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c{number}" for number in (11, 12, 13)]
    FakeFleet.domains[:] = [
        replace(vm, name=name, uuid=uuid, tags=("other",) if name == C else ("shop",))
        for name, uuid in zip(NAMES, uuids)
    ]


def change(name: str, **fields: Any) -> None:
    FakeFleet.domains[:] = [
        replace(each, **fields) if each.name == name else each for each in FakeFleet.domains
    ]


def asked(fake: FakeClient) -> list[tuple[str, str]]:
    return [(request.kind, request.name) for request in reversed(fake.list())]


def test_check_tells_what_would_go_and_does_nothing(
    run: Callable[..., Ran], fake: FakeClient
) -> None:
    ran = run(*PRUNE, "--keep", B, C, "--check")
    assert (ran.status, ran.err, fake.list()) == (0, "", ())
    assert ran.out == f"{C} on {HOST} would get the tag shop\n{A} on {HOST} would be removed\n"
    told = json.loads(run(*PRUNE, "--keep", B, C, "--check", "--json").out)
    assert [(each["name"], each["host"], each["changed"]) for each in told] == [
        *((B, HOST, False), (C, HOST, True), (A, HOST, True))
    ]


def test_all_that_are_to_be_kept_are(run: Callable[..., Ran]) -> None:
    ran = run(*PRUNE, "--keep", A, "--keep", B, "--check")
    assert (ran.status, ran.out) == (0, "nothing to do\n")


@pytest.mark.parametrize(
    ("said", "tags"),
    [((), None), (("--vlan",), []), (("--vlan", "5", "--vlan", "6", "7"), [5, 6, 7])],
)
def test_a_list_goes_on_where_it_is_said_again(said: tuple[str, ...], tags: Any) -> None:
    parser = argparse.ArgumentParser()
    options.of_verb(parser, [Option("vlan", "--vlan", form="numbers")])
    assert parser.parse_args(said).vlan == tags


def test_nothing_goes_unasked(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run(*PRUNE)
    assert (ran.status, ran.out, fake.list()) == (4, "", ())
    assert ran.err.splitlines() == [
        f"{A} on {HOST} would be removed",
        f"{B} on {HOST} would be removed",
        "maglica: 2 vms with the tag shop would go, so nothing is done:"
        f" {A}, {B}; say --force to remove them",
    ]
    questions: list[str] = []

    def ask(_console: Console, question: str) -> bool:
        # What gets the tag now was not shown.
        change(C, tags=("shop",))
        questions.append(question)
        return True

    monkeypatch.setattr(Console, "ask", ask)
    assert run(*PRUNE, "--no-wait").status == 0
    assert questions == ["Remove 2 vms with all that is their own?"]
    assert asked(fake) == [("remove", A), ("remove", B)]


def test_what_lost_the_tag_or_was_made_anew_before_the_answer_stays(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(_console: Console, _question: str) -> bool:
        change(A, tags=())
        change(B, uuid="6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c14")
        return True

    monkeypatch.setattr(Console, "ask", ask)
    ran = run(*PRUNE, "--no-wait")
    assert (ran.status, ran.out, asked(fake)) == (0, "nothing to do\n", [])


def test_what_is_kept_stays_and_has_the_tag(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{**DONE, "vm": replace(VM, name=A, state="absent", active=False)}]
    ran = run(*PRUNE, "--keep", B, "--force", "--json")
    assert (ran.status, asked(fake)) == (0, [("remove", A)])
    (told,) = json.loads(ran.out)
    assert (told["name"], told["changed"], told["request"]["state"]) == (A, True, "done")
    change(A, tags=())
    assert run(*PRUNE, "--keep", B).out == "nothing to do\n"
    # Where nothing goes nobody is asked.
    assert run(*PRUNE, "--keep", B, C, "--no-wait").status == 0
    assert asked(fake)[1:] == [("tag", C)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"protected": True}, "it is protected"),
        ({"made": False, "adopted": True}, "adopted"),
    ],
)
def test_one_that_may_not_go_stops_it(
    run: Callable[..., Ran], fake: FakeClient, fields: dict[str, Any], words: str
) -> None:
    change(B, **fields)
    for how in ("--check", "--force"):
        ran = run(*PRUNE, how)
        assert (ran.status, ran.out, fake.list()) == (4, "", ())
        assert ran.err.startswith("maglica: nothing was done for 2 vms: ")
        assert B in ran.err and words in ran.err


def test_a_silent_host_and_a_name_that_nobody_has_stop_it(
    run: Callable[..., Ran], fake: FakeClient
) -> None:
    ran = run(*PRUNE, "--keep", "nobody", "--force")
    assert (ran.status, fake.list()) == (3, ())
    assert "there is no vm nobody" in ran.err
    FakeFleet.silent[:] = ["host1.example.jp"]
    ran = run(*PRUNE, "--force")
    assert (ran.status, fake.list()) == (5, ())
    assert "cannot tell which vms have the tag shop: host host1.example.jp" in ran.err


def test_the_tag_must_be_said(run: Callable[..., Ran]) -> None:
    assert run("vm", "prune").status == 2
    assert run("vm", "prune", "--tag", "").status == 2
    ran = run("vm", "prune", "--tag", "a b", "--force")
    assert (ran.status, "prune_tag" in ran.err) == (2, True)
