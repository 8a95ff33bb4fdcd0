# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What domains are called in the inventory, where Ansible looks for groups before hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support import testdriver
from support.testdriver import Libvirtd

from .conftest import Inventory

GROUPS = ("all", "maglica_vms", "ungrouped", "web")


def _called(libvirtd: Libvirtd, names: Sequence[str]) -> dict[str, Any]:
    domains = [testdriver.domain(name, number) for number, name in enumerate(names, 1)]
    uri = libvirtd.uri(testdriver.node(libvirtd.folder / "names.xml", domains))
    return {"hosts": [{"name": "kvm0", "uri": uri}]}


@pytest.fixture(scope="module")
def options(libvirtd: Libvirtd) -> dict[str, Any]:
    return _called(libvirtd, [*GROUPS, "db"])


def _check(listed: Any) -> None:
    assert listed.group("maglica_vms") == sorted([*(f"{name}@kvm0" for name in GROUPS), "db"])
    assert listed.hosts["all@kvm0"]["maglica_name"] == "all"
    addresses = {variables["ansible_host"] for variables in listed.hosts.values()}
    assert len(addresses) == len(listed.hosts)
    for name in GROUPS:
        # Ansible itself warns of a group and a host of one name.
        assert f"a group has the name {name}: vm {name} on kvm0 (listed as" in listed.warnings
    assert "Found both" not in listed.warnings


def test_domains_that_are_called_like_groups(inventory: Inventory, options: dict[str, Any]) -> None:
    _check(inventory.list({**options, "groups": {"web": "maglica_vcpus > 99"}}))


def test_a_group_of_an_earlier_source(inventory: Inventory, options: dict[str, Any]) -> None:
    (inventory.folder / "a.ini").write_text("[web]\nweb0.example.jp ansible_host=192.0.2.99\n")
    inventory.write(options)
    inventory.environment["ANSIBLE_INVENTORY_ENABLED"] = "ini,maglica.cloud.maglica"
    _check(inventory.list(inventory.folder, "--list", "--limit", "maglica_vms"))


def test_what_an_expression_gives_may_be_a_group_s_name(
    inventory: Inventory, libvirtd: Libvirtd
) -> None:
    options = {**_called(libvirtd, ["a", "b"]), "hostnames": ["'all' if maglica_name == 'a'"]}
    assert inventory.list(options).group("maglica_vms") == ["all@kvm0", "b"]


def test_a_variable_with_its_prefix_or_without(inventory: Inventory, kvm0: str) -> None:
    options = {"hosts": [{"name": "kvm0", "uri": kvm0}], "include": ["vms"]}
    by_name = {
        hostname: inventory.list({**options, "hostnames": [hostname]}).group("maglica_vms")
        for hostname in ("uuid", "maglica_uuid")
    }
    assert by_name["maglica_uuid"] == by_name["uuid"]
    assert "vm0.example.jp" not in by_name["uuid"]
