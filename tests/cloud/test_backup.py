# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker is backed up, its machine is lost, and it is restored on what is a bare one."""

from __future__ import annotations

import re
from pathlib import Path

from maglica.config import config
from maglica.wire.client import Client
from support.cloud import CHECKOUT, STATE, Cloud

# All that the client worker's machine has of it.
LOSE = """
systemctl disable --now maglica-client-worker
rm -rf /etc/systemd/system/maglica-client-worker.service /var/lib/maglica-client-worker /etc/maglica
systemctl daemon-reload
userdel maglica
rm -rf /usr/local/lib/maglica
"""


def play(cloud: Cloud, name: str, *options: str) -> tuple[str, int]:
    """Run a playbook; return what it printed and how many tasks changed something."""
    output = cloud.run(
        *("ansible-playbook", str(CHECKOUT / "playbooks" / f"{name}.yml")),
        *("-i", str(STATE / "hosts.yml"), *options),
    )
    recap = re.findall(rf"^{cloud.client} +: ok=\d+ +changed=(\d+) ", output, re.MULTILINE)
    return output, int(recap[0])


def requests(cloud: Cloud) -> set[str]:
    with Client(config.load(STATE / "maglica.conf")) as client:
        return {request.id for request in client.list(limit=1000)}


def test_a_lost_machine_is_restored(cloud: Cloud, tmp_path: Path) -> None:
    backup = tmp_path / "backups" / "backup.tar.gz"
    output, changed = play(cloud, "backup", "-e", f"backup_file={backup}", "--check")
    assert changed and f"would be copied to {backup}" in " ".join(output.split())
    assert not backup.parent.exists()
    play(cloud, "backup", "-e", f"backup_file={backup}")
    assert [path.name for path in backup.parent.iterdir()] == [backup.name]
    assert (backup.parent.stat().st_mode & 0o777, backup.stat().st_mode & 0o777) == (0o700, 0o600)
    before, access = requests(cloud), cloud.ssh(cloud.client, "cat /etc/maglica/access")
    cloud.ssh(cloud.client, LOSE)
    play(cloud, "restore", "-e", f"restore_file={backup}", "--check")
    output, _changed = play(cloud, "restore", "-e", f"restore_file={backup}")
    assert "run maglica.cloud.deploy" not in output
    for host in cloud.hosts:
        cloud.wait_alive(host, alive=True)
    assert requests(cloud) >= before
    assert cloud.ssh(cloud.client, "cat /etc/maglica/access") == access
    assert play(cloud, "deploy", "--limit", cloud.client)[1] == 0
    assert "maglica-backup." not in cloud.ssh(cloud.client, "ls /var/tmp")
