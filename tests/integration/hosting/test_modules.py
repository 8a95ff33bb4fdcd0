# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules maglica_pool and maglica_network on a real libvirtd."""

from __future__ import annotations

import subprocess
from importlib import import_module
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from maglica.hosting import network, pool
from maglica.hosting.network import NetworkDefinition
from maglica.hosting.pool import PoolDefinition
from support.hosting_host import HostingHost

SHIPPED = Path("/usr/share/libvirt/networks/default.xml")
DEVICE = "/dev/disk/by-label/fast"
LAB = {
    **{"name": "lab", "mode": "route", "address": "10.214.7.1/24", "domain": "lab.example.jp"},
    **{"dhcp": {"start": "10.214.7.10", "end": "10.214.7.99"}, "dns_forwarders": ["10.214.7.1"]},
    **{"dnsmasq_options": ["no-ping"], "stp": False, "bridge": "virbr7"},
}


def settles(host: HostingHost, module: str, **options: Any) -> dict[str, Any]:
    """Run a module in check mode, really, and once more; return the result of the second."""
    foreseen = host.run(module, _ansible_check_mode=True, **options)
    done = host.run(module, **options)
    assert (foreseen, done.get("changed")) == (done, True), done
    again = host.run(module, **options)
    assert (again.get("changed"), "diff" in again) == (False, False), again
    return done


def refuses(host: HostingHost, module: str, **options: Any) -> str:
    """Run a module in check mode and really; return the error of both."""
    foreseen = host.run(module, _ansible_check_mode=True, **options)
    result = host.run(module, **options)
    assert (foreseen, result.get("failed")) == (result, True), result
    return str(result["msg"])


def leaves(host: HostingHost, module: str, **options: Any) -> str:
    """Run a module in check mode and really, which change nothing; return what both say."""
    foreseen = host.run(module, _ansible_check_mode=True, optional=True, **options)
    result = host.run(module, optional=True, **options)
    assert (foreseen, result.get("changed"), result.get("active")) == (result, False, False), result
    assert result["msg"] in str(result["warnings"])
    return str(result["msg"])


@pytest.fixture
def device(tmp_path: Path) -> str:
    """A file system on a device."""
    file = tmp_path / "fast.img"
    subprocess.run(["truncate", "--size", "16M", file], check=True)
    subprocess.run(["mkfs.ext4", "-q", file], check=True)
    return str(file)


def test_a_pool_is_made_with_its_folder_and_starts_with_the_host(host: HostingHost) -> None:
    path = host.folder / "a" / "pool"
    result = settles(host, "maglica_pool", name="a", path=str(path), mode="0750", owner="root")
    made = host.connection.storagePoolLookupByName("a")
    assert (made.isActive(), made.autostart(), path.stat().st_mode & 0o777) == (1, 1, 0o750)
    wanted = PoolDefinition("a", "dir", str(path))
    assert made.UUIDString() == result["uuid"] == wanted.uuid
    assert result["diff"]["before"] == ""
    assert str(path) in result["diff"]["after"]


def test_a_second_pool_and_network_leave_the_first(host: HostingHost) -> None:
    for name in ("a", "b"):
        settles(host, "maglica_pool", name=name, path=str(host.folder / name))
    settles(host, "maglica_network", name="default")
    settles(host, "maglica_network", **LAB)
    assert {each.name() for each in host.connection.listAllStoragePools(2)} == {"a", "b"}
    assert {each.name() for each in host.connection.listAllNetworks(2)} == {"default", "lab"}


