# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica vm clone`` prints and asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.model.request import CloneMode, Customize, Failure, Nic, Phase, State, User
from maglica.verbs.clone import CloneSpec
from support.cli_runs import CLONE, DONE, HOST0, VM, FakeFleet, Ran, seen
from support.fake_client import FakeClient


def test_clone_shows_its_progress_and_its_end(run: Callable[..., Ran], fake: FakeClient) -> None:
    base, copy = Phase("base", 1.25), Phase("copy", 0.31)
    fake.story = [
        {"state": State.SENT},
        {"state": State.RUNNING},
        {"phase": "base"},
        {"phase": "copy", "phases": (base,)},
        {"phases": (base, copy), **DONE},
    ]
    ran = run(*CLONE)
    (request,) = fake.list()
    assert ran.err.splitlines() == [
        f"clone vm0.example.jp on host0.example.jp: request {request.id}",
        "  base 1.2 s, copy 0.3 s",
    ]
    assert ran.out == "vm0.example.jp is running on host0.example.jp (5.0 s)\n"
    assert ran.status == 0


def test_clone_passes_its_options_on(
    run: Callable[..., Ran], fake: FakeClient, tmp_path: Path
) -> None:
    keys = tmp_path / "authorized_keys"
    keys.write_text("# mine\n\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me\n")
    hashed, data = tmp_path / "hash", tmp_path / "user-data"
    hashed.write_text("$6$salt$hashhash\n")
    data.write_text("#cloud-config\n{}\n")
    ran = run(
        *CLONE,
        *("--host", "host1.example.jp", "--mode", "full", "--pool", "default", "--vcpus", "2"),
        *(
            "--memory",
            "1024",
            "--disk-size",
            "20GiB",
            "--network",
            "default",
            "--network",
            "default",
            "--no-start",
        ),
        *("--customize", "cloud-init", "--user-data", str(data)),
        *("--user", "admin", "--user-group", "docker", "--user-group", "adm"),
        *("--user-sudo", "ALL=(ALL) ALL", "--user-shell", "/bin/bash"),
        *("--user-ssh-authorized-keys", str(keys), "--user-password-hash", str(hashed)),
        *("--ssh-authorized-keys", str(keys), "--no-wait"),
    )
    assert fake.specs[0] == CloneSpec(
        name="vm0.example.jp",
        image="SL6.1-x86_64.original",
        host="host1.example.jp",
        clone_mode=CloneMode.FULL,
        pool="default",
        vcpus=2,
        memory_mib=1024,
        disk_size_mib=20480,
        interfaces=(Nic("default"), Nic("default")),
        ssh_authorized_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me",),
        start=False,
        customize=Customize.CLOUD_INIT,
        user=User(  # noqa: S604 - no program is run
            "admin",
            groups=("docker", "adm"),
            sudo="ALL=(ALL) ALL",
            shell="/bin/bash",
            ssh_authorized_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me",),
            password="$6$salt$hashhash",
        ),
        user_data="#cloud-config\n{}\n",
    )
    assert (ran.status, ran.out) == (0, f"request {fake.list()[0].id} is queued\n")


def test_clone_says_how_the_vm_was_customized(
    run: Callable[..., Ran], fake: FakeClient, tmp_path: Path
) -> None:
    fake.story = [{**DONE, "vm": replace(VM, customize="offline", customize_reason="asked for")}]
    ran = run(*CLONE)
    assert ran.out == (
        "vm0.example.jp is running on host0.example.jp (1.0 s); customize offline: asked for\n"
    )
    ran = run(*CLONE, "--user-data", str(tmp_path / "none"))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"maglica: cannot read user data from {tmp_path}/none: ")


def test_a_clone_as_json_is_what_the_module_returns(
    run: Callable[..., Ran], fake: FakeClient
) -> None:
    fake.story = [DONE]
    result = json.loads(run(*CLONE, "--json").out)
    assert (result["name"], result["changed"]) == ("vm0.example.jp", True)
    assert result["request"]["state"] == "done"
    assert result["vm"]["host"] == "host0.example.jp"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failed_clone_is_one_line_and_status_1(
    run: Callable[..., Ran], fake: FakeClient, as_json: bool
) -> None:
    text = "cannot clone vm0.example.jp on host host0.example.jp:\npool default is full"
    fake.story = [{"state": State.FAILED, "failure": Failure("no_room", text)}]
    ran = run(*CLONE, *["--json"] * as_json)
    assert ran.status == 1
    assert ran.err.splitlines()[-1] == f"maglica: {text}".replace("\n", " ")
    assert bool(ran.out) == as_json
    assert not as_json or json.loads(ran.out)["code"] == "no_room"


def test_a_cancelled_clone_is_told(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{"cancelling": True}, {"state": State.CANCELLED}]
    ran = run(*CLONE)
    assert ran.status == 1
    (request,) = fake.requests
    assert ran.err.splitlines()[1:] == [
        "maglica: clone of vm0.example.jp on host host0.example.jp was cancelled"
        f" (request {request})",
    ]


def test_an_interrupt_says_how_to_go_on(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [KeyboardInterrupt()]
    ran = run(*CLONE)
    (request,) = fake.list()
    assert ran.status == 130
    assert f"`maglica request cancel {request.id}` stops it" in ran.err
    assert not request.cancelling


def test_a_vm_that_is_there_is_not_cloned(run: Callable[..., Ran], fake: FakeClient) -> None:
    ran = run(*CLONE[:-1], "vm1.example.jp", "--memory", "64", "--no-start")
    assert (ran.status, ran.out) == (4, "")
    assert ran.err == "maglica: vm vm1.example.jp is on host host0.example.jp already\n"
    assert fake.list() == ()


def test_the_same_clone_again_joins_the_first(run: Callable[..., Ran], fake: FakeClient) -> None:
    assert run(*CLONE, "--no-wait").status == 0
    (request,) = fake.list()
    fake.story = [DONE]
    # By the time that it is looked for again it is there.
    there = replace(seen(HOST0)[-1], name=VM.name, host=str(request.host))
    FakeFleet.domains.append(there)
    ran = run(*CLONE)
    assert (ran.status, ran.out) == (0, "vm0.example.jp is running on host0.example.jp (1.0 s)\n")
    assert [each.id for each in fake.list()] == [request.id]


def test_a_secret_said_again_while_the_first_clone_is_under_way(
    run: Callable[..., Ran], fake: FakeClient, tmp_path: Path
) -> None:
    told = tmp_path / "user-data"
    told.write_text("#!/bin/sh\n")
    assert "warning" not in run(*CLONE, "--no-wait").err
    ran = run(*CLONE, "--user-data", str(told), "--no-wait")
    assert (ran.status, len(fake.list())) == (0, 1)
    assert ran.err.splitlines()[-1] == (
        "warning: vm0.example.jp: not changed on a vm that is just being made, where what was said"
        " first stands: user_data"
    )
