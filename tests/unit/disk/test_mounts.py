# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file systems other hosts may see, and which one holds a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.disk import mounts
from maglica.model.errors import StorageFailed

TABLE = """\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /srv rw - xfs /dev/vdb rw
31 30 0:41 / /srv/vms rw shared:2 master:3 - nfs4 server.example.jp:/vms rw,vers=4.2
32 22 0:42 / /srv/with\\040space rw - fuse.glusterfs h1:vms rw
33 22 0:43 / /hidden rw - ext4 /dev/vdc rw
34 33 0:44 / /hidden rw - ceph mon:/ rw
a line that is cut off
35 22 0:45 / /short rw
"""
SHARED = ["nfs", "nfs4", "cifs", "smb3", "ceph", "gfs2", "ocfs2", "9p", "afs", "gpfs", "lustre"]
SHARED += ["beegfs", "virtiofs", "fuse", "fuse.glusterfs", "fuse.sshfs"]


@pytest.mark.parametrize("kind", SHARED)
def test_shared(kind: str) -> None:
    assert mounts.is_shared(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "fuseblk", ""])
def test_not_shared(kind: str) -> None:
    assert not mounts.is_shared(kind)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib", "ext4"),
        ("/srv", "xfs"),
        ("/srv/vmsx", "xfs"),
        ("/srv/vms", "nfs4"),
        ("/srv/vms/pool", "nfs4"),
        ("/srv/with space/pool", "fuse.glusterfs"),
        ("/hidden/pool", "ceph"),
        ("/short", "ext4"),
    ],
)
def test_what_holds_a_folder(path: str, kind: str) -> None:
    assert mounts.kind_of(path, TABLE) == kind


def test_no_mount() -> None:
    assert mounts.kind_of("/x", "") == ""


def test_a_folder_behind_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    table.write_text(f"1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / {real} rw - nfs server:/ rw\n")
    monkeypatch.setattr(mounts, "MOUNTINFO", table)
    assert mounts.shared_kind(str(tmp_path / "link")) == "nfs"
    assert mounts.shared_kind(str(tmp_path)) is None


def test_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "none")
    with pytest.raises(StorageFailed, match="none can't be read: No such file"):
        mounts.shared_kind("/")
