# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is not root deploys the cloud as admin with sudo on its machines, and uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cloud import FETCHED, Cloud
from support.plain_user import ADMIN, PlainUser, make_admin, remove_admin

VM = "ordinary0.example.jp"
# All that is on a worker's machine, with its owner and mode.
LOOK = (
    "find /etc/maglica /usr/local/lib/maglica /var/lib/maglica-client-worker"
    " /var/lib/maglica-host-worker /etc/systemd/system -maxdepth 1 ! -name '*.sqlite-*'"
    " -printf '%p %u %g %m\\n'"
    " 2> /dev/null | sort"
)

# Who has lost a key gets another certificate; the hosts learn later that the old one is void.
TOLD_LATER = {
    "Write the certificates and what was taken back",
    "Have it read them, and end the connections of who may no longer be let in",
}
# The account was not there when root has deployed.
FOR_ADMIN = {"Let users use libvirt"}


@pytest.fixture(scope="module")
def users(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PlainUser, PlainUser]]:
    """Return two users of this machine; nothing of them is left."""

    def user(name: str) -> PlainUser:
        home: Path = tmp_path_factory.mktemp(name)
        return PlainUser(cloud, name, home)

    both = user("nobody"), user("games")
    make_admin(cloud, "".join(each.public_key for each in both))
    yield both
    for each in both:
        each.forget()
    remove_admin(cloud)


def changes(output: str) -> dict[str, int]:
    """Return how many tasks changed something on each machine, none of which failed."""
    recap = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+) .*failed=(\d+)", output, re.MULTILINE)
    assert recap, output
    assert {failed for _name, _changed, failed in recap} == {"0"}, output
    return {name: int(changed) for name, changed, _failed in recap}


def changed_on_machines(output: str) -> set[str]:
    """Return the names of the tasks that changed something on another machine than this one."""
    tasks, task = set(), ""
    for line in output.splitlines():
        if line.startswith("TASK ["):
            task = line.rpartition("]")[0].rpartition(" : ")[2]
        elif line.startswith("changed: [") and not line.startswith("changed: [localhost"):
            tasks.add(task)
    return tasks


@pytest.mark.parametrize(
    ("options", "variables"),
    [((), {}), (("-b",), {}), ((), {"ansible_become": True})],
    ids=["neither", "-b", "ansible_become"],
)
def test_however_it_is_asked_for_the_files_are_the_same_and_their_owners(
    cloud: Cloud,
    users: tuple[PlainUser, PlainUser],
    options: tuple[str, ...],
    variables: dict[str, Any],
) -> None:
    """Root has deployed before: on the machines nothing is left to change."""
    user = users[0]
    user.forget()
    user.inventory(**variables)
    machines = (cloud.client, *cloud.hosts)
    before = {machine: cloud.ssh(machine, LOOK) for machine in machines}

    status, output = user.deploy(*options)
    assert status == 0, output
    found = changes(output)
    assert found.pop("localhost")
    assert found[cloud.client] == 0, output
    assert changed_on_machines(output) <= TOLD_LATER | FOR_ADMIN, output
    for host in cloud.hosts:
        assert "libvirt" in cloud.ssh(host, f"id -nG {ADMIN}").split()
    assert user.made() == {
        ".config/maglica/library.key": (user.name, 0o600),
        ".config/maglica/library.pub": (user.name, 0o644),
        ".config/maglica/maglica.conf": (user.name, 0o644),
        ".config/maglica/pki": (user.name, 0o755),
        ".config/maglica/pki/cacert.pem": (user.name, 0o644),
        ".config/maglica/pki/cacrl.pem": (user.name, 0o644),
        ".config/maglica/pki/clientcert.pem": (user.name, 0o644),
        ".config/maglica/pki/clientkey.pem": (user.name, 0o600),
        ".local/bin/maglica": (user.name, 0o755),
    }
    assert {machine: cloud.ssh(machine, LOOK) for machine in machines} == before


def test_check_mode_makes_nothing_and_the_second_run_changes_nothing(
    users: tuple[PlainUser, PlainUser],
) -> None:
    user = users[0]
    user.inventory()
    for _turn in range(2):
        status, output = user.deploy()
        assert status == 0, output
    assert set(changes(output).values()) == {0}, output
    user.forget()
    status, output = user.deploy("--check")
    assert status == 0, output
    assert changes(output)["localhost"]
    assert user.made() == {}


def test_extra_variables_that_win_stop_the_play_with_a_clear_line(
    users: tuple[PlainUser, PlainUser],
) -> None:
    for extra, told in (
        ("ansible_become=false", "run as admin, and have to run as root"),
        ("ansible_become=true", "ansible_become is given as an extra variable"),
    ):
        status, output = users[0].deploy("-e", extra)
        assert status
        assert told in " ".join(output.split())


def test_a_second_user_has_a_key_of_its_own_and_takes_nobody_s(
    cloud: Cloud, users: tuple[PlainUser, PlainUser]
) -> None:
    for user in users:
        user.inventory()
        status, output = user.deploy()
        assert status == 0, output
    access = cloud.ssh(cloud.client, "cat /etc/maglica/access")
    for user in users:
        assert access.count(f"client {user.name}@") == 1
        status, output = user.run(".local/bin/maglica", "host", "list")
        assert status == 0, output
        assert all(host in output for host in cloud.hosts)


def test_the_collection_is_used_without_root_and_without_saying_where(
    cloud: Cloud, users: tuple[PlainUser, PlainUser]
) -> None:
    user = users[0]
    user.inventory()
    assert user.deploy()[0] == 0
    task = ("localhost", "-m", "maglica.cloud.maglica_vm", "-a")
    try:
        made = user.ansible("adhoc", *task, f"name={VM} image={FETCHED} state=stopped")
        assert made[0] == 0, made[1]
        assert "CHANGED" in made[1]
        listed = user.ansible("inventory", "-i", "maglica.yml", "--list")
        assert VM in listed[1], listed[1]
    finally:
        removed = user.ansible("adhoc", *task, f"name={VM} state=absent")
    assert removed[0] == 0, removed[1]
    assert VM not in {name for host in cloud.hosts for name in cloud.domains(host)}
