# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

from maglica.fleet import shown as fleet_shown
from maglica.fleet.snapshot import Snapshot
from maglica.model.image import ImageVersion
from maglica.model.moment import Moment
from maglica.model.vm import Disk, Domain

VM = Domain(
    "vm0",
    "u",
    "kvm0",
    "running",
    active=True,
    made=True,
    image="debian",
    image_version="3f7a",
    clone_mode="linked",
    base="0a1b",
    created=Moment(1795500000),
)
IMAGE = Domain(
    "debian",
    "u2",
    "kvm0",
    "stopped",
    active=False,
    made=False,
    is_image=True,
    checksum="sha256:9d2e",
    disks=(Disk("vda", capacity_bytes=10), Disk("vdb", capacity_bytes=5), Disk("sda", "cdrom")),
)


def test_a_vm() -> None:
    shown = fleet_shown.vm(VM)
    assert shown["created"] == "2026-11-24T06:00:00.000000Z"
    assert (shown["name"], shown["image"], shown["disks"]) == ("vm0", "debian", [])
    assert "xml" not in shown
    other = fleet_shown.vm(replace(VM, xml="<x/>", created=None))
    assert (other["xml"], other["created"]) == ("<x/>", None)


def test_an_image_that_maglica_made_has_its_versions_newest_first() -> None:
    old = ImageVersion("sha256:9d2e", request="r0")
    new = ImageVersion("sha256:0a1b", "https://example.jp/x", "qcow2", 10, "r1", Moment(1795500000))
    made = replace(IMAGE, made=True, checksum="sha256:0a1b", versions=(old, new))
    recorded = replace(IMAGE, name="rocky", versions=(ImageVersion("sha256:9d2e"),))
    (debian, rocky) = fleet_shown.images(Snapshot((), (made, recorded)))
    assert (debian["checksum"], debian["origin"]) == ("sha256:0a1b", "https://example.jp/x")
    (copy,) = debian["copies"]
    assert copy["made"]
    assert copy["versions"] == [
        {
            "checksum": "sha256:0a1b",
            "origin": "https://example.jp/x",
            "format": "qcow2",
            "size_bytes": 10,
            "request": "r1",
            "created": "2026-11-24T06:00:00.000000Z",
        },
        {
            "checksum": "sha256:9d2e",
            "origin": None,
            "format": None,
            "size_bytes": None,
            "request": "r0",
            "created": None,
        },
    ]
    assert not rocky["copies"][0]["made"]
    assert rocky["copies"][0]["versions"][0]["request"] is None
    assert rocky["origin"] is None
    assert fleet_shown.images(Snapshot((), (IMAGE,)))[0]["origin"] is None


def test_an_image_on_two_hosts_is_one() -> None:
    unsized = replace(
        IMAGE, host="kvm1", checksum=None, disks=(Disk("vda"), Disk("vdb", capacity_bytes=5))
    )
    other = replace(IMAGE, name="rocky", disks=())
    (debian, rocky) = fleet_shown.images(Snapshot((VM,), (IMAGE, unsized, other)))
    assert debian["hosts"] == ["kvm0", "kvm1"]
    assert [copy["size_bytes"] for copy in debian["copies"]] == [15, None]
    assert debian["size_bytes"] == 15
    assert [copy["checksum"] for copy in debian["copies"]] == ["sha256:9d2e", None]
    assert debian["checksum"] == "sha256:9d2e"
    assert debian["dependents"] == [
        {
            "name": "vm0",
            "host": "kvm0",
            "clone_mode": "linked",
            "image_version": "3f7a",
            "base": "0a1b",
        }
    ]
    assert (rocky["size_bytes"], rocky["dependents"], rocky["hosts"]) == (None, [], ["kvm0"])


def test_what_a_filter_sees_of_an_image() -> None:
    shown = fleet_shown.alone(IMAGE)
    assert (shown["kind"], shown["host"], shown["size_bytes"], shown["checksum"]) == (
        "image",
        "kvm0",
        15,
        "sha256:9d2e",
    )
    assert fleet_shown.alone(VM) == {"kind": "vm", **fleet_shown.vm(VM)}
