# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services as systemd understands them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.role_templates import render


@pytest.mark.parametrize(
    ("role", "unit", "most"),
    [
        ("client_worker", "maglica-client-worker.service", 2.5),
        # It is root, runs QEMU and writes wherever a storage pool is.
        ("host_worker", "maglica-host-worker.service", 7.0),
    ],
)
def test_a_service_has_no_rights_that_it_does_not_need(
    tmp_path: Path, role: str, unit: str, most: float
) -> None:
    variables = {"ansible_managed": "by a role", "library_version": "v"}
    variables["maglica_python"] = "/bin/true"
    (tmp_path / unit).write_text(render(role, f"{unit}.j2", **variables))
    analyze = ["systemd-analyze", "--no-pager"]
    judged = [*analyze, "security", "--offline=yes", f"--threshold={most * 10:.0f}", unit]
    for command in ([*analyze, "verify", unit], judged):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert unit not in done.stderr
