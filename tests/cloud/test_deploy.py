# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that deployed the cloud, run again for one host only."""

from __future__ import annotations

import re

from support.cloud import CHECKOUT, STATE, Cloud


def test_again_for_one_host_changes_nothing(cloud: Cloud) -> None:
    host = cloud.hosts[1]
    output = cloud.run(
        *("ansible-playbook", str(CHECKOUT / "playbooks/deploy.yml")),
        *("-i", str(STATE / "hosts.yml"), "--limit", host),
    )
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) .*failed=(\d+)", output, re.MULTILINE)
    assert recap == [(host, "0", "0")], output


def test_systemd_watches_over_the_workers(cloud: Cloud) -> None:
    for machine, unit in (
        (cloud.client, "maglica-client-worker"),
        *((host, "maglica-host-worker") for host in cloud.hosts),
    ):
        shown = cloud.ssh(machine, f"systemctl show -P WatchdogUSec -P ActiveState {unit}")
        assert sorted(shown.split()) == ["2min", "active"]
