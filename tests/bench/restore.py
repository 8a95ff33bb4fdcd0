# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lose the client worker's machine, with 200 requests in flight, and restore it on another one.

``python -m bench.restore`` in tests/ makes a backup on the cloud that `make cloud` brought up,
deletes all that the machine has of the client worker, and restores that on the last of the hosts;
then it goes back in the same way. What it finds goes to build/figures/deploy.json and
docs/performance-deploy.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from bench import deploy_figures
from bench.load import PATIENCE, Load
from maglica.config import config
from maglica.wire.client import Client
from support.cloud import CHECKOUT, STATE, Cloud
from support.figures import Figure, at_most, reported
from support.run import step

WORKER_GROUP = "maglica_client_worker"
# The host worker of the same machine, if it has one, stays.
LOSE = """
systemctl kill --signal KILL maglica-client-worker
systemctl disable --quiet --now maglica-client-worker
cd /etc/maglica && rm -rf ca access access.d client_worker*
rm -rf /etc/systemd/system/maglica-client-worker.service /var/lib/maglica-client-worker
systemctl daemon-reload
userdel maglica
"""


def elsewhere(inventory: dict[str, Any], machine: str) -> dict[str, Any]:
    """Return the inventory with the client worker on one of the hosts."""
    groups = inventory["all"]["children"]
    there = {"hosts": {machine: groups["maglica_hosts"]["hosts"][machine]}}
    moved = {**groups, WORKER_GROUP: {**groups[WORKER_GROUP], **there}}
    return {"all": {**inventory["all"], "children": moved}}


def play(cloud: Cloud, inventory: Path, name: str, *options: str) -> None:
    playbook = str(CHECKOUT / "playbooks" / f"{name}.yml")
    command = ("ansible-playbook", playbook, "-i", str(inventory), *options)
    cloud.run(*command, timeout=PATIENCE)


def connected() -> Client:
    """Return a client of the client worker where it is now."""
    return Client(config.load(str(STATE / "maglica.conf")))


def restore(cloud: Cloud, inventory: Path, backup: Path) -> float:
    """Restore the client worker as the inventory says, and tell all; return the seconds."""
    began = time.monotonic()
    play(cloud, inventory, "restore", "-e", f"restore_file={backup}")
    play(cloud, inventory, "deploy")
    return time.monotonic() - began


def figures() -> list[Figure]:
    cloud = Cloud.load()
    spare = cloud.hosts[-1]
    here = STATE / "hosts.yml"
    # Whatever happens, the next `make cloud` deploys anew.
    (STATE / "deployed").unlink(missing_ok=True)
    with connected() as client, tempfile.TemporaryDirectory() as name:
        load = Load(client)
        there = Path(name) / "hosts.yml"
        there.write_text(yaml.safe_dump(elsewhere(yaml.safe_load(here.read_text()), spare)))
        try:
            return measured(cloud, load, here, there)
        finally:
            with step("removing the vms"), connected() as load.client:
                load.remove(cloud.hosts)


def measured(cloud: Cloud, load: Load, here: Path, there: Path) -> list[Figure]:
    spare = cloud.hosts[-1]
    backups = there.with_name("there.tar.gz"), there.with_name("back.tar.gz")
    with load:
        with step("making a backup under load"):
            before = set(load.accepted)
            play(cloud, here, "backup", "-e", f"backup_file={backups[0]}")
        cloud.ssh(cloud.client, LOSE)
    with step(f"restoring on {spare}"):
        seconds = restore(cloud, there, backups[0])
    lost = _lost(cloud, load, before)
    after = _known(set(load.accepted) - before)
    play(cloud, there, "backup", "-e", f"backup_file={backups[1]}")
    cloud.ssh(spare, LOSE)
    with step(f"restoring on {cloud.client}"):
        back = restore(cloud, here, backups[1])
    lost_again = _lost(cloud, load, before)
    how = f"of the {len(before)} that were accepted before the backup began"
    return [
        at_most("lost machine: requests lost", lost, 0, how),
        at_most(
            "lost machine: requests lost when that happens once more", lost_again, 0, "the same"
        ),
        reported(
            "lost machine: requests known again that were accepted since the backup began", *after
        ),
        reported(
            "lost machine: seconds to restore on another one",
            seconds,
            "restore, and deploy for two hosts",
        ),
        reported("lost machine: seconds to restore where it was", back, "the same way back"),
    ]


def _lost(cloud: Cloud, load: Load, ids: Collection[str]) -> int:
    with step(f"waiting for {len(ids)} requests"), connected() as load.client:
        lost = load.lost(cloud, ids)
    print("\n".join(lost))
    return len(lost)


def _known(ids: set[str]) -> tuple[int, str]:
    with connected() as client:
        return len(ids & {each.id for each in client.list(limit=100_000)}), f"of {len(ids)}"


def main() -> int:
    return deploy_figures.record(figures())


if __name__ == "__main__":
    sys.exit(main())
