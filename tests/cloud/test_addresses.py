# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vm's address from each source, and hosts that are reached by ssh."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import listing
from support.cloud import IMAGE, STATE, Cloud, Result

NAME = "addressed.example.jp"
STATIC = "static.example.jp"
MAC = "52:54:00:5a:5a:01"
# Sends the guest a packet and waits until its entry is confirmed: libvirt takes no others. Adds
# neighbours until enough of them come after the guest's, and takes those before it away. They are
# in 198.18.0.0/15, which is for tests: RFC 2544.
LONG_TABLE = r"""
set -eu
echo > /dev/udp/{address}/9
for turn in $(seq 100); do
    ip neigh show {address} | grep -q -e REACHABLE -e STALE && break; sleep 0.2
done
listed() {{ ip -4 neigh show nud all dev virbr0 | cut -d" " -f1; }}
number=0
until [ "$(listed | sed "1,/^{address}$/d" | wc -l)" -ge 100 ]; do
    number=$((number + 1)); test "$number" -lt 20
    for last in $(seq 1 250); do
        echo "neigh add 198.18.$number.$last lladdr 02:00:00:00:00:01 dev virbr0 nud permanent"
    done | ip -batch -
done
listed | sed "/^{address}$/,\$d" | sed "s/.*/neigh del & dev virbr0/" | ip -batch -
"""


@pytest.fixture(scope="module")
def booted(cloud: Cloud, clone) -> Result:
    return clone(NAME, host=cloud.hosts[0], wait_for="address")


@pytest.fixture(scope="module")
def static_address(cloud: Cloud, clone) -> str:
    """Return the address that a vm was cloned with; it need not boot for that."""
    guests = next(host["guests"] for host in cloud.description["hosts"] if host["guests"])
    address = guests.rpartition(".")[0] + ".201"
    nic = {"network": "default", "addresses": [f"{address}/24"], "mac": MAC}
    clone(STATIC, host=cloud.hosts[0], interfaces=[nic])
    return address


def _listed(cloud: Cloud, folder: Path, **options: object) -> dict:
    """Return the variables by host that an inventory with these options lists."""
    source = folder / "asked.maglica.yml"
    options = {"plugin": "maglica.cloud.maglica", "strict": True, **options}
    source.write_text(json.dumps(options))
    output = cloud.run("ansible-inventory", "-i", str(source), "--list")
    return listing.loads(output[output.index("{") :])["_meta"]["hostvars"]


def _address(vm: Result) -> str:
    (address,) = vm["vm"]["interfaces"][0]["addresses"]
    return address


def _by(cloud: Cloud, folder: Path, source: str, name: str) -> str | None:
    config = str(STATE / "maglica.conf")
    found = _listed(cloud, folder, config=config, gather="full", address_sources=[source])
    return found[name].get("ansible_host")


@pytest.mark.parametrize("source", ["lease", "agent"])
def test_the_address_of_a_booted_guest(
    cloud: Cloud, booted: Result, tmp_path: Path, source: str
) -> None:
    # A guest's agent is among the last that start.
    deadline = time.monotonic() + 240
    while _by(cloud, tmp_path, source, NAME) != _address(booted):
        assert time.monotonic() < deadline, source


@pytest.fixture
def neighbour(cloud: Cloud, booted: Result) -> Iterator[None]:
    """Have the guest in its host's ARP table, in the part of it that libvirt can read.

    libvirt 9.0 (Debian 12) reads one message, 4 KiB, of the kernel's answer, and takes the mark at
    its end, which kernels since 6.8 put into that same message, for a broken entry. So the table is
    filled up with others that come after the guest.
    """
    try:
        cloud.ssh(cloud.hosts[0], LONG_TABLE.format(address=_address(booted)))
        yield
    finally:
        cloud.ssh(cloud.hosts[0], "ip neigh flush dev virbr0 nud permanent")


def test_the_address_in_the_host_s_arp_table(
    cloud: Cloud, booted: Result, neighbour: None, tmp_path: Path
) -> None:
    assert _by(cloud, tmp_path, "arp", NAME) == _address(booted)


def test_the_address_that_was_recorded(cloud: Cloud, static_address: str, tmp_path: Path) -> None:
    assert _by(cloud, tmp_path, "recorded", STATIC) == static_address


@pytest.fixture
def by_ssh(cloud: Cloud, tmp_path: Path) -> dict[str, str]:
    """Return URIs of the hosts by ssh, which reads the cloud's own ssh_config."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec ssh -F {STATE}/ssh_config "$@"\n')
    ssh.chmod(0o755)
    return {host: f"qemu+ssh://root@{host}/system?command={ssh}" for host in cloud.hosts}


def test_the_inventory_by_ssh(
    cloud: Cloud, booted: Result, by_ssh: dict[str, str], tmp_path: Path
) -> None:
    hosts = [{"name": host, "uri": uri} for host, uri in by_ssh.items()]
    found = _listed(cloud, tmp_path, hosts=hosts, on_host_error="fail", host_timeout=20)
    assert found[NAME]["ansible_host"] == _address(booted)
    assert found[NAME]["maglica_host"] == cloud.hosts[0]


def test_the_module_by_ssh(
    cloud: Cloud, booted: Result, by_ssh: dict[str, str], tmp_path: Path
) -> None:
    lines = (STATE / "maglica.conf").read_text().replace("= library.key", f"= {STATE}/library.key")
    uris = iter(by_ssh.values())
    config = tmp_path / "maglica.conf"
    config.write_text(
        "\n".join(
            f"uri = {next(uris)}" if line.startswith("uri = ") else line
            for line in lines.splitlines()
        )
    )
    again = cloud.vm(NAME, image=IMAGE, config=str(config))
    assert again.status == "SUCCESS", again.output
    assert again["vm"]["uuid"] == booted["vm"]["uuid"]
