# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica vm`` prints and asks for, but for clones."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.fleet import changes
from maglica.fleet.snapshot import Found
from maglica.libvirtd import serial
from maglica.libvirtd.hosts import HostToRead, Unreachable
from maglica.model import errors
from maglica.model.request import Leftover
from maglica.model.vm import Disk, Interface
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.stop import StopSpec
from support.cli_runs import (
    CLONE,
    DONE,
    HOST0,
    HOST1,
    SL61,
    UUID,
    VM,
    FakeFleet,
    Ran,
    domain,
    host,
    seen,
)
from support.fake_client import FakeClient


def test_vm_list_has_everything_else(run: Callable[..., Ran]) -> None:
    FakeFleet.domains[:] = [
        replace(vm, address="192.0.2.7") if vm.made else vm for vm in FakeFleet.domains
    ]
    titles, _line, *rows = (line.split() for line in run("vm", "list").out.splitlines())
    assert titles == ["Name", "Host", "State", "Address", "Image", "Whose", "vCPUs", "MiB"]
    old = ["old", "host1.example.jp", "running", "-", "-", "others", "1", "512"]
    vm1 = ["vm1.example.jp", "host0.example.jp", "running", "192.0.2.7", SL61, "Maglica", "1"]
    vm1.append("512")
    assert rows == [old, vm1]
    only = run("vm", "list", "--host", "host1.example.jp").out.splitlines()[2:]
    assert [line.split() for line in only] == [old]


def test_a_vm_is_shown(run: Callable[..., Ran]) -> None:
    nics = (Interface("52:54:00:00:00:07", "default", ("192.0.2.7",)),)
    disks = (Disk("vda", format="qcow2", source="/pool/a\nb", capacity_bytes=20 << 30),)
    FakeFleet.domains[:] = [
        replace(vm, interfaces=nics, disks=disks, tags=("a", "web"), address="192.0.2.7")
        for vm in FakeFleet.domains
    ]
    assert run("vm", "show", "vm1.example.jp").out.splitlines() == [
        "name:             vm1.example.jp",
        "host:             host0.example.jp",
        "state:            running",
        "address:          192.0.2.7",
        f"image:            {SL61}",
        "clone mode:       linked",
        "vCPUs:            1",
        "memory:           512 MiB",
        "interface:        52:54:00:00:00:07 on default 192.0.2.7",
        r"disk:             vda 20.0 GiB qcow2 /pool/a\nb",
        "tags:             a web",
        "made by:          Maglica",
        f"uuid:             {UUID}",
    ]
    told = json.loads(run("vm", "show", "vm1.example.jp", "--json").out)
    assert (told["address"], told["addresses"]) == ("192.0.2.7", ["192.0.2.7"])
    assert "made by:          somebody else" in run("vm", "show", "old").out


def test_what_can_not_be_shown(run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    (vm1,) = (vm for vm in seen(HOST0) if vm.made)
    FakeFleet.domains.append(replace(vm1, host="host1.example.jp"))
    for name, status, text in (
        ("vm9", 3, "there is no vm vm9"),
        ("SL6.0-x86_64.original", 4, "is an original image on host0.example.jp, not a vm"),
        (vm1.name, 4, "host0.example.jp and host1.example.jp: say which with --host"),
    ):
        ran = run("vm", "show", name)
        assert (ran.status, ran.out, text in ran.err) == (status, "", True)
    assert "host1" in run("vm", "show", vm1.name, "--host", "host1.example.jp").out
    monkeypatch.setattr(FakeFleet, "silent", ["host1.example.jp"])
    ran = run("vm", "show", "vm9")
    assert (ran.status, "host host1.example.jp: no answer" in ran.err) == (5, True)
    ran = run("vm", "show", "vm1.example.jp", "--host", "host0.example.jp")
    assert (ran.status, "host1.example.jp is left out" in ran.err) == (0, True)


def test_what_a_host_takes_for_no_image_is_a_vm(run: Callable[..., Ran], fake: FakeClient) -> None:
    # As its worker says, which has a pattern.
    excluded = domain("SL6.0-x86_64.original", may_be_image=False)
    fake._hosts[HOST0.host] = host(HOST0.host, excluded)
    FakeFleet.domains[:] = [*seen(host(HOST0.host, domain(excluded.name))), *seen(HOST1)]
    shown = run("image", "list").out
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["SL6.1-x86_64.original"]
    assert run("vm", "list", "--host", HOST0.host).out.splitlines()[2].split() == [
        *("SL6.0-x86_64.original", HOST0.host, "stopped", "-", "-", "others", "1", "512")
    ]


def test_leftovers_with_the_command_that_would_remove_them(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    nasty = "/pool/a$(id) b.vda.0123abcd.qcow2"
    found = (Leftover(nasty, "my pool", 5 << 20), Leftover("/nvram/x_VARS.fd", None, 0))
    shown = replace(HOST0, report=replace(HOST0.report, leftovers=found))
    monkeypatch.setattr(fake, "hosts", lambda: (shown,))
    lines = run("host", "list").out.splitlines()[-2:]
    assert lines == [
        f"{HOST0.host}: {nasty} (5 MiB): virsh vol-delete --pool 'my pool' --vol"
        " 'a$(id) b.vda.0123abcd.qcow2'",
        f"{HOST0.host}: /nvram/x_VARS.fd (0 MiB): rm -- /nvram/x_VARS.fd",
    ]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("stop", []),
        ("remove", ["--force"]),
        ("resize", ["--vcpus", "2"]),
        ("tag", ["web"]),
        ("flatten", []),
    ],
)
def test_acts_on_a_vm_pin_its_uuid(
    run: Callable[..., Ran], fake: FakeClient, act: str, words: list[str]
) -> None:
    fake.story = [DONE]
    assert run("vm", act, "vm1.example.jp", *words).status == 0
    (request,) = fake.list()
    assert request.kind == act
    assert request.spec.name == "vm1.example.jp"
    assert (request.spec.uuid, request.spec.host) == (UUID, "host0.example.jp")


