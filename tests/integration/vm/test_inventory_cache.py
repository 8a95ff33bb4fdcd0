# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's cache beside tasks: what changes a vm makes it stale, and what reads it anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.ansible_runs import Ansible
from support.simulated_host import SimulatedCell
from support.vm_suite import IMAGE, KVM0, NAME

from .conftest import Command

FOREIGN = "foreign.example.jp"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted of a change lies in the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture
def cached(ansible: Ansible, tmp_path: Path) -> Ansible:
    """Ansible with the cell's inventory, which has just been cached without any vm."""
    ansible.inventory = tmp_path / "maglica.yml"
    options = {
        "plugin": "maglica.cloud.maglica",
        "config": ansible.config,
        "cache": True,
        "cache_plugin": "ansible.builtin.jsonfile",
        "cache_connection": str(tmp_path / "cache"),
    }
    ansible.inventory.write_text(yaml.safe_dump(options))
    assert _vms(ansible) == []
    return ansible


def _vms(ansible: Ansible) -> list[str]:
    listed = ansible.run("ansible-inventory", "--list")
    assert listed.code == 0, listed.errors
    groups = json.loads(listed.output)
    assert groups["maglica_images"]["hosts"] == [IMAGE]
    return sorted(groups.get("maglica_vms", {}).get("hosts", []))


def test_a_task_that_changed_a_vm(cached: Ansible, cell: SimulatedCell) -> None:
    # Nobody knows of this one before something else makes the cache stale.
    cell.add(KVM0, FOREIGN, active=True, image=None)
    assert cached.ad_hoc("maglica_vm", "--check", name=NAME, image=IMAGE).result()["changed"]
    assert cached.ad_hoc("maglica_vm_info").result()["vms"] != []
    assert _vms(cached) == []
    assert cached.ad_hoc("maglica_vm", name=NAME, image=IMAGE).result()["changed"]
    assert _vms(cached) == [FOREIGN, NAME]
    cell.add(KVM0, f"other.{FOREIGN}", active=True, image=None)
    assert not cached.ad_hoc("maglica_vm", name=NAME, image=IMAGE).result()["changed"]
    assert _vms(cached) == [FOREIGN, NAME]


def test_a_command_that_changed_a_vm(
    cached: Ansible, cell: SimulatedCell, command: Command
) -> None:
    assert command("vm", "list").out.splitlines()[2:] == []
    assert _vms(cached) == []
    # By a task, then by commands: whoever comes next sees it.
    assert cached.ad_hoc("maglica_vm", name=NAME, image=IMAGE).result()["changed"]
    assert command("vm", "list").out.splitlines()[2].startswith(NAME)
    assert command("vm", "remove", "--force", NAME).status == 0
    assert _vms(cached) == []
    assert command("vm", "clone", "--image", IMAGE, NAME).status == 0
    assert _vms(cached) == [NAME]
    assert not cached.ad_hoc("maglica_vm", name=NAME, image=IMAGE).result()["changed"]


def test_refreshing_in_a_play(cached: Ansible, cell: SimulatedCell) -> None:
    cell.add(KVM0, FOREIGN, active=True, image=None)
    show = {"ansible.builtin.debug": {"msg": "{{ groups['maglica_vms'] }}"}}
    tasks = [show, {"ansible.builtin.meta": "refresh_inventory"}, show]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    run = cached.play([play])
    assert [result["msg"] for _host, result in run.results()] == [[], [FOREIGN]], run.output
    # It is cached what was read.
    assert _vms(cached) == [FOREIGN]
