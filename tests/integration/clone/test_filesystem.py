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
from maglica.guest.facts import Mount
from maglica.model.errors import GuestUnreadable
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
    pass


def test_what_was_made_is_roots(filesystem: GuestfsFilesystem) -> None:
    filesystem.create("/etc/owned", b"content", 0o640)
    filesystem.make_directory("/private", 0o700)
    status = filesystem._handle.lstatns("/etc/owned")
    assert (status["st_mode"], status["st_uid"], status["st_gid"]) == (0o100640, 0, 0)
    assert filesystem._handle.lstatns("/private")["st_mode"] == 0o40700


def test_devices_of_a_guest_can_not_be_opened(filesystem: GuestfsFilesystem) -> None:
    filesystem._handle.mknod_b(0o600, 8, 0, "/etc/sda")
    with pytest.raises(GuestUnreadable):
        filesystem.fill("/etc/sda", b"overwritten")
