# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of libguestfs's answers, which a stranger's disk decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from maglica.guest.facts import Mount
from maglica.guest.inspect import OperatingSystem
from maglica.guest.system import as_attached, find_system
from maglica.model.errors import GuestUnreadable, GuestUnsupported
from support.fake_filesystem import FakeFilesystem


class Handle:
    """The part of libguestfs's handle that is asked."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {
            "inspect_os": ["/dev/sda1"],
            "inspect_get_type": "linux",
            "inspect_get_mountpoints": {"/": "/dev/sda1"},
            "inspect_get_major_version": 12,
            "inspect_get_distro": "debian",
            "inspect_get_product_name": "Debian",
            "list_filesystems": {"/dev/sda1": "ext4"},
            "list_md_devices": [],
            "vfs_label": "",
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        answer = self._answers[name]
        return lambda *_arguments: answer

    def canonical_device_name(self, device: str) -> str:
        return device.replace("/dev/vd", "/dev/sd")


class Appliance:
    def __init__(self, handle: Handle, fstab: str) -> None:
        self.handle = handle
        self._fstab = fstab

    @contextmanager
    def mounted(self, mounts: Sequence[Mount], _seconds: float) -> Iterator[FakeFilesystem]:
        assert [mount.mountpoint for mount in mounts] == ["/"]
        yield FakeFilesystem({"etc/fstab": self._fstab})

    @contextmanager
    def asking(self, _act: str):
        yield


def found(fstab: str = "", **answers: Any) -> OperatingSystem:
    return find_system(Appliance(Handle(**answers), fstab))


def test_mounts_are_those_that_matter() -> None:
    mounts = {"/": "/dev/sda1", "/var": "/dev/vda2", "/home": "/dev/vda3", "/var\n": "/dev/vda4"}
    kinds = {"/dev/sda1": "ext4", "/dev/sda2": "ext4"}
    assert found(inspect_get_mountpoints=mounts, list_filesystems=kinds).mounts == (
        Mount("/", "/dev/sda1"),
        Mount("/var", "/dev/sda2"),
    )


def test_homes_are_mounted_for_users_only_and_hold_nobody_up() -> None:
    mounts = {"/": "/dev/sda1", "/home": "/dev/vda2", "/srv": "/dev/vdb1", "/boot": "/dev/sda3"}
    kinds = {f"/dev/sda{number}": "ext4" for number in (1, 3)} | {"/dev/sda2": "btrfs"}
    system = found(inspect_get_mountpoints=mounts, list_filesystems=kinds)
    assert system.mounts == (Mount("/", "/dev/sda1"), Mount("/boot", "/dev/sda3"))
    assert system.user_mounts == (Mount("/", "/dev/sda1"), Mount("/home", "/dev/sda2"))
    # Nothing is written there from outside.
    assert system.is_plain


@pytest.mark.parametrize("options", ["nofail", "defaults,noauto", "rw,nofail,x-systemd.automount"])
def test_a_disk_that_is_missing_and_may_be_is_not_mounted(options: str) -> None:
    """Of two disks in the appliance the second one is its own."""
    mounts = {"/": "/dev/sda1", "/var/lib/data": "/dev/vdb", "/var": "/dev/vda2"}
    fstab = f"# a comment\n/dev/vda2 /var ext4\n/dev/vdb /var/lib//data/ ext4 {options} 0 2\n"
    kinds = {"/dev/sda1": "ext4", "/dev/sda2": "ext4"}
    system = found(fstab, inspect_get_mountpoints=mounts, list_filesystems=kinds)
    assert system.mounts == (Mount("/", "/dev/sda1"), Mount("/var", "/dev/sda2"))


@pytest.mark.parametrize("fstab", ["", "/dev/vdb /var ext4 defaults 0 2\n", "/dev/vdb /var ext4\n"])
def test_a_disk_that_is_missing_and_needed_is_told(fstab: str) -> None:
    mounts = {"/": "/dev/sda1", "/var": "/dev/vdb"}
    with pytest.raises(GuestUnsupported, match="mounts /var from '/dev/sdb', which is on none of"):
        found(fstab, inspect_get_mountpoints=mounts)


def test_volumes_of_a_btrfs_are_there_with_its_device() -> None:
    mounts = {"/": "btrfsvol:/dev/sda1/@", "/var": "btrfsvol:/dev/vg0/var/@v"}
    kinds = {"/dev/sda1": "btrfs", "/dev/vg0/var": "btrfs"}
    root = ["btrfsvol:/dev/sda1/@"]
    system = found(inspect_os=root, inspect_get_mountpoints=mounts, list_filesystems=kinds)
    assert len(system.mounts) == 2


def test_volumes_of_a_btrfs_bear_the_name_of_their_disk_as_it_was_attached() -> None:
    """The appliance's kernel has found its own disk first, and called it /dev/sda."""
    mounts = {"/": "btrfsvol:/dev/sdb1/@", "/var": "btrfsvol:/dev/sdb1/@var", "/boot": "/dev/sda2"}
    kinds = {"/dev/sda1": "btrfs", "/dev/sda2": "ext4"} | dict.fromkeys(
        ("btrfsvol:/dev/sdb1/@", "btrfsvol:/dev/sdb1/@var"), "btrfs"
    )
    root = ["btrfsvol:/dev/sdb1/@"]
    system = found(inspect_os=root, inspect_get_mountpoints=mounts, list_filesystems=kinds)
    assert [mount.device for mount in system.mounts] == [
        "btrfsvol:/dev/sda1/@",
        "/dev/sda2",
        "btrfsvol:/dev/sda1/@var",
    ]
    assert system.root_kind == "btrfs"


