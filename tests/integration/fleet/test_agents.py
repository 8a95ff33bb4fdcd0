# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest agents that hang cost nothing but their own guests' addresses.

A proxy loses the calls that would wait for these agents: for libvirt's client it is the same.
"""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path

import pytest
from maglica.config.config import HostEntry
from maglica.libvirtd import host_reader
from maglica.model.reported import AddressSource
from support import testdriver
from support.latency import proxied
from support.reading import snapshot
from support.testdriver import Libvirtd

_CHANNEL = """
<channel type='unix'>
  <target type='virtio' name='org.qemu.guest_agent.0'/>
</channel>"""
ORIGINAL = host_reader.AGENT_RUNS.pattern
# REMOTE_PROC_DOMAIN_INTERFACE_ADDRESSES of remote_protocol.x
_INTERFACE_ADDRESSES = 353
TIMEOUT = 8.0


@pytest.fixture(autouse=True)
def agents_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU's driver tells in a live definition whether an agent runs; the test driver does not."""
    monkeypatch.setattr(host_reader, "AGENT_RUNS", re.compile(r"name='org\.qemu\.guest_agent\.0'"))


def test_what_a_live_definition_of_qemu_says() -> None:
    live = "<target type='virtio' name='org.qemu.guest_agent.0' state='{}'/>"
    original = re.compile(ORIGINAL)
    assert original.search(live.format("connected"))
    assert not original.search(live.format("disconnected"))


def _node(folder: Path, hanging: int, working: int) -> tuple[Path, tuple[bytes, ...]]:
    """Write a node with agents; return the UUIDs of those that hang too."""
    names = [f"hangs{number}" for number in range(hanging)]
    identities = {name: uuid.uuid4() for name in names}
    domains = [
        testdriver.domain(
            name, number, identity=str(identities.get(name) or uuid.uuid4()), devices=_CHANNEL
        )
        for number, name in enumerate((*names, *(f"works{number}" for number in range(working))))
    ]
    path = testdriver.node(folder / "agents.xml", domains)
    return path, tuple(identity.bytes for identity in identities.values())


@pytest.mark.alone
def test_agents_that_hang(libvirtd: Libvirtd, folder: Path) -> None:
    path, lost = _node(folder, hanging=6, working=30)
    with proxied(libvirtd.port) as proxy:
        proxy.lost = (_INTERFACE_ADDRESSES, lost)
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{path}")
        started = time.monotonic()
        seen = snapshot([host], TIMEOUT, sources=[AddressSource.AGENT])
        assert time.monotonic() - started < TIMEOUT
    assert seen.unreachable == ()
    with_address = [vm.name for vm in seen.vms if vm.address]
    assert sorted(with_address) == sorted(f"works{number}" for number in range(30))


def test_agents_are_asked_only_where_one_runs(libvirtd: Libvirtd, folder: Path) -> None:
    domains = [testdriver.domain("with", 1, devices=_CHANNEL), testdriver.domain("without", 2)]
    path = testdriver.node(folder / "two.xml", domains)
    with proxied(libvirtd.port) as proxy:
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{path}")
        seen = snapshot([host], sources=[AddressSource.AGENT])
        assert proxy.calls[_INTERFACE_ADDRESSES] == 1
    assert [vm.name for vm in seen.vms if vm.address] == ["with"]


def test_nobody_asks_agents_for_what_a_lease_says(libvirtd: Libvirtd, folder: Path) -> None:
    path = testdriver.node(folder / "one.xml", [testdriver.domain("vm0", 1, devices=_CHANNEL)])
    with proxied(libvirtd.port) as proxy:
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{path}")
        snapshot([host], sources=list(AddressSource))
        assert proxy.calls[_INTERFACE_ADDRESSES] == 1
        assert proxy.connections == 1


def test_an_address_that_means_nothing_outside_the_guest(libvirtd: Libvirtd, folder: Path) -> None:
    domains = [testdriver.domain(name, n, devices=_CHANNEL) for n, name in enumerate("abc")]
    network = "<interface type='network'>"
    domains[1] = domains[1].replace(network, "<interface type='user'>")
    # QEMU's own network beside another one.
    user = "<interface type='user'><mac address='52:54:00:00:99:01'/></interface>"
    domains[2] = domains[2].replace(network, user + network)
    uri = libvirtd.uri(testdriver.node(folder / "user.xml", domains))
    for source in (AddressSource.AGENT, AddressSource.ARP):
        seen = snapshot([HostEntry("kvm0", uri)], sources=[source])
        assert seen.unreachable == seen.problems == ()
        found = {vm.name: [len(nic.addresses) for nic in vm.interfaces] for vm in seen.vms}
        assert found == {"a": [1], "b": [0], "c": [0, 1]}
        assert [vm.name for vm in seen.vms if vm.address] == ["a", "c"]
