# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a task's start until a new guest's SSH answers, beside the same guest started by libvirt.

That one was made before, with a seed like the other's, and has not been started yet. On a host of
the test cloud, in turns.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time

import libvirt
from support.cloud import FETCHED, Cloud
from support.figures import Figure, at_most

from .clone_cloud import ansible

# A boot without KVM takes two seconds more or less by itself.
TURNS = 6
MEMORY_MIB = 512
PATIENCE = 600.0


def figures() -> list[Figure]:
    cloud = Cloud.load()
    host = cloud.hosts[0]
    pairs = []
    try:
        # The base is there, and the image's first look is over.
        _task(cloud, host, "warm0", "stopped")
        _remove(cloud, "warm0")
        for turn in range(TURNS):
            made = by_task(cloud, host, f"task{turn}")
            pairs.append((made, by_libvirt(cloud, host, f"own{turn}")))
    finally:
        for pattern in ("warm%d", "task%d", "own%d"):
            ansible(cloud, "maglica_vms", name=f"{pattern}.example.jp", state="absent")
        cloud.close()
    ratio = statistics.median(task / own for task, own in pairs)
    task, own = (statistics.median(column) for column in zip(*pairs))
    how = f"{task:.1f} s against {own:.1f} s by virsh start, seed and guest alike, {TURNS} turns"
    what = "ready: from the task's start until SSH answers, cloud-init, times the start alone"
    return [at_most(what, ratio, 1.05, how)]


def by_task(cloud: Cloud, host: str, name: str) -> float:
    """Make a vm by a task; return the seconds from the task's start until its SSH answers."""
    begun = time.monotonic()
    task = threading.Thread(target=_task, args=(cloud, host, name, "running"))
    task.start()
    try:
        seconds = answered(cloud, host, name) - begun
    finally:
        task.join()
    _remove(cloud, name)
    return seconds


def by_libvirt(cloud: Cloud, host: str, name: str) -> float:
    """Start a vm that was made before; return the seconds from its start until its SSH answers."""
    _task(cloud, host, name, "stopped")
    begun = time.monotonic()
    cloud.libvirt(host).lookupByName(f"{name}.example.jp").create()
    seconds = answered(cloud, host, name) - begun
    _remove(cloud, name)
    return seconds


def answered(cloud: Cloud, host: str, name: str) -> float:
    """Wait until a vm's SSH has said that it is one; return when that was."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if any(map(_is_ssh, _addresses(cloud, host, f"{name}.example.jp"))):
            return time.monotonic()
        time.sleep(0.1)
    raise SystemExit(f"the SSH of {name} does not answer")


def _addresses(cloud: Cloud, host: str, name: str) -> list[str]:
    """Return what the network's DHCP has given to a vm, which may not be there yet."""
    source = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
    for domain in cloud.libvirt(host).listAllDomains():
        if domain.name() == name and domain.isActive():
            found = domain.interfaceAddresses(source).values()
            return [each["addr"] for nic in found for each in nic["addrs"] or ()]
    return []


def _is_ssh(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _task(cloud: Cloud, host: str, name: str, state: str) -> None:
    wanted = {"image": FETCHED, "host": host, "memory": MEMORY_MIB, "customize": "cloud-init"}
    ansible(cloud, "maglica_vm", name=f"{name}.example.jp", state=state, **wanted)


def _remove(cloud: Cloud, name: str) -> None:
    ansible(cloud, "maglica_vm", name=f"{name}.example.jp", state="absent")
