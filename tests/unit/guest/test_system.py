# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of libguestfs's answers, which a stranger's disk decides."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
from maglica.guest.facts import Mount
from maglica.guest.system import find_system
from maglica.model.errors import GuestUnreadable, GuestUnsupported


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
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        answer = self._answers[name]
        return lambda *_arguments: answer

    def canonical_device_name(self, device: str) -> str:
        return device.replace("/dev/vd", "/dev/sd")


class Appliance:
    def __init__(self, handle: Handle) -> None:
        self.handle = handle

    @contextmanager
    def asking(self, _act: str):
        yield


def found(**answers: Any):
    return find_system(Appliance(Handle(**answers)))


def test_mounts_are_those_that_matter() -> None:
    mounts = {"/": "/dev/sda1", "/var": "/dev/vda2", "/home": "/dev/vda3", "/var\n": "/dev/vda4"}
    assert found(inspect_get_mountpoints=mounts).mounts == (
        Mount("/", "/dev/sda1"),
        Mount("/var", "/dev/sda2"),
    )


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
