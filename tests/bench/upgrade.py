# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade the running test cloud from an earlier version, with 200 requests in flight, and count.

``python -m bench.upgrade`` in tests/ puts the workers of OLD on the cloud that `make cloud` brought
up, keeps 200 requests open, and runs the playbook maglica.cloud.upgrade of this checkout. It writes
build/figures/upgrade.json. OLD comes from the history of this repository. The cloud's own journals,
which OLD can't read, are put aside meanwhile.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from maglica.config import config
from maglica.model.errors import PeerSilent
from maglica.model.request import Customize, Request, Spec, State, new_request_id
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs.clone import CloneSpec
from maglica.verbs.release import ReleaseSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.tag import TagSpec
from maglica.wire.client import Client
from support.cloud import CHECKOUT, IMAGE, STATE, Cloud
from support.figures import Figure, at_least, at_most, reported, table, write
from support.run import run, step

OLD = "fe03b27"
IN_FLIGHT = 200
PATIENCE = 1800
FOLDER = CHECKOUT / "build" / "upgrade"


class Load:
    """Keeps a request about each of 200 vms open: its clone, then one tag after the other.

    ``accepted`` has all that the client worker has taken, by id.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._last: dict[str, Request] = {}
        self.accepted: dict[str, Request] = {}
        self.least_open = IN_FLIGHT
        self.vms: dict[str, Domain] = {}

    def __enter__(self) -> Load:
        names = [f"upgrade{number:03d}.example.jp" for number in range(IN_FLIGHT)]
        how = {"memory_mib": 16, "start": False, "customize": Customize.NONE}
        self._submit([CloneSpec(name, IMAGE, **how) for name in names])
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            ended = [each for each in self._ask(self._look) if each.state.ended]
            self.least_open = min(self.least_open, IN_FLIGHT - len(ended))
            self.vms.update((each.name, each.vm) for each in ended if each.vm)
            self._submit(
                [
                    TagSpec(vm.name, vm.uuid, vm.host, (f"turn-{len(self.accepted)}",))
                    for vm in (self.vms.get(each.name) for each in ended)
                    if vm is not None
                ]
            )

    def _look(self) -> tuple[Request, ...]:
        return self._client.status_all([each.id for each in self._last.values()])

    def _submit(self, specs: list[Spec]) -> None:
        requests = [Request(new_request_id(), spec) for spec in specs]
        if requests:
            taken = self._ask(lambda: self._client.submit_all(requests))
            self._last.update((each.name, each) for each in taken)
            self.accepted.update((each.id, each) for each in taken)

    def _ask(self, question: Callable[[], tuple[Request, ...]]) -> tuple[Request, ...]:
        """Ask until there is an answer, with the same ids."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return question()
            except PeerSilent:
                if time.monotonic() > end:
                    raise

    def lost(self, cloud: Cloud) -> list[str]:
        """Wait for all that was accepted; return what is not done, or is not there once."""
        ids = list(self.accepted)
        ended: dict[str, Request] = {}
        for start in range(0, len(ids), 500):
            ended.update(self._client.wait_all(ids[start : start + 500], PATIENCE))
        lost = [
            f"{each.kind} {each.name}: {each.state.value} {each.failure}"
            for each in ended.values()
            if each.state is not State.DONE
        ]
        self.vms.update((each.name, each.vm) for each in ended.values() if each.vm)
        there = [
            domain.UUIDString()
            for host in cloud.hosts
            for domain in cloud.libvirt(host).listAllDomains()
        ]
        clones = [each for each in self.accepted.values() if each.kind == "clone"]
        found = {each.name: there.count(vm_uuid(each.id)) for each in clones}
        return lost + [
            f"{name} is there {times} times" for name, times in found.items() if times != 1
        ]

    def remove(self, hosts: list[str]) -> None:
        """Remove all that was made: the vms, then the bases that they were built upon."""
        requests = [
            Request(new_request_id(), RemoveSpec(vm.name, vm.uuid, vm.host))
            for vm in self.vms.values()
        ]
        taken = self._client.submit_all(requests)
        self._client.wait_all([each.id for each in taken], PATIENCE)
        for host in hosts:
            self._client.wait(self._client.submit(ReleaseSpec(IMAGE, host)).id, PATIENCE)


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
        with step(f"upgrading with {IN_FLIGHT} requests in flight"), Load(client) as load:
            begun = time.monotonic()
            said = play(cloud, CHECKOUT, "upgrade")
            seconds = time.monotonic() - begun
        (FOLDER / "upgrade.log").write_text(said)
        with step(f"waiting for {len(load.accepted)} requests"):
            lost = load.lost(cloud)
        itself, hosts = client.overview()
        versions = {itself.version if itself else None, *(host.worker_version for host in hosts)}
        with step("removing the vms"):
            load.remove(cloud.hosts)
    print("\n".join(lost))
    how = f"from {OLD}, of {len(load.accepted)} accepted meanwhile"
    return [
        at_most("requests lost by an upgrade under load", len(lost), 0, how),
        at_least("requests in flight at least, all the time", load.least_open, 1, how),
        at_most("versions that run afterwards", len(versions), 1, ", ".join(map(str, versions))),
        reported("upgrade under load, s", seconds, f"client worker and {len(hosts)} hosts"),
    ]


def main() -> int:
    found = figures()
    write("upgrade", found)
    print(table(found))
    return 1 if any(figure.met is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
