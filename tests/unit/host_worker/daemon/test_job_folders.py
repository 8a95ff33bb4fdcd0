# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed child leaves in its folder, and outside of it by a link."""

from __future__ import annotations

import secrets
from pathlib import Path

from maglica.host_worker.daemon import job_folders


def test_an_earlier_worker_s_folders_are_removed_with_what_they_lead_to(tmp_path: Path) -> None:
    sockets = Path(f"/tmp/libguestfs{secrets.token_hex(3)}")
    sockets.mkdir()
    folder = job_folders.make(tmp_path)
    (folder / "appliance.x").mkdir()
    (folder / "appliance.x/qmp").touch()
    (folder / "appliance.x" / sockets.name).symlink_to(sockets)
    others = tmp_path / "others"
    others.mkdir()
    (folder / "appliance.x/libguestfs-evil").symlink_to(others)
    assert job_folders.environment(folder) == {"LIBGUESTFS_TMPDIR": str(folder)}
    job_folders.sweep(tmp_path)
    assert not folder.exists()
    assert not sockets.exists()
    assert others.exists()


def test_nothing_to_sweep(tmp_path: Path) -> None:
    job_folders.sweep(tmp_path)
    folder = job_folders.make(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    job_folders.remove(folder)
    job_folders.remove(folder)
    assert not folder.exists()
