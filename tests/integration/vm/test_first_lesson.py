# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's first lesson: an image, a guest of it, how to log in. Again it changes nothing."""

from __future__ import annotations

from pathlib import Path

import yaml
from support.ansible_runs import Ansible
from support.documents import block
from support.simulated_host import SimulatedCell
from support.vm_suite import HOSTS, IMAGE

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxyaNUB7fqBSWaTjaVYxtBUdQ5FPVhaRaIXoBAo0tbN admin"


def test_the_first_lesson(ansible: Ansible, cell: SimulatedCell, tmp_path: Path) -> None:
    (tmp_path / "id_ed25519.pub").write_text(f"{KEY}\n")
    lesson = block("README.md", "# first.yml").text
    plays = yaml.safe_load(lesson.replace("~/.ssh", str(tmp_path)))
    for is_changed in (True, False):
        run = ansible.play(plays, MAGLICA_CONFIG=ansible.config)
        assert run.code == 0, run.output + run.errors
        (image, vm, told) = (result for _host, result in run.results())
        assert (image["changed"], vm["changed"]) == (is_changed, is_changed)
        assert told["msg"] == f"ssh debian@{vm['vm']['address']}"
    (clone,) = (request for request in cell.client.list() if request.kind == "clone")
    assert clone.spec.user.ssh_authorized_keys == (KEY,)
    assert sorted(name for host in HOSTS for name in cell.defined(host)) == sorted(
        [*["debian-13"] * 2, *[IMAGE] * 2, "vm0.example.jp"]
    )
