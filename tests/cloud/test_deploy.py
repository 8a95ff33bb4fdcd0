# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that deployed the cloud, run again for one host only; the services it has made."""

from __future__ import annotations

import re

from support.cloud import CHECKOUT, STATE, Cloud

NEW_KEY = """
cd /etc/maglica && rm host_worker.key host_worker.pub
exec python3 /usr/local/lib/maglica/current/maglica/run.py maglica.wire.keys $PWD/host_worker.key
"""


def deploy(cloud: Cloud, host: str) -> int:
    """Deploy to one host; return how many tasks changed something."""
    output = cloud.run(
        *("ansible-playbook", str(CHECKOUT / "playbooks/deploy.yml")),
        *("-i", str(STATE / "hosts.yml"), "--limit", host),
    )
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) .*failed=(\d+)", output, re.MULTILINE)
    assert [(name, failed) for name, _changed, failed in recap] == [(host, "0")], output
    return int(recap[0][1])


def test_what_a_run_that_failed_has_left_is_put_right_by_the_next(cloud: Cloud) -> None:
    """It has made a new key, and failed before it restarted the worker."""
    host = cloud.hosts[1]
    key = cloud.ssh(host, NEW_KEY)
    assert deploy(cloud, host)
    cloud.wait_alive(host, alive=True)
    assert f"host {host} {key}" in cloud.ssh(cloud.client, "cat /etc/maglica/access").splitlines()
    assert deploy(cloud, host) == 0


def test_systemd_watches_over_the_workers(cloud: Cloud) -> None:
    for machine, unit in (
        (cloud.client, "maglica-client-worker"),
        *((host, "maglica-host-worker") for host in cloud.hosts),
    ):
        shown = cloud.ssh(machine, f"systemctl show -P WatchdogUSec -P ActiveState {unit}")
        assert sorted(shown.split()) == ["2min", "active"]
