# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin through ansible-inventory, on real libvirtds."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from maglica.model.vm import vm_uuid

from .conftest import REQUEST, Inventory


def _hosts(**uris: str) -> dict[str, Any]:
    return {"hosts": [{"name": name, "uri": uri} for name, uri in uris.items()]}


def test_groups_and_variables(inventory: Inventory, kvm0: str) -> None:
    listed = inventory.list(_hosts(**{"kvm0.example.jp": kvm0}))
    assert listed.warnings == ""
    vms = ["db.example.jp", "idle.example.jp", "vm0.example.jp"]
    assert listed.group("maglica_vms") == vms
    assert listed.group("maglica_images") == ["debian12.original"]
    assert listed.group("maglica_host_kvm0_example_jp") == sorted([*vms, "debian12.original"])
    assert listed.group("maglica_state_running") == ["db.example.jp", "vm0.example.jp"]
    assert listed.group("maglica_state_paused") == ["idle.example.jp"]
    assert listed.group("maglica_state_stopped") == ["debian12.original"]
    vm = listed.hosts["vm0.example.jp"]
    (nic,) = vm.pop("maglica_interfaces")
    assert (nic["mac"], nic["network"]) == ("52:54:00:00:00:01", "default")
    assert vm["ansible_host"] == vm["maglica_address"] == nic["addresses"][0]
    expected = {
        "maglica_kind": "vm",
        "maglica_name": "vm0.example.jp",
        "maglica_uuid": vm_uuid(REQUEST),
        "maglica_host": "kvm0.example.jp",
        "maglica_state": "running",
        "maglica_image": "debian12.original",
        "maglica_request": REQUEST,
        "maglica_clone_mode": "linked",
        "maglica_customize": "offline",
        "maglica_customize_reason": "asked for",
        "maglica_created": "2026-11-24T06:00:00.000000Z",
        "maglica_who": "alice",
        "maglica_vcpus": 2,
        "maglica_memory_mib": 512,
        "maglica_tags": ["stage:test", "web"],
        "maglica_ssh_host_keys": [],
        "maglica_image_version": "3f7a",
        "maglica_base": "0a1b2c3d",
        "maglica_adopted": False,
        "maglica_autostart": False,
        "maglica_description": None,
        "maglica_protected": False,
        "maglica_kept_disks": [],
        "maglica_boot_order": ["disk"],
        "maglica_foreign_disks": [],
        "maglica_graphics": [],
        "maglica_console": None,
        "maglica_report_age_s": None,
        "maglica_unreachable_hosts": [],
    }
    assert {key: vm[key] for key in expected} == expected
    assert vm.keys() == {*expected, "ansible_host", "maglica_address", "maglica_disks"}
    image = listed.hosts["debian12.original"]
    assert image["maglica_hosts"] == ["kvm0.example.jp"]
    assert image["maglica_dependents"] == [
        {
            "name": "vm0.example.jp",
            "host": "kvm0.example.jp",
            "clone_mode": "linked",
            "image_version": "3f7a",
            "base": "0a1b2c3d",
        }
    ]
    assert "ansible_host" not in image


def test_one_image_on_two_hosts_and_two_vms_of_one_name(
    inventory: Inventory, kvm0: str, kvm1: str
) -> None:
    listed = inventory.list(_hosts(kvm0=kvm0, kvm1=kvm1))
    assert listed.group("maglica_images") == ["debian12.original", "draft"]
    image = listed.hosts["debian12.original"]
    assert image["maglica_hosts"] == ["kvm0", "kvm1"]
    assert [copy["host"] for copy in image["maglica_copies"]] == ["kvm0", "kvm1"]
    assert "debian12.original" in listed.group("maglica_host_kvm0")
    assert "debian12.original" in listed.group("maglica_host_kvm1")
    assert listed.group("maglica_vms") == [
        "db.example.jp@kvm0",
        "db.example.jp@kvm1",
        "idle.example.jp",
        "vm0.example.jp",
    ]
    assert (
        "several have the name db.example.jp: vm db.example.jp on kvm0 (listed as db.example.jp@"
        in listed.warnings
    )


def test_an_image_that_runs_on_another_host(inventory: Inventory, kvm0: str, kvm1: str) -> None:
    # On kvm1 the name belongs to an image, on kvm0 to a vm, once the pattern says so.
    options = {**_hosts(kvm0=kvm0, kvm1=kvm1), "image_pattern": r".*\.original"}
    listed = inventory.list(options)
    assert listed.group("maglica_images") == ["debian12.original"]
    assert "draft" in listed.group("maglica_vms")
    for only_vms in ({"kind": "vm"}, {"expression": "maglica_kind == 'vm'"}):
        listed = inventory.list({**options, "include_filters": [only_vms]})
        assert listed.group("maglica_images") == []
        assert "draft" in listed.group("maglica_vms")
    sized = {"expression": "maglica_kind == 'vm' or maglica_checksum is none"}
    listed = inventory.list({**options, "include_filters": [sized], "strict": True})
    assert listed.group("maglica_images") == ["debian12.original"]


