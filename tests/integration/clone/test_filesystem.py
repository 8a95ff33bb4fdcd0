# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""libguestfs's file system keeps the contract, on a real ext4 disk in a real appliance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.guest.appliance.appliance import Drive, GuestfsFilesystem, launched
from maglica.guest.edits import SetUser, apply
from maglica.guest.facts import Mount
from maglica.model.errors import GuestUnreadable
from maglica.model.request import User
from support import guest
from support.filesystem_contract import FILES, LINKS, PIPE, FilesystemContract


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contract")
    tree = folder / "tree"
    for path, content in FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
    for path, target in LINKS.items():
        (tree / path).symlink_to(target)
    os.mkfifo(tree / PIPE)
    made = guest.make_disk(folder / "disk.raw", tree)
    shutil.rmtree(tree)
    return made


@pytest.fixture(scope="module")
def filesystem(disk: Path) -> Iterator[GuestfsFilesystem]:
    drives, mounts = [Drive(str(disk), "raw")], [Mount("/", "/dev/sda")]
    with launched(drives, False) as appliance, appliance.mounted(mounts, 300) as mounted:
        yield mounted


class TestGuestfsFilesystem(FilesystemContract):
    def owner(self, filesystem: GuestfsFilesystem, path: str) -> tuple[int, int]:
        status = filesystem._handle.lstatns(path)
        return status["st_uid"], status["st_gid"]


def test_what_was_made_is_roots(filesystem: GuestfsFilesystem) -> None:
    filesystem.create("/etc/owned", b"content", 0o640)
    filesystem.make_directory("/private", 0o700)
    status = filesystem._handle.lstatns("/etc/owned")
    assert (status["st_mode"], status["st_uid"], status["st_gid"]) == (0o100640, 0, 0)
    assert filesystem._handle.lstatns("/private")["st_mode"] == 0o40700


def test_a_user_is_made(filesystem: GuestfsFilesystem) -> None:
    """It is as on the file system in memory, with which the unit tests make theirs."""
    files = {
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "/etc/group": "root:x:0:\nsudo:x:27:\n",
        "/etc/sudoers": "@includedir /etc/sudoers.d\n",
        "/etc/skel/.profile": "# profile\n",
    }
    filesystem.make_directory("/etc/skel/.config", 0o750)
    for path, content in files.items():
        filesystem.create(path, content.encode(), 0o644)
    filesystem.create("/etc/shadow", b"root:*:19000:0:99999:7:::\n", 0o640, (0, 42))
    user = User("alice", ("sudo",), "ALL=(ALL) ALL", None, ("ssh-ed25519 AAAA a",), "$6$s$h")
    apply([SetUser(user, 20000)], filesystem)
    handle = filesystem._handle
    shadow = handle.lstatns("/etc/shadow")
    assert (shadow["st_mode"], shadow["st_gid"]) == (0o100640, 42)
    assert b"\nalice:$6$s$h:20000:" in (filesystem.read("/etc/shadow", 1000) or b"")
    assert b"\nalice:x:1000:1000:" in (filesystem.read("/etc/passwd", 1000) or b"")
    found = {}
    for name in handle.find("/home/alice"):
        status = handle.lstatns(f"/home/alice/{name.strip('/')}")
        found[name.strip("/")] = (status["st_mode"], status["st_uid"], status["st_gid"])
    assert found == {
        ".config": (0o40750, 1000, 1000),
        ".profile": (0o100644, 1000, 1000),
        ".ssh": (0o40700, 1000, 1000),
        ".ssh/authorized_keys": (0o100600, 1000, 1000),
    }
    assert filesystem.read("/etc/sudoers.d/90-maglica", 100) == b"alice ALL=(ALL) ALL\n"


def test_devices_of_a_guest_can_not_be_opened(filesystem: GuestfsFilesystem) -> None:
    filesystem._handle.mknod_b(0o600, 8, 0, "/etc/sda")
    with pytest.raises(GuestUnreadable):
        filesystem.fill("/etc/sda", b"overwritten")