def test_a_vm_is_started(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("vm", "start", "vm1.example.jp")
    assert ran.out == "vm1.example.jp is running on host0.example.jp: nothing to do\n"
    assert (ran.status, fake.list()) == (0, ())
    off = [replace(vm, state="stopped", active=False) for vm in FakeFleet.domains]
    monkeypatch.setattr(FakeFleet, "domains", off)
    fake.story = [{**DONE, "vm": replace(VM, name="vm1.example.jp")}]
    ran = run("vm", "start", "vm1.example.jp")
    assert ran.out.startswith("vm1.example.jp is running on host0.example.jp (")
    assert [request.kind for request in fake.list()] == ["start"]


def test_tags_are_said_with_the_clone_or_later(run: Callable[..., Ran], fake: FakeClient) -> None:
    run(*CLONE, "--tag", "web", "--tag", "a", "--no-wait")
    run("vm", "tag", "vm1.example.jp", "web", "stage:test", "web", "--no-wait")
    tag, clone = fake.list()
    assert clone.spec.tags == ("a", "web")
    assert (tag.kind, tag.spec.tags) == ("tag", ("stage:test", "web"))
    bad = run("vm", "tag", "vm1.example.jp", "a b")
    assert bad.status == 2
    assert "'a b' is not a valid tag" in bad.err


def test_stop_and_resize_have_options(run: Callable[..., Ran], fake: FakeClient) -> None:
    run("vm", "stop", "vm1.example.jp", "--force", "--shutdown-timeout", "5", "--no-wait")
    run("vm", "resize", "vm1.example.jp", "--vcpus", "2", "--memory", "1.5GiB", "--no-wait")
    resize, stop = (request.spec for request in fake.list())
    assert isinstance(stop, StopSpec)
    assert isinstance(resize, ResizeSpec)
    assert (stop.force, stop.stop_timeout) == (True, 5)
    assert (resize.vcpus, resize.memory_mib) == (2, 1536)


@pytest.mark.parametrize("act", ["stop", "restart"])
def test_a_guest_may_be_given_no_time(run: Callable[..., Ran], fake: FakeClient, act: str) -> None:
    assert run("vm", act, "vm1.example.jp", "--force", "--shutdown-timeout", "0").status == 6
    (request,) = fake.list()
    assert (request.kind, request.spec.force, request.spec.stop_timeout) == (act, True, 0)


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["remove", "vm9"], 3, "there is no vm vm9"),
        (["stop", "vm9"], 3, "there is no vm vm9"),
        (
            ["stop", "--force", "old"],
            4,
            "vm old on host host1.example.jp was not made by Maglica, so it is left alone (adopt"
            " would take it over)",
        ),
        (
            ["remove", "original"],
            4,
            "original is an original image on host host0.example.jp, not a vm",
        ),
    ],
)
def test_what_is_not_ours_is_left_alone(
    run: Callable[..., Ran], fake: FakeClient, words: list[str], status: int, problem: str
) -> None:
    FakeFleet.domains.append(replace(seen(HOST0)[0], name="original"))
    ran = run("vm", *words)
    assert (ran.status, ran.out, ran.err) == (status, "", f"maglica: {problem}\n")
    assert fake.list() == ()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "is_done"), [("y\n", True), ("\n", False), ("", False)])
