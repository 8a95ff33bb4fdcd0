# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that the hosts have fetched is cloned, and cloud-init makes the clone its own guest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import inside
from support.cloud import FETCHED, STATE, Cloud, Result

NAME = "fetched0.example.jp"
SIZE_GIB = 3
USER = {
    "name": "alice",
    "sudo": "ALL=(ALL) NOPASSWD:ALL",
    "shell": "/bin/bash",
    "groups": ["adm"],
}


@pytest.fixture(scope="module")
def static(cloud: Cloud) -> list[str]:
    """Return addresses of both families; that of IPv6 is for documents, RFC 3849."""
    guests = next(host["guests"] for host in cloud.description["hosts"])
    return [f"{guests.rpartition('.')[0]}.202/24", "2001:db8:51::20/64"]


@pytest.fixture(scope="module")
def made(cloud: Cloud, static: list[str]) -> Iterator[Result]:
    result = cloud.vm(
        NAME,
        image=FETCHED,
        host=cloud.hosts[0],
        disk_size=f"{SIZE_GIB}GiB",
        interfaces=[{"network": "default"}, {"network": "default", "addresses": static}],
        user={**USER, "ssh_authorized_keys": [cloud.public_key]},
        ssh_authorized_keys=[],
    )
    assert result.status == "CHANGED", result.output
    yield result
    removed = cloud.vm(NAME, state="absent")
    assert removed.status == "CHANGED", removed.output


@pytest.fixture(scope="module")
def look(
    made: Result, static: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("ssh")
    address = static[0].partition("/")[0]
    return inside.look(inside.by_ssh(STATE, folder, made["vm"], f"alice@{address}"))


def test_by_cloud_init_and_without_an_appliance(cloud: Cloud, made: Result) -> None:
    assert made["vm"]["customize"] == "cloud-init"
    log = cloud.ssh(cloud.hosts[0], "journalctl -q -o cat -u maglica-host-worker")
    assert f"guest needs an appliance: key={made['request']['id']}" not in log


def test_the_lease_bears_its_name(cloud: Cloud, made: Result, look: dict[str, Any]) -> None:
    lease = cloud.lease(cloud.hosts[0], NAME)
    assert lease is not None
    mac = made["vm"]["interfaces"][0]["mac"]
    assert look["addresses"][mac] == [f"{lease['ipaddr']}/{lease['prefix']}"]


def test_it_is_the_guest_that_was_asked_for(
    made: Result, look: dict[str, Any], static: list[str]
) -> None:
    vm = made["vm"]
    assert (look["user"], look["sudo"]) == ("alice", "root")
    assert (look["hostname"], look["fqdn"]) == (NAME, NAME)
    assert look["machine_id"] == vm["uuid"].replace("-", "")
    assert look["addresses"][vm["interfaces"][1]["mac"]] == sorted(static)
    assert look["root_bytes"] > (SIZE_GIB << 30) * 0.8
    assert set(look["host_keys"]) == {" ".join(key.split()[:2]) for key in vm["ssh_host_keys"]}
    assert (look["running"], look["failed"], look["cloud_init"]) == ("running", "", "done")
