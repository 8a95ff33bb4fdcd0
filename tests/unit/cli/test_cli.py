# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from maglica.cli import main
from maglica.fleet.fleet import Fleet
from maglica.fleet.snapshot import Found, Snapshot
from maglica.libvirtd.hosts import Unreachable
from maglica.model import errors
from maglica.model.request import (
    CloneMode,
    DomainSummary,
    Failure,
    HostReport,
    HostStatus,
    Leftover,
    LookSummary,
    Nic,
    Phase,
    PoolSummary,
    State,
    Vm,
)
from maglica.model.vm import Domain
from maglica.verbs.clone import CloneSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.stop import StopSpec
from support.fake_client import FakeClient

UUID = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"
GIB = 1 << 30


def domain(name: str, **changes: Any) -> DomainSummary:
    image = DomainSummary(name, UUID, False, True, False, 1, 512, GIB)
    return replace(image, **changes)


def host(name: str, *domains: DomainSummary, **changes: Any) -> HostStatus:
    report = HostReport(
        cpus=8,
        memory_total_mib=16384,
        memory_free_mib=8192,
        domains=domains,
        pools=(PoolSummary("default", 100 * GIB, 50 * GIB),),
        networks=("default",),
    )
    return replace(HostStatus(name, True, 1.0, 1.0, report), **changes)


HOST0 = host(
    "host0.example.jp",
    domain("vm1.example.jp", active=True, made=True),
    domain("SL6.1-x86_64.original"),
    domain("SL6.0-x86_64.original"),
)
HOST1 = host(
    "host1.example.jp",
    domain("SL6.1-x86_64.original"),
    domain("old", active=True, uuid="7e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"),
)
CLONE = ["vm", "clone", "--image=SL6.1-x86_64.original", "--hostname=vm0.example.jp"]
VM = Vm("vm0.example.jp", UUID, "host0.example.jp", "running")
DONE: dict[str, Any] = {"state": State.DONE, "phase": None, "vm": VM}


class FakeFleet(Fleet):
    """The hosts' libvirtds, with ``domains`` and nobody else."""

    domains: ClassVar[list[Domain]] = []
    silent: ClassVar[list[str]] = []

    def find_vms(self, names: Container[str]) -> Found:
        seen = self.all()
        found = [domain for domain in (*seen.vms, *seen.images) if domain.name in names]
        return Found(tuple(found), seen.unreachable)

    def all(self) -> Snapshot:
        told = [domain for domain in self.domains if domain.host in self.names]
        return Snapshot(
            vms=tuple(domain for domain in told if not domain.is_image),
            images=tuple(domain for domain in told if domain.is_image),
            unreachable=tuple(Unreachable(host, "no answer") for host in self.silent),
        )


def seen(status: HostStatus) -> list[Domain]:
    """The domains of a host's report as its libvirtd shows them."""
    return [
        Domain(
            *(each.name, each.uuid, status.host, "running" if each.active else "stopped"),
            active=each.active,
            made=each.made,
            image="SL6.1-x86_64.original" if each.made else None,
            clone_mode="linked" if each.made else None,
            vcpus=each.vcpus,
            memory_mib=each.memory_mib,
        )
        for each in sorted(status.report.domains, key=lambda domain: domain.name)
    ]


