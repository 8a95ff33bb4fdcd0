# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user of the test cloud waits for: whole processes of Ansible, and two real hosts."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from maglica.config import config
from maglica.model.request import Request
from maglica.wire.client import Client
from support.cloud import STATE, Cloud
from support.figures import Figure, at_most, reported

from .clone_rig import IMAGE, MEMORY_MIB

MANY = 100
ROUNDS = 5
NAMES = "bench%03d.example.jp"


def ansible(cloud: Cloud, module: str, **arguments: Any) -> float:
    """Run a module on localhost, as a user does; return the seconds of the whole process."""
    begun = time.perf_counter()
    words = ["-a", json.dumps(arguments)] if arguments else []
    cloud.run("ansible", "localhost", "-m", module, *words)
    return time.perf_counter() - begun


def figures() -> list[Figure]:
    """Warm both hosts up, measure, and remove all vms that were made."""
    cloud = Cloud.load()
    vms = [{"name": f"warm{n}.example.jp", "host": f"kvm{n}.example.jp"} for n in range(2)]
    common = {"image": IMAGE, "memory": MEMORY_MIB, "state": "stopped"}
    try:
        ansible(cloud, "maglica_vms", vms=vms, **common)
        return [*one(cloud, common), *many(cloud, common)]
    finally:
        for pattern in ("warm%d.example.jp", "one%d.example.jp", NAMES):
            ansible(cloud, "maglica_vms", name=pattern, state="absent")


def one(cloud: Cloud, common: dict[str, Any]) -> list[Figure]:
    """Compare a task that makes one vm with one that does nothing."""
    pairs = [
        (
            ansible(cloud, "ping"),
            ansible(cloud, "maglica_vm", name=f"one{number}.example.jp", **common),
        )
        for number in range(ROUNDS)
    ]
    extra = statistics.median(own - empty for empty, own in pairs)
    empty, own = (statistics.median(column) for column in zip(*pairs))
    how = f"whole processes, {own:.2f} s against {empty:.2f} s, {ROUNDS} turns"
    return [
        at_most("ansible -m maglica_vm for one, over ansible -m ping: seconds", extra, 0.6, how)
    ]


def many(cloud: Cloud, common: dict[str, Any]) -> list[Figure]:
    """Make a hundred in one task, on two hosts."""
    begun = time.time()
    seconds = ansible(cloud, "maglica_vms", name=NAMES, count=MANY, **common)
    with Client(config.load(STATE / "maglica.conf")) as client:
        requests = [each for each in client.list(limit=MANY) if each.created >= begun]
    how = f"the whole process of ansible, two hosts; {shares(requests, begun)}"
    name = f"maglica_vms with {MANY} vms, to all defined: seconds"
    return [
        at_most(name, seconds, 10, how),
        reported(f"{name} since it began, by the requests", last(requests) - begun, how),
    ]


def last(requests: Sequence[Request]) -> float:
    return max(request.updated for request in requests)


def shares(requests: Sequence[Request], begun: float) -> str:
    """Say what the time went into; the phases are a batch's, and two hosts work at once."""
    accepted = min(request.created for request in requests) - begun
    spent: dict[str, float] = {}
    for host in {request.host for request in requests}:
        seen = {
            (phase.name, phase.seconds)
            for request in requests
            if request.host == host
            for phase in request.phases
        }
        for name, seconds in seen:
            spent[name] = max(spent.get(name, 0), seconds)
    phases = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in spent.items())
    return f"until accepted {accepted:.2f} s, then at the slower host {phases}"


if __name__ == "__main__":
    for figure in figures():
        sys.stdout.write(f"{figure}\n")
