# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hook between the test cloud and what it is for: the workers, deployed by the playbook."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.run import CloudError, run, say, step
from testbed import machines
from testbed.layout import Host, Layout


def deploy(cloud: Layout) -> None:
    """Deploy the workers with the collection's own roles.

    What runs already, from the same files, is left alone.
    """
    mark = cloud.state / "deployed"
    digest = _digest(cloud.checkout)
    if mark.exists() and mark.read_text() == digest and _workers_run(cloud):
        say("the workers run, and what deploys them has not changed")
        return
    with step("deploying the workers"):
        log = run(
            *(cloud.build / "venv/bin/ansible-playbook", "playbooks/deploy.yml"),
            *("-i", cloud.state / "hosts.yml"),
            cwd=cloud.checkout,
            timeout=900,
        )
        (cloud.state / "deploy.log").write_text(log)
    mark.write_text(digest)


def _digest(checkout: Path) -> str:
    digest = hashlib.sha256()
    for folder in ("playbooks", "roles", "plugins/module_utils", "plugins/modules"):
        for path in sorted((checkout / folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _workers_run(cloud: Layout) -> bool:
    def runs(host: Host) -> bool:
        try:
            machines.ssh(cloud, host.name, "systemctl", "is-active", "'maglica-*'", timeout=30)
        except CloudError:
            return False
        return True

    with ThreadPoolExecutor() as pool:
        return all(pool.map(runs, cloud.hosts))