def test_what_is_there_and_differs_is_left_and_said(host: HostingHost) -> None:
    theirs = host.folder / "theirs"
    theirs.mkdir(mode=0o700)
    text = pool.xml(PoolDefinition("theirs", "dir", str(theirs)))
    host.connection.storagePoolDefineXML(text)
    host.connection.networkDefineXML(network.xml(NetworkDefinition("theirs", "isolated")))
    before = host.definitions()
    said = refuses(host, "maglica_pool", name="theirs", path=str(host.folder / "ours"))
    assert f"is there, and path is {theirs}, not {host.folder / 'ours'}. It is not changed" in said
    said = refuses(host, "maglica_pool", name="ours", path=str(theirs))
    assert "pool theirs has it" in said
    said = refuses(host, "maglica_network", name="theirs", mode="nat", domain="a")
    assert "is there, and mode is isolated, not nat; domain is none, not a." in said
    said = refuses(host, "maglica_pool", name="other", path=str(host.folder), mode="0711")
    assert f"the folder {host.folder} is there, and mode is 0700, not 0711" in said
    assert host.definitions() == before


def test_what_is_there_is_started(host: HostingHost) -> None:
    text = pool.xml(PoolDefinition("a", "dir", str(host.folder / "a")))
    host.connection.storagePoolDefineXML(text)
    host.connection.networkDefineXML(network.xml(NetworkDefinition("a", "isolated")))
    before = host.definitions()[1]
    for module in ("maglica_pool", "maglica_network"):
        diff = settles(host, module, name="a", autostart=False)["diff"]
        lines = {side: diff[side].splitlines() for side in ("before", "after")}
        assert lines["before"][0] == "active: no"
        assert lines["after"] == ["active: yes", *lines["before"][1:]]
        settles(host, module, name="a")
    assert host.definitions()[1] == before


def test_a_bare_host_is_told_of_users_that_only_packages_bring(host: HostingHost) -> None:
    given = {"name": "a", "path": str(host.folder / "bare"), "owner": "nobody-has-this"}
    nowhere = f"qemu+unix:///system?socket={host.folder}/no-socket"
    told = host.run("maglica_pool", _ansible_check_mode=True, **given, uri=nowhere)
    assert told.get("changed"), told
    assert "<owner>nobody-has-this</owner>" in told["diff"]["after"]
    assert refuses(host, "maglica_pool", **given) == "owner: this host has no 'nobody-has-this'"


def test_the_usual_pool_is_not_made_where_another_has_its_folder(host: HostingHost) -> None:
    settles(host, "maglica_pool", name="images", path="/var/lib/libvirt/images")
    result = host.run("maglica_pool", name="default")
    assert result["changed"] is False
    assert result["msg"].startswith("pool default is not made: images of host ")


def test_a_network_is_not_started_over_what_the_host_has(host: HostingHost) -> None:
    host.bridge("br0", "192.168.122.9/24")
    (host.devices / "eth7").mkdir()
    shipped = SHIPPED.read_text()
    theirs = shipped.replace("<name>default", "<name>theirs")
    host.connection.networkDefineXML(theirs)
    said = refuses(host, "maglica_network", name="theirs")
    assert "can't be started: its subnet 192.168.122.0/24 is in use" in said
    said = refuses(host, "maglica_network", name="a", address="192.168.122.1/25")
    assert "can't be made: its subnet 192.168.122.0/25 is in use" in said
    said = refuses(host, "maglica_network", name="a", bridge="br0")
    assert "the host has a device br0 of its own" in said
    for bridge, why in ("br1", "is not there"), ("eth7", "is no bridge of the kernel"):
        said = refuses(host, "maglica_network", name="a", mode="bridge", bridge=bridge)
        assert f"the host's bridge {bridge} {why}" in said


def test_the_network_that_the_package_brings_is_moved_to_a_free_subnet(host: HostingHost) -> None:
    host.bridge("br0", "192.168.122.9/24")
    shipped = SHIPPED.read_text()
    uuid = host.connection.networkDefineXML(shipped).UUIDString()
    result = settles(host, "maglica_network", name="default")
    assert "gets 192.168.123.0/24: 192.168.122.0/24 is in use" in result["msg"]
    made = host.connection.networkLookupByName("default")
    assert (made.UUIDString(), made.isActive()) == (uuid, 1)
    assert network.read(made.XMLDesc(1)).address == "192.168.123.1/24"


