# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role libvirtd on a host with libvirt, a pool and a network that run already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.cloud import STATE, Cloud

POOLS = [{"name": f"more{n}", "path": f"/srv/more{n}", "mode": "0711"} for n in (0, 1)]
NETWORKS = [
    {"name": "more0", "mode": "isolated"},
    {
        **{"name": "more1", "mode": "nat", "address": "10.250.7.1/24"},
        "dhcp": {"start": "10.250.7.10", "end": "10.250.7.99"},
    },
]
PLAY = {
    "hosts": "maglica_hosts",
    "gather_facts": False,
    "roles": [{"role": "maglica.cloud.libvirtd"}],
    "vars": {
        "libvirtd_pools": [{"name": "default"}, {"name": "theirs", "optional": True}, *POOLS],
        "libvirtd_networks": [{"name": "default"}, *NETWORKS],
        "libvirtd_users": ["nobody"],
    },
}
THEIRS = "mkdir /srv/theirs && virsh pool-define-as theirs dir --target /srv/theirs"
REMOVE = """
virsh pool-undefine theirs
for pool in more0 more1; do virsh pool-destroy $pool; virsh pool-undefine $pool; done
for network in more0 more1; do virsh net-destroy $network; virsh net-undefine $network; done
rm -rf /srv/more0 /srv/more1 /srv/theirs
gpasswd -d nobody libvirt
true
"""
THERE = "virsh pool-list --all; virsh net-list --all; id nobody"


@pytest.fixture
def host(cloud: Cloud) -> Iterator[str]:
    # It knows what others have taken back since it was deployed.
    inventory = str(STATE / "hosts.yml")
    cloud.run("ansible-playbook", "maglica.cloud.deploy", "-i", inventory, "-l", cloud.hosts[0])
    cloud.ssh(cloud.hosts[0], THEIRS)
    yield cloud.hosts[0]
    cloud.ssh(cloud.hosts[0], REMOVE)


def test_what_is_lacking_is_shown_then_made_and_the_rest_is_left(
    cloud: Cloud, host: str, tmp_path: Path
) -> None:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([PLAY]))

    def play(*options: str) -> tuple[int, str]:
        told = cloud.run(
            *("ansible-playbook", str(tmp_path / "play.yml"), "-i", str(STATE / "hosts.yml")),
            *("--limit", host, "--diff", *options),
        )
        changed, failed = re.findall(r"changed=(\d+) .*failed=(\d+)", told)[0]
        assert failed == "0", told
        return int(changed), told

    cloud.ssh(host, "virsh list")
    before = cloud.ssh(host, THERE)
    changed, told = play("--check")
    assert changed
    for shown in ("<path>/srv/more0</path>", "+  <name>more1</name>", "+active: yes"):
        assert shown in told
    assert cloud.ssh(host, THERE) == before
    # What check mode foresaw: pools, networks and users, no more.
    assert play()[0] == changed == 3
    for line in (
        "theirs +inactive",
        "more0 +active +yes",
        "more1 +active +yes +yes",
        "default +active",
    ):
        assert re.search(line, cloud.ssh(host, THERE))
    assert "(libvirt)" in cloud.ssh(host, "id nobody")
    assert play()[0] == 0
