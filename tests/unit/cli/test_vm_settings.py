# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica vm pause``, ``vm set`` and ``vm grow-disk``, and what is shown of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from maglica.model.vm import Disk
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.hardware.set_cdrom import Medium, SetCdromSpec
from maglica.verbs.power.pause import PauseSpec
from maglica.verbs.set import SetSpec
from support.cli_runs import CLONE, DONE, UUID, VM, FakeFleet, Ran
from support.fake_client import FakeClient

VM1 = ("vm1.example.jp", UUID, "host0.example.jp")


def test_a_vm_is_paused(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{**DONE, "vm": replace(VM, name=VM1[0], state="paused")}]
    ran = run("vm", "pause", VM1[0])
    assert ran.out.startswith("vm1.example.jp is paused on host0.example.jp (")
    assert fake.specs == [PauseSpec(*VM1)]
    FakeFleet.domains[:] = [replace(vm, state="paused") for vm in FakeFleet.domains]
    ran = run("vm", "pause", VM1[0])
    assert ran.out == "vm1.example.jp is paused on host0.example.jp: nothing to do\n"


def test_what_is_noted_of_a_vm_is_set(run: Callable[..., Ran], fake: FakeClient) -> None:
    words = ("--autostart", "--description", "web", "--protected")
    for command in (("vm", "set", VM1[0]), CLONE):
        ran = run(*command, *words, "--no-wait")
        assert ran.status == 0, ran.err
    noted, clone = fake.specs
    assert noted == SetSpec(*VM1, True, "web", True)
    assert (clone.autostart, clone.description, clone.protected) == (True, "web", True)
    FakeFleet.domains[:] = [
        replace(vm, autostart=True, description="web", protected=True) for vm in FakeFleet.domains
    ]
    assert run("vm", "set", VM1[0], *words).out.endswith(": nothing to do\n")
    shown = run("vm", "show", VM1[0]).out
    for line in (
        "description:      web",
        "protected:        yes: it is not removed",
        "autostart:        yes: its host starts it",
    ):
        assert line in shown.splitlines()
    told = json.loads(run("vm", "show", VM1[0], "--json").out)
    assert (told["autostart"], told["description"], told["protected"]) == (True, "web", True)
    run("vm", "set", VM1[0], "--no-protected", "--no-wait")
    run("vm", "set", VM1[0], "--no-autostart", "--description", "", "--no-wait")
    assert fake.specs[2:] == [
        SetSpec(*VM1, protected=False),
        SetSpec(*VM1, autostart=False, description=""),
    ]


def test_nothing_to_set_is_a_mistake(run: Callable[..., Ran], fake: FakeClient) -> None:
    ran = run("vm", "set", VM1[0])
    assert (ran.status, fake.specs) == (2, [])
    assert ran.err == "maglica: set needs --autostart or --description or --protected\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--eject", "--path", "/a.iso"), "argument --path: not allowed with argument --eject"),
        (("--path", "/a.iso", "--pool", "p"), "argument --pool: not allowed with argument --path"),
        (("--eject", "--pool", "p"), "argument --pool: not allowed with argument --eject"),
        (("--eject", "--volume", "v"), "--volume goes with --pool"),
        (("--path", "/a.iso", "--volume", "v"), "--volume goes with --pool"),
    ],
)
def test_what_shall_be_in_a_drive_is_said_once(
    run: Callable[..., Ran], fake: FakeClient, words: tuple[str, ...], text: str
) -> None:
    ran = run("vm", "set-cdrom", VM1[0], *words)
    assert (ran.status, ran.out, fake.specs) == (2, "", [])
    assert ran.err.startswith(f"maglica: {text}")
    assert len(ran.err.splitlines()) == 1


def test_a_medium_is_put_in(run: Callable[..., Ran], fake: FakeClient) -> None:
    for words in (("--path", "/a.iso"), ("--pool", "p", "--volume", "v")):
        assert run("vm", "set-cdrom", VM1[0], *words, "--no-wait").status == 0
    media = [Medium("/a.iso"), Medium(pool="p", volume="v")]
    assert fake.specs == [SetCdromSpec(*VM1, medium) for medium in media]


def test_a_protected_vm_is_not_removed(run: Callable[..., Ran], fake: FakeClient) -> None:
    FakeFleet.domains[:] = [replace(vm, protected=True) for vm in FakeFleet.domains]
    ran = run("vm", "remove", VM1[0], "--force")
    assert (ran.status, ran.out, fake.specs) == (4, "", [])
    assert ran.err == (
        "maglica: cannot remove vm1.example.jp on host host0.example.jp: it is protected;"
        " protected=false, or maglica vm set --no-protected, ends that\n"
    )


def test_a_disk_that_is_not_there_does_not_grow(run: Callable[..., Ran], fake: FakeClient) -> None:
    grow = ("vm", "grow-disk", VM1[0], "data", "--size", "2GiB", "--no-wait")
    for kept in ((), ("data",)):
        FakeFleet.domains[:] = [replace(vm, kept_disks=kept) for vm in FakeFleet.domains]
        ran = run(*grow)
        assert (ran.status, fake.specs) == (2, []), ran.err
        assert "has no disk data of its own attached" in ran.err
    data = Disk("vdb", name="data", capacity_bytes=1 << 30)
    FakeFleet.domains[:] = [replace(vm, disks=(data,), kept_disks=()) for vm in FakeFleet.domains]
    assert run(*grow).status == 0
    assert fake.specs == [GrowDiskSpec(*VM1, "data", 2048)]