def test_graph_yaml_and_vars(inventory: Inventory, kvm0: str) -> None:
    path = inventory.write(_hosts(kvm0=kvm0), "lab.maglica.yml")
    graph = inventory.list(path, "--graph").text
    assert "|--@maglica_vms:\n  |  |--db.example.jp\n" in graph
    assert "{maglica_state = running}" in inventory.list(path, "--graph", "--vars").text
    assert "maglica_name: vm0.example.jp" in inventory.list(path, "--list", "--yaml").text
    shown = inventory.list(path, "--host", "vm0.example.jp").text
    assert '"maglica_image": "debian12.original"' in shown


@pytest.mark.alone
def test_a_dead_and_a_silent_host_cost_one_deadline(
    inventory: Inventory, kvm0: str, dead: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"qemu+tcp://127.0.0.1:{server.getsockname()[1]}/system"
        options = {**_hosts(kvm0=kvm0, dead=dead, silent=silent), "host_timeout": 4}
        started = time.monotonic()
        listed = inventory.list(options)
        # Without a deadline it would be minutes; Ansible's own start counts too.
        assert time.monotonic() - started < 4 + 20
    assert len(listed.group("maglica_vms")) == 3
    assert "host silent is left out: no answer within 4 s" in listed.warnings
    assert "host dead is left out: unable to connect to server" in listed.warnings
    missing = listed.hosts["vm0.example.jp"]["maglica_unreachable_hosts"]
    assert [host["host"] for host in missing] == ["dead", "silent"]


def test_on_host_error_fail(inventory: Inventory, kvm0: str, dead: str) -> None:
    listed = inventory.list({**_hosts(kvm0=kvm0, dead=dead), "on_host_error": "fail"})
    assert listed.hosts == {}
    assert "maglica.yml: host dead: unable to connect" in listed.warnings


def test_hosts_of_the_configuration_file(inventory: Inventory, kvm0: str, kvm1: str) -> None:
    (inventory.folder / "etc").mkdir()
    config = inventory.folder / "etc" / "maglica.conf"
    config.write_text(f"[host kvm0]\nuri = {kvm0}\n[host kvm1]\nuri = {kvm1}\nweight = 2\n")
    listed = inventory.list({"config": "etc/maglica.conf", "include": ["hosts"]})
    assert listed.group("maglica_listed_hosts") == ["kvm0", "kvm1"]
    # With two inventories a task on a vm of one cloud would ask the other one.
    assert "maglica_config" not in listed.hosts["kvm0"]
    assert listed.hosts["kvm1"]["maglica_weight"] == 2
    inventory.environment["MAGLICA_CONFIG"] = str(config)
    listed = inventory.list({})
    assert "vm0.example.jp" in listed.group("maglica_vms")


def test_what_is_shown_of_a_host(inventory: Inventory, kvm0: str, dead: str) -> None:
    listed = inventory.list({**_hosts(kvm0=kvm0, kvm9=dead), "include": ["hosts", "vms"]})
    host = listed.hosts["kvm0"]
    assert (host["maglica_kind"], host["maglica_reachable"]) == ("host", True)
    assert (host["maglica_cpus"], host["maglica_memory_total_mib"]) == (16, 3072)
    assert host["maglica_networks"] == ["default"]
    assert listed.hosts["kvm9"]["maglica_reachable"] is False
    assert listed.group("maglica_images") == []
    assert "debian12.original" not in listed.hosts


@pytest.mark.parametrize(
    ("include", "exclude", "vms"),
    [
        ([{"name": ["db*"]}], [], ["db.example.jp"]),
        ([{"name": "db*"}], [], ["db.example.jp"]),
        ([{"name": ["~(db|vm0).*"]}], [{"state": ["paused"]}], ["db.example.jp", "vm0.example.jp"]),
        ([{"kind": ["vm"], "image": ["debian*"]}], [], ["vm0.example.jp"]),
        ([{"who": ["alice"]}, {"state": ["paused"]}], [], ["idle.example.jp", "vm0.example.jp"]),
        ([], [{"expression": "maglica_image is none"}], ["vm0.example.jp"]),
        (
            [],
            [{"expression": "maglica_name.startswith('vm')"}],
            ["db.example.jp", "idle.example.jp"],
        ),
        ([{"host": ["kvm1"]}], [], []),
        # Ansible's own tests and filters, in what is judged early and late.
        ([{"expression": "maglica_name is match('db.*')"}], [], ["db.example.jp"]),
        ([{"expression": "maglica_who | regex_search('^ali') is truthy"}], [], ["vm0.example.jp"]),
        ([{"expression": "(maglica_state == 'paused') | bool"}], [], ["idle.example.jp"]),
    ],
)
def test_filters(
    inventory: Inventory,
    kvm0: str,
    include: list[dict[str, Any]],
    exclude: list[dict[str, Any]],
    vms: list[str],
) -> None:
    options = {**_hosts(kvm0=kvm0), "include_filters": include, "exclude_filters": exclude}
    listed = inventory.list(options)
    assert listed.warnings == ""
    assert listed.group("maglica_vms") == vms


def test_constructed_features(inventory: Inventory, kvm0: str) -> None:
    listed = inventory.list(
        {
            **_hosts(kvm0=kvm0),
            "compose": {"ansible_user": "'root'", "size": "maglica_memory_mib * 2"},
            "groups": {"cloned": "maglica_image"},
            "keyed_groups": [{"key": "maglica_image", "prefix": "from"}],
        }
    )
    vm = listed.hosts["vm0.example.jp"]
    # Ansible itself marks what an expression gave as no template.
    assert (vm["ansible_user"], vm["size"]) == ("root", 1024)
    assert listed.group("from_debian12_original") == ["vm0.example.jp"]
    strict = {**_hosts(kvm0=kvm0), "strict": True, "compose": {"size": "no_such_thing"}}
    assert "Could not set size for host" in inventory.list(strict).warnings


def test_names_and_prefixes(inventory: Inventory, kvm0: str) -> None:
    listed = inventory.list(
        {
            **_hosts(kvm0=kvm0),
            "group_prefix": "lab_",
            "variable_prefix": "lab_",
            "hostnames": ["nonsense", "(lab_name | split('.') | first) ~ '.lab'"],
        }
    )
    assert listed.group("lab_vms") == ["db.lab", "idle.lab", "vm0.lab"]
    assert listed.hosts["vm0.lab"]["lab_name"] == "vm0.example.jp"
    by_uuid = inventory.list({**_hosts(kvm0=kvm0), "hostnames": ["uuid"]})
    assert vm_uuid(REQUEST) in by_uuid.group("maglica_vms")
    # The image is called so by all: the vms get the host's name, and their UUID where that is
    # not enough.
    constant = inventory.list({**_hosts(kvm0=kvm0), "hostnames": ["'same'"]})
    assert len(constant.group("maglica_vms")) == 3
    assert "several have the name same" in constant.warnings


def test_the_qemu_connection(inventory: Inventory, kvm0: str) -> None:
    options = {**_hosts(kvm0=kvm0), "connection": "community.libvirt.libvirt_qemu"}
    vm = inventory.list(options).hosts["vm0.example.jp"]
    assert vm["ansible_connection"] == "community.libvirt.libvirt_qemu"
    assert (vm["ansible_libvirt_uri"], vm["ansible_host"]) == (kvm0, "vm0.example.jp")


def test_minimal(inventory: Inventory, kvm0: str) -> None:
    listed = inventory.list({**_hosts(kvm0=kvm0), "gather": "minimal"})
    assert listed.group("maglica_images") == ["debian12.original"]
    vm = listed.hosts["vm0.example.jp"]
    assert "ansible_host" not in vm
    assert (vm["maglica_state"], vm["maglica_vcpus"], vm["maglica_interfaces"]) == (
        "running",
        None,
        [],
    )


def test_definitions_on_request(inventory: Inventory, kvm0: str) -> None:
    listed = inventory.list({**_hosts(kvm0=kvm0), "xml": True})
    assert "<name>vm0.example.jp</name>" in listed.hosts["vm0.example.jp"]["maglica_xml"]


SOME = {"hosts": [{"name": "a"}]}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hosts": []}, "hosts: no host is named"),
        ({"config": "nothing.conf"}, "maglica.yml: cannot read {folder}/nothing.conf"),
        ({"config": "empty.conf"}, "{folder}/empty.conf: section [client_worker] is missing"),
        ({"hosts": [{"name": "a", "uri": "nonsense"}]}, "'nonsense' is not a libvirt URI"),
        ({"hosts": ["a"]}, "hosts: entry 1: 'a' is not a dictionary"),
        ({"hosts": [{"name": "a", "weight": 0}]}, "weight: '0' is not a number above 0"),
        ({**SOME, "exclude_filters": [{"nmae": "a"}]}, "a filter has no condition 'nmae'"),
        ({**SOME, "include_filters": [{}]}, "a filter has no condition"),
        ({**SOME, "include_filters": [{"name": ["~("]}]}, "'~(' is not a regular expression"),
        ({**SOME, "exclude_filters": [{"expression": "1 +"}]}, "'1 +' is not an expression"),
        ({**SOME, "image_pattern": "("}, "'(' is not a regular expression"),
        ({**SOME, "address_networks": ["10.0.0.1/8"]}, "'10.0.0.1/8' is not a range"),
        ({**SOME, "host_timeout": 0}, "host_timeout"),
        ({**SOME, "host_timeout": float("inf")}, "host_timeout inf is not more"),
        ({"hosts": [{"name": "a"}, {"name": "a"}]}, "host a is there twice"),
    ],
)
def test_bad_options_are_named(inventory: Inventory, options: dict[str, Any], text: str) -> None:
    (inventory.folder / "empty.conf").touch()
    listed = inventory.list(options)
    assert text.format(folder=inventory.folder) in listed.warnings
    assert listed.hosts == {}


def test_other_files_are_not_for_this_plugin(inventory: Inventory, kvm0: str) -> None:
    path = inventory.write(_hosts(kvm0=kvm0), "cloud.yml")
    assert inventory.list(Path(path)).hosts == {}
