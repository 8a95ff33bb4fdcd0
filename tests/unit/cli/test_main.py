# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all commands have in common: one line for an error, help, JSON."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from maglica.cli import exits
from maglica.cli.console import Console, NotConfirmed
from maglica.model import errors
from support.cli_runs import CLONE, UUID, Ran
from support.fake_client import FakeClient


def test_json_is_values_only(run: Callable[..., Ran]) -> None:
    images = json.loads(run("image", "list", "--json").out)
    assert images[0] == {
        "name": "SL6.0-x86_64.original",
        "host": "host0.example.jp",
        "uuid": UUID,
        "checksum": None,
        "origin": None,
        "customizable": None,
        "way": None,
        "reason": None,
    }
    (vm,) = json.loads(run("--json", "vm", "list", "--host=host0.example.jp").out)
    assert (vm["name"], vm["host"]) == ("vm1.example.jp", "host0.example.jp")
    assert vm["state"] == "running"
    hosts = json.loads(run("host", "list", "--json").out)
    assert [host["name"] for host in hosts] == ["host0.example.jp", "host1.example.jp"]
    assert json.loads(run("request", "list", "--json").out) == []


def test_every_error_has_one_exit_status() -> None:
    codes = {cls.code for cls in (*errors.CLASSES, NotConfirmed)}
    assert codes == set(exits._STATUS)
    assert set(exits.MEANINGS) == set(exits.Exit)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigInvalid("x"), 2),
        (errors.DependencyMissing("x"), 2),
        (errors.VmUnknown("x"), 3),
        (errors.NameTaken("x"), 4),
        (errors.AccessDenied("x"), 4),
        (errors.PeerSilent("x"), 5),
        (errors.RequestTimeout("x"), 6),
        (errors.JournalFailed("x"), 1),
        (errors.MaglicaError("two\nlines"), 1),
    ],
)
def test_errors_are_one_line_and_have_a_status(
    run: Callable[..., Ran], fake: FakeClient, error: errors.MaglicaError, status: int
) -> None:
    fake._refusal = error
    ran = run("image", "list")
    assert ran.status == status
    assert ran.err == f"maglica: {error}\n".replace("two\nlines", "two lines")
    assert ran.out == ""


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "the following arguments are required: OBJECT; see maglica --help"),
        (["vm"], "the following arguments are required: COMMAND; see maglica vm --help"),
        (["vm", "clone"], "the following arguments are required: NAME, --image; see"),
        (["nonsense"], "argument OBJECT: invalid choice: 'nonsense'"),
        ([*CLONE, "--vcpus", "0"], "argument --vcpus: '0' is not a whole number above 0"),
        ([*CLONE, "--disk-size", "20GB"], "argument --disk-size: size: 20GB says GB, which "),
        ([*CLONE, "--disk-size="], "argument --disk-size: size: '' is not a size"),
        ([*CLONE, "--mode", "half"], "argument --mode: invalid choice: 'half'"),
        ([*CLONE, "--wait", "--no-wait"], "argument --no-wait: not allowed with argument --wait"),
        ([*CLONE[:3], "../x"], "'../x' is not a valid name for a vm"),
        ([*CLONE[:3], "Web_1"], "hostname: needed, since 'Web_1' is not a valid host name"),
        ([*CLONE[:3], "a", "b", "--hostname=c"], "--hostname goes with one NAME"),
        ([*CLONE[:2], "--image=<x>", CLONE[3]], "image: '<x>' is not a valid name"),
        ([*CLONE, "--host", "a/b"], "host: 'a/b' is not a valid name"),
        ([*CLONE, "--network", "a/b"], "interfaces[0].network: 'a/b' is not a valid name"),
        (["vm", "stop", "a/b"], "'a/b' is not a valid name for a vm"),
        (["vm", "resize", "vm1.example.jp"], "resize needs --vcpus or --memory"),
        ([*CLONE, "--ssh-authorized-keys", "/none"], "cannot read SSH keys from /none: "),
        (["image", "release", "x", "--host", ""], "argument --host: it is empty"),
        (["vm", "list", "--host="], "argument --host: it is empty"),
        (["request", "list", "--name", ""], "argument --name: it is empty"),
        (["request", "list", "--config", ""], "argument --config: it is empty"),
        (["request", "show", "1"], "argument ID: '1' is not a request id"),
        (["request", "list", "--state", "open"], "argument --state: invalid choice: 'open'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    run: Callable[..., Ran], fake: FakeClient, words: list[str], problem: str
) -> None:
    ran = run(*words)
    assert ran.status == 2
    assert ran.err.startswith(f"maglica: {problem}")
    assert ran.err.count("\n") == 1
    assert fake.list() == ()


def test_a_wrong_configuration_is_told_with_its_line(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.conf"
    wrong.write_text("[client_worker]\naddress = a/b\n")
    ran = run("image", "list", config=wrong)
    assert ran.status == 2
    assert ran.err.startswith(
        f"maglica: {wrong}:2: [client_worker] address: 'a/b' is not a valid host name"
    )


@pytest.mark.parametrize("words", [[], ["image"], ["vm"], ["vm", "clone"], ["request", "wait"]])
def test_help_is_there(run: Callable[..., Ran], words: list[str]) -> None:
    ran = run(*words, "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"usage: {' '.join(['maglica', *words])} [-h]")


def test_what_can_not_be_said_ends_nothing() -> None:
    out = io.StringIO()
    with Path("/dev/full").open("w") as err:
        console = Console(out, err, as_json=False)
        console.say("lost")
        console.show([], "shown\n")
        with contextlib.suppress(OSError):
            err.close()
    assert out.getvalue() == "shown\n"
