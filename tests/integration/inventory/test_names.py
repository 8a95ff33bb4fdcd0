# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What domains are called in the inventory, where Ansible looks for groups before hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support import testdriver
from support.latency import proxied
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


def test_where_no_address_is_known_nothing_leads_to_another_machine(
    inventory: Inventory, libvirtd: Libvirtd
) -> None:
    """Those that are off are images, too, and who plays to all of them connects to each."""
    off = [
        testdriver.domain(name, n, state=5) for n, name in enumerate(("root@kvm0", "127.1", "a"))
    ]
    uri = libvirtd.uri(testdriver.node(libvirtd.folder / "off.xml", off))
    listed = inventory.list({"hosts": [{"name": "kvm0", "uri": uri}]})
    for name in ("root@kvm0", "127.1"):
        assert listed.hosts[name]["ansible_host"].endswith(".invalid")
    assert "ansible_host" not in listed.hosts["a"]


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


def test_names_that_ansible_would_take_for_something_else(
    inventory: Inventory, libvirtd: Libvirtd
) -> None:
    names = [".", "..", "secret.yml", "a[0:3]", "a,b", "a:b", "!a", "&amp;a", "~a", "*", "@a", "-o"]
    for folder in ("host_vars", "group_vars"):
        (inventory.folder / folder).mkdir()
        (inventory.folder / folder / "secret.yml").write_text("secret: 1\n")
    listed = inventory.list(_called(libvirtd, [*names, "vm0"]))
    called = listed.group("maglica_vms")
    assert len(called) == len(names) + 1
    plain = {"vm0", "secret.yml@kvm0"}
    assert {name for name in called if name not in plain} == {
        variables["maglica_uuid"] for name, variables in listed.hosts.items() if name not in plain
    }
    assert not any("secret" in variables for variables in listed.hosts.values())
    assert "would take for something else than a name" in listed.warnings


def test_a_host_that_lies_costs_itself(inventory: Inventory, libvirtd: Libvirtd, kvm0: str) -> None:
    node = testdriver.node(libvirtd.folder / "lies.xml", [testdriver.domain("liar")])
    with proxied(libvirtd.port) as proxy:
        uri = f"test+tcp://127.0.0.1:{proxy.port}{node}"
        hosts = [("kvm0", kvm0), ("kvm1", uri), ("kvm2", "qemu+tcp://a..b/system")]
        options = {"hosts": [{"name": name, "uri": uri} for name, uri in hosts]}
        proxy.lies = {b"\0\0\0\x04liar": b"\0\0\0\x04li\xffr"}
        listed = inventory.list(options)
    assert listed.group("maglica_host_kvm0") != []
    assert listed.group("maglica_host_kvm1") == []
    assert "cannot read the name of domain" in listed.warnings
    assert "of host kvm1: 'utf-8'" in listed.warnings
    assert "host kvm2 is left out: cannot resolve a..b" in listed.warnings