@dataclass
class Ran:
    """How a command line ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    monkeypatch.setattr(FakeFleet, "domains", [*seen(HOST0), *seen(HOST1)])
    monkeypatch.setattr(FakeFleet, "silent", [])
    return FakeClient([HOST0, HOST1])


@pytest.fixture
def run(fake: FakeClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    path = tmp_path / "maglica.conf"
    path.write_text(
        "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
        "[host host0.example.jp]\nuri = test:///a\n[host host1.example.jp]\nuri = test:///b\n"
    )

    def run(*words: str, config: Path = path) -> Ran:
        try:
            status = main.main(["--config", str(config), *words], lambda config: fake, FakeFleet)
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run


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


def test_vm_list_has_everything_else(run: Callable[..., Ran]) -> None:
    assert run("vm", "list").out.split("\n")[2:] == [
        "old                                      host1.example.jp running 1     512 no",
        "vm1.example.jp                           host0.example.jp running 1     512 yes",
        "",
    ]
    assert run("vm", "list", "--host", "host1.example.jp").out.split("\n")[2:] == [
        "old                                      host1.example.jp running 1     512 no",
        "",
    ]


def test_what_a_host_takes_for_no_image_is_a_vm(run: Callable[..., Ran], fake: FakeClient) -> None:
    # As its worker says, which has a pattern.
    excluded = domain("SL6.0-x86_64.original", may_be_image=False)
    fake._hosts[HOST0.host] = host(HOST0.host, excluded)
    FakeFleet.domains[:] = [*seen(host(HOST0.host, domain(excluded.name))), *seen(HOST1)]
    shown = run("image", "list").out
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["SL6.1-x86_64.original"]
    assert run("vm", "list", "--host", HOST0.host).out.splitlines()[2].split() == [
        *("SL6.0-x86_64.original", HOST0.host, "stopped", "1", "512", "no")
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


def test_host_list(run: Callable[..., Ran], fake: FakeClient) -> None:
    report = replace(HOST1.report, problem="libvirtd does not answer")
    fake._hosts["host1.example.jp"] = replace(HOST1, alive=False, weight=2.5, report=report)
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
        "Problem",
    ]
    assert lines[2].split() == ["host0.example.jp", "up", "1", "8", "8192/16384", "2", "1", "-"]
    assert lines[3].split(maxsplit=7) == [
        *["host1.example.jp", "down", "2.5", "8", "8192/16384", "1", "1"],
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
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("maglica: host host9.example.jp is not in the configuration, which")


def test_without_hosts_nothing_can_be_said_of_vms(run: Callable[..., Ran], tmp_path: Path) -> None:
    path = tmp_path / "hostless.conf"
    path.write_text("[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n")
    for words in (["vm", "list"], ["vm", "remove", "vm1.example.jp"], ["image", "list"]):
        ran = run(*words, config=path)
        assert (ran.status, ran.out) == (2, "")
        assert "no host is configured" in ran.err
    assert run("host", "list", config=path).status == 0


def test_json_is_values_only(run: Callable[..., Ran]) -> None:
    images = json.loads(run("image", "list", "--json").out)
    assert images[0] == {
        "name": "SL6.0-x86_64.original",
        "host": "host0.example.jp",
        "uuid": UUID,
        "refused": None,
    }
    (vm,) = json.loads(run("--json", "vm", "list", "--host=host0.example.jp").out)
    assert (vm["name"], vm["host"]) == ("vm1.example.jp", "host0.example.jp")
    assert vm["state"] == "running"
    hosts = json.loads(run("host", "list", "--json").out)
    assert [status["host"] for status in hosts] == ["host0.example.jp", "host1.example.jp"]
    assert json.loads(run("request", "list", "--json").out) == []


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
        f"request {request.id}: clone vm0.example.jp on host0.example.jp",
        "  queued",
        "  sent",
        "  running",
        "  base …",
        "  base: 1.2 s",
        "  copy …",
        "  copy: 0.3 s",
    ]
    assert ran.out == "vm0.example.jp is running on host0.example.jp (5.0 s)\n"
    assert ran.status == 0


def test_clone_passes_its_options_on(
    run: Callable[..., Ran], fake: FakeClient, tmp_path: Path
) -> None:
    keys = tmp_path / "authorized_keys"
    keys.write_text("# mine\n\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me\n")
    ran = run(
        *CLONE,
        *("--host", "host1.example.jp", "--mode", "full", "--pool", "default", "--vcpus", "2"),
        *("--memory", "1024", "--network", "default", "--network", "default", "--no-start"),
        *("--ssh-authorized-keys", str(keys), "--no-wait"),
    )
    (request,) = fake.list()
    assert request.spec == CloneSpec(
        name="vm0.example.jp",
        image="SL6.1-x86_64.original",
        host="host1.example.jp",
        clone_mode=CloneMode.FULL,
        pool="default",
        vcpus=2,
        memory_mib=1024,
        interfaces=(Nic("default"), Nic("default")),
        ssh_authorized_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me",),
        start=False,
    )
    assert ran.out == f"request {request.id} is queued\n"
    assert ran.status == 0


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
    assert ran.err.splitlines()[-2:] == [
        "  cancelling",
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


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("stop", []),
        ("remove", []),
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


def test_a_vm_that_is_there_is_not_cloned(run: Callable[..., Ran], fake: FakeClient) -> None:
    ran = run(*CLONE[:-1], "--hostname=vm1.example.jp", "--memory", "64", "--no-start")
    assert (ran.status, ran.out) == (1, "")
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


SL61 = "SL6.1-x86_64.original"


def places(ran: Ran) -> dict[str, str]:
    """What the table says was done on each host."""
    rows = (line.split(maxsplit=1) for line in ran.out.splitlines()[2:])
    return {host: done.strip() for host, done in rows}


def test_an_image_is_prepared_on_all_hosts(run: Callable[..., Ran], fake: FakeClient) -> None:
    fake.story = [{"state": State.DONE, "phases": (Phase("base", 2.0),)}] * 2
    ran = run("image", "prepare", SL61)
    assert ran.status == 0
    assert places(ran) == dict.fromkeys(("host0.example.jp", "host1.example.jp"), "prepared")
    assert "  base: 2.0 s" in ran.err
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


def test_tags_are_said_with_the_clone_or_later(run: Callable[..., Ran], fake: FakeClient) -> None:
    run(*CLONE, "--tag", "web", "--tag", "a", "--no-wait")
    run("vm", "tag", "vm1.example.jp", "web", "stage:test", "web", "--no-wait")
    tag, clone = fake.list()
    assert clone.spec.tags == ("a", "web")
    assert (tag.kind, tag.spec.tags) == ("tag", ("stage:test", "web"))
    bad = run("vm", "tag", "vm1.example.jp", "a b")
    assert bad.status == 2
    assert "'a b' is no tag" in bad.err


def test_stop_and_resize_have_options(run: Callable[..., Ran], fake: FakeClient) -> None:
    run("vm", "stop", "vm1.example.jp", "--force", "--shutdown-timeout", "5", "--no-wait")
    run("vm", "resize", "vm1.example.jp", "--vcpus", "2", "--memory", "256", "--no-wait")
    resize, stop = (request.spec for request in fake.list())
    assert isinstance(stop, StopSpec)
    assert isinstance(resize, ResizeSpec)
    assert (stop.force, stop.stop_timeout) == (True, 5)
    assert (resize.vcpus, resize.memory_mib) == (2, 256)


@pytest.mark.parametrize(
    ("act", "name", "problem"),
    [
        ("remove", "vm9", "no host has a vm vm9"),
        ("stop", "vm9", "no host has a vm vm9; to make it, say from which image"),
        (
            "stop",
            "old",
            "vm old on host host1.example.jp was not made by Maglica, so it is left alone",
        ),
        ("remove", "original", "original is an original image on host host0.example.jp, not a vm"),
    ],
)
def test_what_is_not_ours_is_left_alone(
    run: Callable[..., Ran], fake: FakeClient, act: str, name: str, problem: str
) -> None:
    FakeFleet.domains.append(replace(seen(HOST0)[0], name="original"))
    ran = run("vm", act, name)
    assert (ran.status, ran.out, ran.err) == (1, "", f"maglica: {problem}\n")
    assert fake.list() == ()


def test_a_vm_may_be_on_a_host_that_does_not_answer(
    run: Callable[..., Ran], fake: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeFleet, "silent", ["host1.example.jp"])
    ran = run("vm", "remove", "vm9")
    assert (ran.status, fake.list()) == (1, ())
    assert "cannot tell whether vm vm9 is there: host host1.example.jp: no answer" in ran.err


def test_a_vm_on_two_hosts_must_be_told_apart(run: Callable[..., Ran], fake: FakeClient) -> None:
    (vm1,) = (vm for vm in seen(HOST0) if vm.made)
    twin = replace(vm1, host="host1.example.jp", uuid="7e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11")
    FakeFleet.domains.append(twin)
    ran = run("vm", "stop", vm1.name)
    assert ran.status == 1
    assert "on several hosts, host0.example.jp and host1.example.jp: say which host" in ran.err
    fake.story = [DONE]
    assert run("vm", "stop", vm1.name, "--host", "host1.example.jp").status == 0
    assert fake.list()[0].spec == StopSpec(vm1.name, twin.uuid, "host1.example.jp")


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
    assert "  base: 1.0 s" in ran.err
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


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigInvalid("x"), 2),
        (errors.DependencyMissing("x"), 2),
        (errors.RequestTimeout("x"), 3),
        (errors.PeerSilent("x"), 4),
        (errors.AccessDenied("x"), 5),
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
        (["vm", "clone"], "the following arguments are required: --image, --hostname; see"),
        (["nonsense"], "argument OBJECT: invalid choice: 'nonsense'"),
        ([*CLONE, "--vcpus", "0"], "argument --vcpus: '0' is no whole number above 0"),
        ([*CLONE, "--mode", "half"], "argument --mode: invalid choice: 'half'"),
        ([*CLONE, "--wait", "--no-wait"], "argument --no-wait: not allowed with argument --wait"),
        ([*CLONE[:3], "--hostname=../x"], "'../x' is no host name"),
        ([*CLONE[:2], "--image=<x>", CLONE[3]], "image: '<x>' is no name"),
        ([*CLONE, "--host", "a/b"], "host: 'a/b' is no name"),
        ([*CLONE, "--network", "a/b"], "networks[0].network: 'a/b' is no name"),
        (["vm", "stop", "a/b"], "'a/b' is no host name"),
        (["vm", "resize", "vm1.example.jp"], "resize needs --vcpus or --memory"),
        ([*CLONE, "--ssh-authorized-keys", "/none"], "cannot read SSH keys from /none: "),
        (["request", "show", "1"], "argument ID: '1' is no request id"),
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
    assert ran.err.startswith(f"maglica: {wrong}:2: [client_worker] address: 'a/b' is no host name")


@pytest.mark.parametrize("words", [[], ["image"], ["vm"], ["vm", "clone"], ["request", "wait"]])
def test_help_is_there(run: Callable[..., Ran], words: list[str]) -> None:
    ran = run(*words, "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"usage: {' '.join(['maglica', *words])} [-h]")


MANY = ("vm", "clone", "--image", "SL6.1-x86_64.original", "--hostname", "web%02d.example.jp")


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
    assert ran.err.splitlines()[0] == "0 of 3 done, 3 waiting"
    assert ran.err.splitlines()[-1] == "3 of 3 done"


def test_many_names_and_other_numbers(run: Callable[..., Ran], fake: FakeClient) -> None:
    assert run(*MANY, "--count", "2", "--first", "0", "--no-wait").status == 0
    ran = run(*CLONE, "--hostname", "vm8.example.jp", "--no-wait", "--json")
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
    assert ran.status == 3
    assert "1 of 2 vms failed: web02.example.jp: cannot wait longer" in ran.err
    fake.story = [KeyboardInterrupt()]
    ran = run(*MANY, "--count", "2", "--first", "5")
    assert ran.status == 130
    assert "the requests go on; `maglica request list` shows them" in ran.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((*MANY, "--count", "0"), "no whole number above 0"),
        ((*MANY, "--count", "1001"), "more than 1000"),
        ((*MANY, "--count", "2", "--first", "x"), "--first"),
        ((*MANY, "--count", "2", "--first", "99999"), "number 100000 is above 99999"),
        ((*CLONE, "--first", "0"), "--first goes with --count"),
        ((*MANY, "--hostname", "vm1", "--count", "2"), "goes with one --hostname"),
        (MANY, "'web%02d.example.jp' is no host name"),
        ((*MANY[:-1], "web", "--count", "2"), "'web' is no pattern of names"),
    ],
)
def test_many_by_a_wrong_command_line(
    run: Callable[..., Ran], fake: FakeClient, words: tuple[str, ...], why: str
) -> None:
    ran = run(*words)
    assert (ran.status, ran.out) == (2, "")
    assert why in ran.err
    assert fake.list() == ()
