# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many vms at once, by one task and by a group with forks: spread over the hosts, none made twice,
nothing left after their removal."""

from __future__ import annotations

import json
from collections import Counter

from support.cloud import CHECKOUT, IMAGE, Cloud

COUNT = 20
FORKS = 6
PATTERN = "many%02d.example.jp"
PLAYBOOK = CHECKOUT / "tests/cloud/many.yml"


def _there(cloud: Cloud) -> Counter[str]:
    """Return how many of the vms are on each host."""
    return Counter({host: len(_names(cloud, host)) for host in cloud.hosts})


def _memory(cloud: Cloud) -> tuple[Counter[str], int]:
    """Return the memory of each host's vms, those of others too, and of one of them; in MiB."""
    vms = cloud.module("maglica_vm_info", name=["*"])["vms"]
    where: Counter[str] = Counter()
    for vm in vms:
        where[vm["host"]] += vm["memory_mib"]
    return where, max(vm["memory_mib"] for vm in vms if vm["name"].startswith("many"))


def _names(cloud: Cloud, host: str) -> set[str]:
    return {name for name in cloud.domains(host) if name.startswith("many")}


def _changed(cloud: Cloud, **arguments: object) -> list[str]:
    """Bring the vms of the pattern to a state; return the names of those that have changed."""
    result = cloud.module("maglica_vms", name=PATTERN, image=IMAGE, **arguments)
    assert result.status in ("CHANGED", "SUCCESS"), result.output
    return [vm["name"] for vm in result["vms"] + result["removed"] if vm["changed"]]


def test_twenty_by_one_task(cloud: Cloud, nothing_left) -> None:
    names = [PATTERN % number for number in range(1, COUNT + 1)]
    try:
        assert _changed(cloud, count=COUNT, state="stopped") == names
        assert sum(_there(cloud).values()) == COUNT
        memory, largest = _memory(cloud)
        assert max(memory.values()) - min(memory.values()) <= largest, memory
        macs = [
            mac
            for host in cloud.hosts
            for name in _names(cloud, host)
            for mac in cloud.macs(host, name)
        ]
        assert len(set(macs)) == COUNT
        assert _changed(cloud, count=COUNT, state="stopped") == []
        # One is lost: it is made again.
        assert cloud.vm(names[6], state="absent").status == "CHANGED"
        assert _changed(cloud, count=COUNT, state="stopped") == [names[6]]
        assert _changed(cloud, exact_count=COUNT - 5, state="stopped") == names[-5:]
        assert sum(_there(cloud).values()) == COUNT - 5
    finally:
        _changed(cloud, state="absent")
    assert sum(_there(cloud).values()) == 0


def test_what_does_not_fit_is_not_begun(cloud: Cloud, nothing_left) -> None:
    wanted = {"name": PATTERN, "count": COUNT, "image": IMAGE, "memory": 1 << 14}
    for options in ((), ("--check",)):
        result = cloud.module("maglica_vms", *options, **wanted)
        assert result.status == "FAILED!"
        assert result["code"] == "no_room"
        assert "16384 MiB of memory needed" in result["msg"]
    assert sum(_there(cloud).values()) == 0


def test_a_group_with_forks(cloud: Cloud, nothing_left) -> None:
    try:
        assert "changed=0" not in _play(cloud, "stopped").splitlines()[-2]
        where = _there(cloud)
        assert sum(where.values()) == FORKS
        assert max(where.values()) - min(where.values()) <= 2, where
        assert "changed=0" in _play(cloud, "stopped").splitlines()[-2]
    finally:
        _play(cloud, "absent")


def _play(cloud: Cloud, state: str) -> str:
    return cloud.run(
        *("ansible-playbook", "-f", str(FORKS), str(PLAYBOOK)),
        *("-e", json.dumps({"count": FORKS, "state": state})),
    )
