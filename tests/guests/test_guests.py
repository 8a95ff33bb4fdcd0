# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each guest is fetched as an image, cloned and booted three times; then it says what it is."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guests import files, recipes
from guests.build import CACHE
from guests.cases import CASES, Case
from support import inside
from support.cloud import STATE, Cloud

# On the hosts' own network dual, which has both families and no DHCP; see RFC 5737 and RFC 3849.
DUAL = """
<network>
  <name>dual</name>
  <bridge name='virbr6' stp='off' delay='0'/>
  <ip address='198.51.100.1' netmask='255.255.255.0'/>
  <ip family='ipv6' address='2001:db8:51::1' prefix='64'/>
</network>
"""
STATIC = ("198.51.100.20/24", "2001:db8:51::20/64")
GATEWAYS = ("198.51.100.1", "2001:db8:51::1")
DOMAIN = "guests.example.jp"
USER = "alice"
SIZE_GIB = 3
# What a user would add; for cloud-init to go by at the next start.
NOCLOUD_ONLY = """#cloud-config
write_files:
- path: /etc/cloud/cloud.cfg.d/99-nocloud.cfg
  content: "datasource_list: [NoCloud]\\n"
"""


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    running = Cloud.load()
    yield running
    running.close()


@pytest.fixture(scope="session")
def host(cloud: Cloud) -> Iterator[str]:
    """Return a host of this process's own, with a network that has both families."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    name = cloud.hosts[int(worker[2:]) % len(cloud.hosts)]
    network = cloud.libvirt(name).networkDefineXML(DUAL)
    network.create()
    yield name
    network.destroy()
    network.undefine()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_guest(cloud: Cloud, host: str, case: Case, tmp_path: Path) -> None:
    image, name = case.name, f"g{CASES.index(case)}.{DOMAIN}"
    before = cloud.domains(host), cloud.volumes(host)
    try:
        _fetch(cloud, host, case, image)
        made = cloud.vm(name, image=image, host=host, **_wanted(cloud, case))
        assert made.status == "CHANGED", made.output
        looks = _looks(_door(cloud, host, made["vm"], tmp_path))
        if case.way == "none":
            _is_as_the_image_was(looks[0])
        else:
            _is_as_asked_for(case, made["vm"], looks[0])
            assert cloud.lease(host, name) is not None
        for later in looks[1:]:
            changed = {key for key in later if later[key] != looks[0][key]}
            assert changed == {"boot"}, (looks[0], later)
    finally:
        removed = cloud.vm(name, state="absent")
        gone = cloud.module("maglica_image", name=image, state="absent", hosts=[host])
        _offered(case.guest).unlink(missing_ok=True)
    assert (removed.status, gone.status) == ("CHANGED", "CHANGED"), gone.output
    assert (cloud.domains(host), cloud.volumes(host)) == before


def _is_as_asked_for(case: Case, vm: dict[str, Any], look: dict[str, Any]) -> None:
    assert (look["user"], look["sudo"]) == (USER, "root")
    assert {look["hostname"], look["fqdn"]} == {vm["name"]}
    if case.way == "cloud-init":
        # It is empty in the base, and systemd takes the vm's.
        assert look["machine_id"] == vm["uuid"].replace("-", "")
    else:
        assert re.fullmatch("[0-9a-f]{32}", look["machine_id"])
        assert look["machine_id"] not in (files.MACHINE_ID, "0" * 32)
    static, leased = (interface["mac"] for interface in vm["interfaces"])
    assert look["addresses"][static] == sorted(STATIC)
    assert len(look["addresses"][leased]) == 1
    assert set(GATEWAYS) <= set(look["gateways"])
    assert f"nameserver {GATEWAYS[0]}" in look["resolver"]
    assert any(line.startswith("search") and DOMAIN in line for line in look["resolver"])
    assert look["root_bytes"] > (SIZE_GIB << 30) * 0.8
    assert set(look["host_keys"]) == {" ".join(key.split()[:2]) for key in vm["ssh_host_keys"]}
    assert (look["running"], look["failed"]) == ("running", "")
    assert look["cloud_init"] == _of_cloud_init(case)


def _of_cloud_init(case: Case) -> str:
    return "disabled" if case.guest.is_template else "done"


def _is_as_the_image_was(look: dict[str, Any]) -> None:
    assert look["hostname"] == "debian12"
    assert look["machine_id"] == files.MACHINE_ID
    assert (look["running"], look["failed"]) == ("running", "")


def _fetch(cloud: Cloud, host: str, case: Case, image: str) -> None:
    disk = recipes.build(case.guest, CACHE)
    offered = _offered(case.guest)
    offered.unlink(missing_ok=True)
    os.link(disk, offered)
    with disk.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    fetched = cloud.module(
        "maglica_image",
        name=image,
        url=f"http://{cloud.client}/{offered.name}",
        checksum=f"sha256:{digest}",
        firmware=case.firmware,
        vcpus=1,
        memory=512,
        hosts=[host],
    )
    assert fetched.status == "CHANGED", fetched.output


def _offered(guest: recipes.Guest) -> Path:
    return STATE / "offered" / f"{guest.name}.qcow2"


def _wanted(cloud: Cloud, case: Case) -> dict[str, Any]:
    wanted: dict[str, Any] = {"customize": case.way, "ssh_authorized_keys": []}
    if case.way == "none":
        return wanted
    static = {
        "network": "dual",
        "addresses": list(STATIC),
        "gateways": list(GATEWAYS),
        "nameservers": [GATEWAYS[0]],
        "search": [DOMAIN],
    }
    if case.is_told_nocloud:
        wanted["user_data"] = NOCLOUD_ONLY
    return wanted | {
        "interfaces": [static, {"network": "default"}],
        "disk_size": f"{SIZE_GIB}GiB",
        "user": {
            "name": USER,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "shell": "/bin/bash",
            "ssh_authorized_keys": [cloud.public_key],
        },
    }


def _looks(door: inside.Door) -> list[dict[str, Any]]:
    """Look at a guest after it was made, and after each of two more starts."""
    looks = [inside.look(door)]
    for _turn in range(2):
        inside.reboot(door)
        looks.append(inside.look(door, not_boot=looks[-1]["boot"]))
    return looks


def _door(cloud: Cloud, host: str, vm: dict[str, Any], folder: Path) -> inside.Door:
    if vm["customize"] == "none":
        return inside.Agent(cloud.libvirt(host).lookupByName(vm["name"]))
    address = STATIC[0].partition("/")[0]
    # Nobody but its host reaches that address.
    return inside.by_ssh(STATE, folder, vm, f"{USER}@{address}", by=host)
