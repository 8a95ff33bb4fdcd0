# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``maglica image`` prints and asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from maglica.image import catalog
from maglica.model.image import Firmware, ImageVersion
from maglica.model.request import (
    Customize,
    DomainSummary,
    Failure,
    ImageSummary,
    LookSummary,
    Phase,
    State,
)
from support.cli_runs import HOST0, HOST1, SL61, UUID, FakeFleet, Ran
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


def test_image_list_tells_how_images_are_customized(
    run: Callable[..., Ran], fake: FakeClient
) -> None:
    looks = (
        LookSummary("SL6.0-x86_64.original", "v", False, "no ifupdown", True),
        LookSummary("SL6.1-x86_64.original", "v", True, None, True, Customize.OFFLINE),
        LookSummary("SL6.1-x86_64.original", "old", False, "no system", False),
    )
    fake._hosts["host0.example.jp"] = replace(HOST0, report=replace(HOST0.report, looks=looks))
    lines = run("image", "list").out.splitlines()
    assert " ".join(lines[0].split()) == "Name Host Customized by Can't be customized"
    assert [line.split(None, 3)[1:] for line in lines[2:]] == [
        ["host0.example.jp", "-", "no ifupdown"],
        ["host0.example.jp", "offline", "-"],
        ["host1.example.jp", "-", "-"],
    ]
    images = json.loads(run("image", "list", "--json").out)
    assert {image["reason"] for image in images} == {None, "no ifupdown"}
    assert {image["way"] for image in images} == {None, "offline"}


def test_image_list_tells_where_images_came_from(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = (ImageVersion("sha256:ff", "/srv/old.raw"), ImageVersion(DIGEST, URL))
    domains = [
        replace(each, checksum=DIGEST, versions=versions) if each.host == HOST1.host else each
        for each in FakeFleet.domains
    ]
    monkeypatch.setattr(FakeFleet, "domains", domains)
    lines = run("image", "list").out.splitlines()
    assert lines[0].split() == ["Name", "Host", "Checksum", "Origin"]
    assert [line.split()[2:] for line in lines[2:]] == [
        ["-", "-"],
        ["-", "-"],
        ["sha256:0a0a0a0a0a0a", URL],
    ]
    shown = json.loads(run("image", "list", "--json").out)
    assert [image["checksum"] for image in shown] == [None, None, DIGEST]


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
        assert f"\n  {host}: base 2.0 s\n" in ran.err
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


@pytest.mark.parametrize(("words", "status"), [(["--no-wait"], 0), (["--timeout", "1"], 6)])
def test_what_is_only_queued_is_not_called_prepared(
    run: Callable[..., Ran], words: list[str], status: int
) -> None:
    ran = run("image", "prepare", SL61, "--host", "host0.example.jp", *words)
    assert ran.status == status
    assert places(ran) == {"host0.example.jp": "queued"}


DIGEST = f"sha256:{'0a' * 32}"
URL = "https://images.example.jp/golden.qcow2"
ADDED = {"state": State.DONE, "phases": (Phase("fetch", 2.0), Phase("define", 0.1))}


def test_the_catalog_with_entries_of_ones_own(run: Callable[..., Ran], tmp_path: Path) -> None:
    config = tmp_path / "own.conf"
    config.write_text(
        "[client_worker]\naddress = 127.0.0.1\ninsecure = yes\n"
        "[image golden]\nurl = https://me:secret@images.example.jp/golden.qcow2?t=secret\n"
        "checksum = https://me:secret@images.example.jp/SUMS\nfirmware = uefi\nuser = admin\n"
    )
    ran = run("image", "catalog", config=config)
    assert (ran.status, ran.err) == (0, "")
    titles, _line, *rows = ran.out.splitlines()
    assert titles.split() == ["Name", "User", "Firmware", "URL", "Notes"]
    names = [entry.name for entry in catalog.entries()]
    assert [row.split()[0] for row in rows] == sorted([*names, "golden"])
    (golden,) = (row for row in rows if row.startswith("golden "))
    assert golden.split() == ["golden", "admin", "uefi", URL, "-"]
    assert [row.split()[1:4] for row in rows if row.startswith("debian-13 ")] == [
        ["debian", "-", catalog.find("debian-13").url]
    ]
    shown = json.loads(run("image", "catalog", "--json", config=config).out)
    assert "secret" not in str(shown)
    (golden,) = (each for each in shown if each["name"] == "golden")
    assert golden["checksum"] == "https://images.example.jp/SUMS"


def test_an_image_of_the_catalog_is_added_on_all_hosts(
    run: Callable[..., Ran], fake: FakeClient
) -> None:
    fake.story = [ADDED, {"state": State.DONE}]
    ran = run("image", "add", "debian-13")
    assert ran.status == 0
    assert places(ran) == {"host0.example.jp": "added", "host1.example.jp": "nothing to do"}
    entry = catalog.find("debian-13")
    assert {(each.kind, each.spec.url) for each in fake.list()} == {("add_image", entry.url)}


def test_all_that_can_be_said_of_a_new_image(
    run: Callable[..., Ran], fake: FakeClient, tmp_path: Path
) -> None:
    said = f"--url {URL} --checksum {DIGEST} --format raw --vcpus 4 --memory 4GiB --pool fast"
    more = "--network default --network lan --firmware uefi --secure-boot"
    where = "--host host1.example.jp --no-wait"
    assert run("image", "add", "golden", *f"{said} {more} {where}".split()).status == 0
    (request,) = fake.list()
    spec = request.spec
    assert (spec.host, spec.image, spec.url, spec.checksum) == (request.host, "golden", URL, DIGEST)
    assert (spec.format, spec.vcpus, spec.memory_mib, spec.pool) == ("raw", 4, 4096, "fast")
    assert [nic.network for nic in spec.interfaces] == ["default", "lan"]
    assert (spec.firmware, spec.secure_boot) == (Firmware.UEFI, True)

    definition = tmp_path / "golden.xml"
    domain = "<domain><memory>65536</memory><os><type>hvm</type></os><devices/></domain>"
    definition.write_text(domain)
    words = ("--path", "/srv/golden.raw", "--xml", str(definition), "--no-wait")
    assert run("image", "add", "golden", *words).status == 0
    spec = fake.list()[0].spec
    assert (spec.path, spec.xml) == ("/srv/golden.raw", domain)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("golden",), 3, "the catalog has no image golden"),
        (("golden", "--url", URL), 2, "needs a checksum"),
        (("golden", "--url", URL, "--path", "/a"), 2, "not allowed with argument --url"),
        (("golden", "--path", "/a", "--xml", "/nowhere"), 2, "cannot read a definition"),
        (("golden", "--path", "/a", "--memory", "4GB"), 2, "write 4GiB"),
        ((SL61, "--path", "/a"), 4, "has a domain of that name"),
        (("golden", "--path", "/a", "--host", "host9.example.jp"), 3, "no such host"),
    ],
)
def test_what_can_not_be_added(
    run: Callable[..., Ran], fake: FakeClient, words: tuple[str, ...], status: int, text: str
) -> None:
    ran = run("image", "add", *words)
    assert (ran.status, ran.out, fake.list()) == (status, "", ())
    assert (text in ran.err, ran.err.count("\n")) == (True, 1)


