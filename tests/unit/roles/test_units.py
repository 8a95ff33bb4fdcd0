# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services as systemd understands them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from support.role_templates import render

UNITS = {
    "client_worker": "maglica-client-worker.service",
    "host_worker": "maglica-host-worker.service",
}
# What `systemd-analyze security` makes of each, 0 to 10. The host worker is root, runs QEMU and
# writes wherever a storage pool is.
EXPOSURE = {"client_worker": 1.4, "host_worker": 3.0}


@pytest.fixture(params=UNITS)
def role(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name: str = request.param
    variables = {"ansible_managed": "by a role", "library_version": "v"}
    variables["maglica_python"] = "/bin/true"
    (tmp_path / UNITS[name]).write_text(render(name, f"{UNITS[name]}.j2", **variables))
    return name


def analyze(folder: Path, *arguments: str) -> str:
    command = ["systemd-analyze", "--no-pager", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "maglica" not in done.stderr
    return done.stdout


def test_systemd_understands_all_of_it(tmp_path: Path, role: str) -> None:
    analyze(tmp_path, "verify", UNITS[role])


def test_a_service_has_no_rights_that_it_does_not_need(tmp_path: Path, role: str) -> None:
    most = f"--threshold={EXPOSURE[role] * 10:.0f}"
    analyze(tmp_path, "security", "--offline=true", most, UNITS[role])


def test_a_unit_explains_each_point_that_is_open_and_no_other(tmp_path: Path, role: str) -> None:
    found = json.loads(analyze(tmp_path, "security", "--offline=true", "--json=short", UNITS[role]))
    is_open = {each["name"] for each in found if each["exposure"]}
    text = re.sub(r"\n#   ", " ", (tmp_path / UNITS[role]).read_text())
    explained = [line.partition(": ")[0] for line in re.findall(r"^# - (.*)$", text, re.MULTILINE)]
    assert {name for names in explained for name in names.split(", ")} == is_open
