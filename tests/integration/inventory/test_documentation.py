# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example in the documentation of the inventory plugin is listed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.model.reported import ReportedDomain
from maglica.model.vm import vm_uuid
from support.client_worker import Worker
from support.reports import report, showing

from .conftest import Inventory, Listed

PLUGIN = Path(__file__).resolve().parents[3] / "plugins/inventory/maglica.py"


def _examples() -> list[dict[str, Any]]:
    for node in ast.parse(PLUGIN.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load_all(node.value.value))
    raise AssertionError("no EXAMPLES")


def _configured(listed: Listed) -> None:
    assert listed.group("maglica_vms") == ["db.example.jp", "idle.example.jp", "vm0.example.jp"]


def _named_hosts(listed: Listed) -> None:
    assert listed.group("maglica_host_kvm0_example_jp") != []
    assert listed.group("maglica_host_kvm1_example_jp") != []


def _filtered(listed: Listed) -> None:
    assert listed.group("maglica_vms") == ["web0.example.jp"]
    assert listed.group("image_debian12_original") == ["web0.example.jp"]
    assert listed.group("tag_web") == listed.group("tag_stage_test") == ["web0.example.jp"]
    assert listed.hosts["web0.example.jp"]["ansible_user"] == "root"


def _minimal(listed: Listed) -> None:
    assert listed.group("maglica_listed_hosts") == ["kvm0.example.jp"]
    assert "ansible_host" not in listed.hosts["vm0.example.jp"]


def _reported(listed: Listed) -> None:
    assert listed.group("maglica_vms") == ["vm0.example.jp"]
    assert listed.hosts["vm0.example.jp"]["maglica_report_age_s"] < 60


def _qemu(listed: Listed) -> None:
    assert listed.group("maglica_vms") == ["db", "idle", "vm0"]
    connection = listed.hosts["vm0"]["ansible_connection"]
    assert connection == "community.libvirt.libvirt_qemu"


LOOKS = (_configured, _named_hosts, _filtered, _minimal, _reported, _qemu)


@contextmanager
def _client_worker(inventory: Inventory) -> Iterator[None]:
    """Have one to which a host has reported a vm, and which the user's own configuration names."""
    folder = inventory.folder / ".config" / "maglica"
    folder.mkdir(parents=True)
    # Its host says hello once, and must not count as down before Ansible has begun.
    worker = Worker(folder, host_timeout=3600)
    try:
        worker.start()
        name = "vm0.example.jp"
        vm = ReportedDomain(name, vm_uuid(name), "kvm0.example.jp", "running", True)
        said = {"report": showing(report(), [vm]), "requests": [], "shown": [vm]}
        assert worker.host(vm.host).ask("hello", host=vm.host, **said)[0] == "welcome"
        worker.library("alice").replace(folder / "maglica.conf")
        yield
    finally:
        worker.close()


def test_each_example_is_here() -> None:
    assert len(_examples()) == len(LOOKS)


@pytest.mark.parametrize("number", range(len(LOOKS)), ids=lambda number: LOOKS[number].__name__)
def test_example(inventory: Inventory, kvm0: str, kvm1: str, web: str, number: int) -> None:
    example = _examples()[number]
    uris = {"kvm0.example.jp": kvm0, "kvm1.example.jp": kvm1}
    for host in example.get("hosts", []):
        host["uri"] = uris[host["name"]]
    configured = web if LOOKS[number] is _filtered else kvm0
    config = inventory.folder / "maglica.conf"
    config.write_text(f"[host kvm0.example.jp]\nuri = {configured}\n")
    inventory.environment["MAGLICA_CONFIG"] = str(config)
    with _client_worker(inventory) if LOOKS[number] is _reported else nullcontext():
        listed = inventory.list(example)
    if LOOKS[number] is not _named_hosts:
        assert listed.warnings == ""
    LOOKS[number](listed)