def test_an_image_is_removed(run: Callable[..., Ran], fake: FakeClient) -> None:
    ran = run("image", "remove", "golden")
    assert (ran.status, ran.err) == (3, "maglica: no host that is up has an image golden\n")
    made = (ImageSummary("golden", UUID, True, DIGEST, URL, 1),)
    fake._hosts["host1.example.jp"] = replace(HOST1, report=replace(HOST1.report, images=made))
    fake.story = [{"state": State.DONE, "phases": (Phase("undefine", 0.1),)}]
    ran = run("image", "remove", "golden", "--json")
    (request,) = fake.list()
    assert (request.kind, request.spec.uuid) == ("remove_image", UUID)
    assert json.loads(ran.out) == [
        {"host": "host1.example.jp", "changed": True, "request": request.id, "seconds": 0.1}
    ]
    refused = run("image", "remove", SL61)
    assert (refused.status, "Maglica did not make it" in refused.err) == (4, True)


def test_hosts_look_at_an_image(run: Callable[..., Ran], fake: FakeClient) -> None:
    found = LookSummary(
        *(SL61, "v", True, "its cloud-init asks NoCloud", True, Customize.CLOUD_INIT),
        *("scientific", "6.1", "netplan", "ext4"),
    )
    other = replace(found, current=False, reason="of the version before")
    for host in (HOST0, HOST1):
        looks = (other, found, replace(found, image="SL6.0-x86_64.original"))
        fake._hosts[host.host] = replace(host, report=replace(host.report, looks=looks))
    fake.story = [{"state": State.DONE}] * 2
    ran = run("image", "inspect", SL61)
    assert ran.status == 0
    titles, _line, *rows = ran.out.splitlines()
    assert titles.split()[0] == "Host"
    told = "cloud-init scientific 6.1 netplan ext4 its cloud-init asks NoCloud"
    assert [" ".join(row.split()) for row in rows] == [
        f"host0.example.jp {told}",
        f"host1.example.jp {told}",
    ]
    assert {each.kind for each in fake.list()} == {"inspect"}


def test_what_can_not_be_looked_at(run: Callable[..., Ran], fake: FakeClient) -> None:
    ran = run("image", "inspect", "golden")
    assert (ran.status, ran.err) == (
        3,
        "maglica: cannot inspect image golden: no host that is up has it\n",
    )
    on = DomainSummary("golden", "u", True, True, False, 1, 64)
    report = replace(HOST0.report, domains=(*HOST0.report.domains, on))
    fake._hosts[HOST0.host] = replace(HOST0, report=report)
    ran = run("image", "inspect", "golden")
    text = f"it is running on {HOST0.host}: shut it down"
    assert ran.err == f"maglica: cannot inspect image golden: {text}\n"
    failure = Failure("image_running", "cannot inspect image golden: it is running")
    fake.story = [{"state": State.FAILED, "failure": failure}]
    ran = run("image", "inspect", "golden", "--host", "host0.example.jp", "--json")
    assert (ran.status, json.loads(ran.out)) == (4, [])
    assert ran.err.splitlines()[-1] == f"maglica: {failure.text}"