def test_where_all_of_192_168_is_routed_another_block_is_taken(host: HostingHost) -> None:
    host.bridge("br0", "192.168.1.9/16")
    host.connection.networkDefineXML(SHIPPED.read_text())
    result = settles(host, "maglica_network", name="default", optional=True)
    assert "gets 172.30.122.0/24: 192.168.122.0/24 is in use" in result["msg"]
    assert host.connection.networkLookupByName("default").isActive()


def test_what_the_host_may_do_without_is_no_failure(host: HostingHost) -> None:
    host.bridge("virbr0")
    host.connection.networkDefineXML(SHIPPED.read_text())
    before = host.definitions()
    assert "has a device virbr0 of its own" in leaves(host, "maglica_network", name="default")
    said = leaves(host, "maglica_pool", name="other", path=str(host.folder), mode="0711")
    assert "is there, and mode is 0700, not 0711" in said
    assert host.definitions() == before


def test_what_somebody_has_stopped_stays_so_unless_it_is_asked_for(host: HostingHost) -> None:
    (host.folder / "stopped").mkdir()
    xml = "<pool type='dir'><name>default</name><target><path>{}</path></target></pool>"
    stopped = [
        host.connection.storagePoolDefineXML(xml.format(host.folder / "stopped")),
        host.connection.networkDefineXML(SHIPPED.read_text()),
    ]
    stopped[1].create()
    # While it runs there is nothing to say; that it does not start with the host is their business.
    running = host.run("maglica_network", name="default", optional=True)
    assert (running["changed"], running["autostart"], "msg" in running) == (False,) * 3
    stopped[1].destroy()
    for noun in ("pool", "network"):
        said = leaves(host, f"maglica_{noun}", name="default")
        assert f"{noun} default of host " in said
        assert "does not run, and stays so, for Maglica has not made it" in said
    assert [each.isActive() for each in stopped] == [0, 0]
    for noun in ("pool", "network"):
        settles(host, f"maglica_{noun}", name="default")
    assert [each.isActive() for each in stopped] == [1, 1]


def test_what_maglica_has_made_is_started_again(host: HostingHost) -> None:
    for noun, options in ("pool", {"path": str(host.folder / "p")}), ("network", {}):
        made = settles(host, f"maglica_{noun}", name="a", optional=True, **options)
        assert made["active"]
    host.connection.storagePoolLookupByName("a").destroy()
    host.connection.networkLookupByName("a").destroy()
    for noun in ("pool", "network"):
        assert settles(host, f"maglica_{noun}", name="a", optional=True)["active"]


@pytest.mark.parametrize("cut", ["networkDefineXML", "setAutostart"])
def test_a_package_s_network_is_started_after_a_cut(host: HostingHost, cut: str) -> None:
    """What a run has done of it before it was cut off is not taken for somebody's."""
    host.bridge("br0", "192.168.122.9/24")
    there = host.connection.networkDefineXML(SHIPPED.read_text())
    if cut == "networkDefineXML":
        moved = network.with_subnet(network.read(there.XMLDesc(0)), IPv4Network("10.9.9.0/24"))
        there = host.connection.networkDefineXML(network.xml(moved, there.UUIDString()))
    there.setAutostart(cut == "setAutostart")
    assert settles(host, "maglica_network", name="default", optional=True)["active"]


@pytest.mark.parametrize("name", ["maglica_pool", "maglica_network"])
def test_examples(host: HostingHost, device: str, name: str) -> None:
    host.bridge("br0")
    module = import_module(f"ansible_collections.maglica.cloud.plugins.modules.{name}")
    for task in yaml.safe_load(module.EXAMPLES.replace(DEVICE, device)):
        assert settles(host, name, **task[f"maglica.cloud.{name}"])["active"] is True