@pytest.mark.parametrize(
    ("device", "kinds"),
    [
        ("btrfsvol:/dev/sdb1/@", {"/dev/sda1": "btrfs", "/dev/sdb1": "btrfs"}),
        ("btrfsvol:/dev/sdc1/@", {"/dev/sda1": "btrfs", "/dev/sdb1": "btrfs"}),
        ("btrfsvol:/dev/sdb2/@", {"/dev/sda1": "btrfs", "/dev/sda2": "ext4"}),
        ("btrfsvol:/dev/vg0/sdb1/@", {"/dev/sda1": "btrfs"}),
        ("/dev/sdb1", {"/dev/sda1": "btrfs"}),
    ],
)
def test_other_devices_are_named_as_libguestfs_says(device: str, kinds: dict[str, str]) -> None:
    assert as_attached(device, kinds) == device


@pytest.mark.parametrize(
    ("device", "kinds", "kind"),
    [
        ("/dev/sda1", {"/dev/sda1": "ext4", "/dev/sda2": "swap"}, "ext4"),
        ("btrfsvol:/dev/sda1/@", {"btrfsvol:/dev/sda1/@": "btrfs"}, "btrfs"),
        ("/dev/sda1", {"/dev/sda2": "xfs"}, ""),
    ],
)
def test_the_type_of_the_root_file_system(device: str, kinds: dict[str, str], kind: str) -> None:
    answers = {"inspect_get_mountpoints": {"/": device}, "list_filesystems": kinds}
    assert found(inspect_os=[device], **answers).root_kind == kind


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"inspect_os": [f"/dev/sda{n}" for n in range(1, 200)]}, "it has 199 operating systems"),
        (
            {"inspect_get_type": "windows", "inspect_get_product_name": "\x1b[2J" + "x" * 9000},
            r"its system is '\\x1b\[2Jx",
        ),
        (
            {"inspect_get_mountpoints": {"/": "/dev/sda1", "/etc/../../proc": "/dev/sda2"}},
            r"its /etc/fstab has a file system at '/etc/../../proc'",
        ),
        (
            {"inspect_get_mountpoints": {f"/etc/{n}": "/dev/sda1" for n in range(33)}},
            "its /etc/fstab has 33 file systems",
        ),
    ],
)
def test_odd_guests_are_refused_in_few_words(answers: dict[str, Any], problem: str) -> None:
    with pytest.raises(GuestUnsupported, match=problem) as caught:
        found(**answers)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_no_system() -> None:
    with pytest.raises(GuestUnreadable, match="no operating system"):
        found(inspect_os=[])


@pytest.mark.parametrize(
    ("kind", "seed"), [("vfat", "/dev/sda2"), ("iso9660", "/dev/sda2"), ("ext4", "")]
)
def test_a_seed_among_its_disks(kind: str, seed: str) -> None:
    kinds = {"/dev/sda1": "ext4", "/dev/sda2": kind}
    assert found(list_filesystems=kinds, vfs_label="CIDATA").seed == seed
    assert found(list_filesystems=kinds, vfs_label="EFI").seed == ""
