# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade the running test cloud from an earlier version, with 200 requests in flight, and count.

``python -m bench.upgrade`` in tests/ puts the workers of OLD on the cloud that `make cloud` brought
up, keeps 200 requests open, and runs the playbook maglica.cloud.upgrade of this checkout. What it
finds goes to build/figures/deploy.json and docs/performance-deploy.md. OLD comes from the history
of this repository. The cloud's own journals, which OLD can't read, are put aside meanwhile.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import deploy_figures
from bench.load import IN_FLIGHT, PATIENCE, Load
from maglica.config import config
from maglica.wire.client import Client
from support.cloud import CHECKOUT, STATE, Cloud
from support.figures import Figure, at_least, at_most, reported
from support.run import run, step

OLD = "fe03b27"
FOLDER = CHECKOUT / "build" / "upgrade"


def old_checkout() -> None:
    """Have the old collection in a folder, as one that was installed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    links = FOLDER / ".collections/ansible_collections/maglica"
    links.mkdir(parents=True)
    (links / "cloud").symlink_to("../../..")
    parts = ["plugins", "roles", "playbooks", "meta", "galaxy.yml", "ansible.cfg"]
    archive = FOLDER / "old.tar"
    run("git", "archive", "--output", archive, OLD, *parts, cwd=CHECKOUT)
    run("tar", "-x", "-f", archive, "-C", FOLDER)


@contextmanager
def journals_aside(cloud: Cloud) -> Iterator[None]:
    """Let the workers begin with new journals, and have their own back in the end."""
    # Whatever happens, the next `make cloud` deploys anew.
    (STATE / "deployed").unlink(missing_ok=True)
    machines = {cloud.client: "maglica-client-worker"}
    machines |= dict.fromkeys(cloud.hosts, "maglica-host-worker")
    for machine, unit in machines.items():
        folder = f"/var/lib/{unit}"
        cloud.ssh(
            machine, f"systemctl stop {unit}; test -e {folder}.aside || mv {folder}{{,.aside}}"
        )
    yield
    for machine, unit in machines.items():
        folder = f"/var/lib/{unit}"
        back = f"rm -r {folder} && mv {folder}{{.aside,}}"
        cloud.ssh(machine, f"systemctl stop {unit} && {back} && systemctl start {unit}")


def play(cloud: Cloud, folder: object, name: str, *options: str) -> str:
    """Run a playbook of the collection in that folder, and return what it says."""
    words = ("-i", str(STATE / "hosts.yml"), *options)
    command = f'cd "$0" && exec ansible-playbook playbooks/{name}.yml "$@"'
    return cloud.run("sh", "-c", command, str(folder), *words, timeout=PATIENCE)


def figures() -> list[Figure]:
    cloud = Cloud.load()
    old_checkout()
    with journals_aside(cloud):
        return measured(cloud)


def measured(cloud: Cloud) -> list[Figure]:
    with step(f"deploying {OLD}"):
        play(cloud, FOLDER, "deploy")
    with Client(config.load(str(STATE / "maglica.conf"))) as client:
        assert client.overview()[0] is None, "the client worker is not the old one"
        load = Load(client)
        try:
            with step(f"upgrading with {IN_FLIGHT} requests in flight"), load:
                begun = time.monotonic()
                said = play(cloud, CHECKOUT, "upgrade")
                seconds = time.monotonic() - begun
            (FOLDER / "upgrade.log").write_text(said)
            with step(f"waiting for {len(load.accepted)} requests"):
                lost = load.lost(cloud)
            itself, hosts = client.overview()
            versions = {
                itself.version if itself else None,
                *(each.worker_version for each in hosts),
            }
        finally:
            with step("removing the vms"):
                load.remove(cloud.hosts)
    print("\n".join(lost))
    how = f"from {OLD}, of {len(load.accepted)} accepted meanwhile"
    return [
        at_most("upgrade under load: requests lost", len(lost), 0, how),
        at_least(
            "upgrade under load: requests in flight at least, all the time", load.least_open, 1, how
        ),
        at_most(
            "upgrade under load: versions that run afterwards",
            len(versions),
            1,
            ", ".join(map(str, versions)),
        ),
        reported("upgrade under load: seconds", seconds, f"client worker and {len(hosts)} hosts"),
    ]


def main() -> int:
    return deploy_figures.record(figures())


if __name__ == "__main__":
    sys.exit(main())