def test_a_vm_that_runs_is_removed_when_somebody_says_so(
    run: Callable[..., Ran],
    fake: FakeClient,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    is_done: bool,
) -> None:
    fake.story = [DONE]
    said = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", Terminal(answer))
        patch.setattr("sys.stderr", said)
        status = run("vm", "remove", "vm1.example.jp").status
    assert (status, len(fake.list())) == ((0, 1) if is_done else (4, 0))
    question = "Switch it off and remove it with its disks? [y/N] "
    assert question in said.getvalue()


def test_a_vm_that_runs_is_not_removed_unasked(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("vm", "remove", "vm1.example.jp")
    assert (ran.status, fake.list()) == (4, ())
    assert "vm1.example.jp is running on host host0.example.jp, so it is not removed" in ran.err
    assert "--force" in ran.err
    fake.story = [DONE]
    off = [replace(vm, state="stopped", active=False) for vm in FakeFleet.domains]
    monkeypatch.setattr(FakeFleet, "domains", off)
    assert run("vm", "remove", "vm1.example.jp").status == 0


def test_a_vm_may_be_on_a_host_that_does_not_answer(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeFleet, "silent", ["host1.example.jp"])
    ran = run("vm", "remove", "vm9")
    assert (ran.status, fake.list()) == (5, ())
    assert "cannot tell whether vm vm9 is there: host host1.example.jp: no answer" in ran.err


def test_a_vm_whose_host_was_silent_when_asked_is_not_removed_unasked(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = FakeFleet.find_vms
    silent = [Found((), (Unreachable("host0.example.jp", "no answer"),))]

    def find_vms(fleet: FakeFleet, names: Container[str]) -> Found:
        return silent.pop() if silent else look(fleet, names)

    monkeypatch.setattr(FakeFleet, "find_vms", find_vms)
    fake.story = [DONE]
    ran = run("vm", "remove", "vm1.example.jp")
    assert (ran.status, fake.list()) == (5, ())
    assert "cannot tell whether vm vm1.example.jp is there: host host0.example.jp" in ran.err


def test_a_vm_on_two_hosts_must_be_told_apart(run: Callable[..., Ran], fake: FakeClient) -> None:
    (vm1,) = (vm for vm in seen(HOST0) if vm.made)
    twin = replace(vm1, host="host1.example.jp", uuid="7e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11")
    FakeFleet.domains.append(twin)
    ran = run("vm", "stop", vm1.name)
    assert ran.status == 4
    assert (
        "several hosts have a vm vm1.example.jp: host0.example.jp and host1.example.jp" in ran.err
    )
    fake.story = [DONE]
    assert run("vm", "stop", vm1.name, "--host", "host1.example.jp").status == 0
    assert fake.list()[0].spec == StopSpec(vm1.name, twin.uuid, "host1.example.jp")


def test_what_may_have_been_accepted_is_noted_as_a_change(
    run: Callable[..., Ran],
    fake: FakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def lost(_requests: object) -> None:
        raise errors.PeerSilent("the client worker does not answer")

    monkeypatch.setattr(fake, "submit_all", lost)
    assert run("vm", "start", "vm1.example.jp").status == 0
    assert changes.last() == 0
    assert run("vm", "stop", "vm1.example.jp").status == 5
    assert changes.last() > 0
    # Nothing is known of the end of what was not waited for.
    assert changes.last() > time.time()


def test_a_console_is_opened_where_the_vm_is(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def attach(host: HostToRead, *words: object, take: bool, timeout: float) -> bool:
        asked.extend([host.uri, words[0], take, timeout])
        return not take

    monkeypatch.setattr(serial, "attach", attach)
    with Path("/dev/null").open("r+") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        monkeypatch.setattr("sys.stdout", nothing)
        left = run("vm", "console", "vm1.example.jp")
        ran = run("vm", "console", "vm1.example.jp", "--force", "--host-timeout=3")
    assert asked[:4] == ["test:///a", ("vm1.example.jp", UUID), False, 10]
    assert left.err == "vm vm1.example.jp on host host0.example.jp; Ctrl-] leaves the console\n\n"
    assert asked[6:] == [True, 3]
    assert ran.err.endswith("the console of vm vm1.example.jp has ended\n")


def test_a_console_needs_a_way_to_the_host(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeFleet, "names", (HOST0.host, HOST1.host))
    path = tmp_path / "other.conf"
    path.write_text(
        "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
        "[host host1.example.jp]\nuri = test:///b\n"
    )
    ran = run("vm", "console", "vm1.example.jp", config=path)
    assert ran.err == (
        f"maglica: {path} has no section [host host0.example.jp]: a console is opened at the"
        " libvirtd of its host, with the uri that is said there\n"
    )
    assert ran.status == 2
