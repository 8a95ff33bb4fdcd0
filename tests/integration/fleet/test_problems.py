# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails on a host that answers costs only itself.

The daemon is real; the errors are put before single calls of the binding, since the test driver
has neither broken networks nor guests with agents.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.fleet import by_libvirt
from maglica.fleet.snapshot import Found
from maglica.libvirtd import host_reader
from maglica.libvirtd.hosts import Gather, Unreachable
from maglica.model.reported import AddressSource
from support import testdriver
from support.latency import proxied
from support.reading import snapshot
from support.testdriver import Libvirtd

# Of remote_protocol.x.
_ALL_NETWORKS = 283
_ALL_DOMAIN_STATS = 344
# The arguments of the question for states and disks' sizes: VIR_DOMAIN_STATS_STATE and _BLOCK,
# VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT.
_SIZES = (33).to_bytes(4, "big") + (1 << 29).to_bytes(4, "big")
# An error of a libvirt that is newer than the binding, which has no name for it.
_NEWER = 199
_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


def _error(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("it is broken")
    # See virError: code, domain, message, level, three texts and two numbers.
    error.err = (code, 0, "it is broken", 2, "", None, None, 0, 0)
    return error


def _failing(
    monkeypatch: pytest.MonkeyPatch, where: type, call: str, code: int, when: Callable[[Any], bool]
) -> None:
    """Let ``call`` of those objects fail with libvirt's error ``code`` for which ``when`` holds."""
    original = getattr(where, call)

    def failing(handle: Any, *arguments: Any) -> Any:
        if not when(handle):
            return original(handle, *arguments)
        # Not by a local name: what raises an error and knows it stays until the collector comes.
        raise _error(code)

    monkeypatch.setattr(where, call, failing)


def _always(_handle: Any) -> bool:
    return True


def test_networks_that_can_not_be_listed(
    libvirtd: Libvirtd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(
        monkeypatch, libvirt.virConnect, "listAllNetworks", libvirt.VIR_ERR_SYSTEM_ERROR, _always
    )
    host = HostEntry("kvm0", libvirtd.uri(node))
    seen = snapshot([host], sources=[AddressSource.LEASE, AddressSource.ARP])
    assert seen.unreachable == ()
    assert seen.problems == ("cannot read the networks of host kvm0: it is broken",)
    # The next source is asked.
    assert len([vm for vm in seen.vms if vm.address]) == 10


def test_a_network_whose_leases_can_not_be_read(
    libvirtd: Libvirtd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = libvirt.VIR_ERR_INTERNAL_ERROR
    _failing(monkeypatch, libvirt.virNetwork, "DHCPLeases", code, _always)
    seen = snapshot([HostEntry("kvm0", libvirtd.uri(node))])
    assert (len(seen.vms), len(seen.images), seen.unreachable) == (10, 2, ())
    text = "cannot read the leases of network default of host kvm0: it is broken"
    assert seen.problems == (text,)


def test_an_agent_that_answers_with_an_error(
    libvirtd: Libvirtd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_reader, "AGENT_RUNS", re.compile("guest_agent"))
    domains = [testdriver.domain(name, n, devices=_CHANNEL) for n, name in enumerate("abc")]
    uri = libvirtd.uri(testdriver.node(folder / "agents.xml", domains))
    for code in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_ACCESS_DENIED, _NEWER):
        with monkeypatch.context() as patch:
            _failing(
                patch, libvirt.virDomain, "interfaceAddresses", code, lambda vm: vm.name() == "b"
            )
            seen = snapshot([HostEntry("kvm0", uri)], sources=[AddressSource.AGENT])
        assert seen.unreachable == seen.problems == ()
        assert [vm.name for vm in seen.vms if vm.address] == ["a", "c"]


def test_a_domain_that_may_not_be_read(
    libvirtd: Libvirtd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = libvirt.VIR_ERR_ACCESS_DENIED
    _failing(monkeypatch, libvirt.virDomain, "XMLDesc", code, lambda vm: vm.name() == "vm3")
    seen = snapshot([HostEntry("kvm0", libvirtd.uri(node))])
    assert (len(seen.vms), len(seen.images), seen.unreachable) == (10, 2, ())
    assert [vm.name for vm in seen.vms if vm.vcpus is None] == ["vm3"]
    assert seen.problems == ("cannot read the definition of vm3 of host kvm0: it is broken",)


def test_a_pool_that_goes_and_one_that_is_broken(
    libvirtd: Libvirtd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = HostEntry("kvm0", libvirtd.uri())
    for code, problems in (
        (libvirt.VIR_ERR_NO_STORAGE_POOL, ()),
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            ("cannot read the pool default-pool of host kvm0: it is broken",),
        ),
    ):
        with monkeypatch.context() as patch:
            _failing(patch, libvirt.virStoragePool, "info", code, _always)
            seen = snapshot([host], gather=Gather.MINIMAL, details=True)
        assert (seen.unreachable, seen.problems) == ((), problems)
        assert (seen.hosts[0].pools, seen.hosts[0].networks) == ((), ("default",))


def test_details_that_can_not_be_read(libvirtd: Libvirtd, monkeypatch: pytest.MonkeyPatch) -> None:
    code = libvirt.VIR_ERR_SYSTEM_ERROR
    _failing(monkeypatch, libvirt.virConnect, "listAllNetworks", code, _always)
    host = HostEntry("kvm0", libvirtd.uri())
    seen = snapshot([host], gather=Gather.MINIMAL, details=True)
    assert seen.problems == ("cannot read the networks of host kvm0: it is broken",)
    assert (seen.hosts[0].networks, seen.hosts[0].cpus) == ((), 16)


@pytest.mark.parametrize(
    ("where", "call"),
    [
        (libvirt.virConnect, "listAllNetworks"),
        (libvirt.virDomain, "interfaceAddresses"),
        (libvirt.virDomain, "XMLDesc"),
        (libvirt.virStoragePool, "info"),
    ],
)
def test_a_connection_that_is_lost_costs_the_host(
    libvirtd: Libvirtd, monkeypatch: pytest.MonkeyPatch, where: type, call: str
) -> None:
    original = getattr(where, call)
    with proxied(libvirtd.port) as proxy:

        def lost(handle: Any, *arguments: Any) -> Any:
            proxy.cut()
            return original(handle, *arguments)

        monkeypatch.setattr(where, call, lost)
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}/default")
        seen = snapshot([host], details=True)
    assert [missing.host for missing in seen.unreachable] == ["kvm0"]


def test_a_vm_of_which_nothing_can_be_read_does_not_count_as_gone(
    libvirtd: Libvirtd, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [HostEntry("kvm0", libvirtd.uri(node))]
    for code, unreachable in (
        (libvirt.VIR_ERR_NO_DOMAIN, ()),
        (libvirt.VIR_ERR_SYSTEM_ERROR, (Unreachable("kvm0", "it is broken"),)),
    ):
        with monkeypatch.context() as patch:
            _failing(patch, libvirt.virConnect, "domainListGetStats", code, _always)
            assert by_libvirt.find_vms(hosts, {"vm3"}) == Found((), unreachable)
    monkeypatch.setattr(libvirt.virConnect, "domainListGetStats", lambda *_asked: [])
    assert by_libvirt.find_vms(hosts, {"vm3"}) == Found()


def test_networks_are_listed_only_for_guests_that_are_on_some(
    libvirtd: Libvirtd, folder: Path
) -> None:
    on_network = testdriver.domain("vm0", 1)
    on_bridge = testdriver.domain("vm1", 2).replace(
        "<source network='default'/>", "<source bridge='br0'/>"
    )
    on_bridge = on_bridge.replace("interface type='network'", "interface type='bridge'")
    stopped = testdriver.domain("vm2", 3, state=5)
    for domains, calls in (([on_bridge, stopped], 0), ([on_bridge, on_network], 1)):
        path = testdriver.node(folder / f"{calls}.xml", domains)
        with proxied(libvirtd.port) as proxy:
            host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{path}")
            seen = snapshot([host])
            assert proxy.calls[_ALL_NETWORKS] == calls
        assert seen.unreachable == seen.problems == ()
        assert any(vm.address for vm in seen.vms) is bool(calls)


def test_a_monitor_that_hangs_costs_the_sizes(libvirtd: Libvirtd, node: Path) -> None:
    with proxied(libvirtd.port) as proxy:
        proxy.lost = (_ALL_DOMAIN_STATS, (_SIZES,))
        host = HostEntry("kvm0", f"test+tcp://127.0.0.1:{proxy.port}{node}")
        seen = snapshot([host], 8.0)
    assert (len(seen.vms), len(seen.images), seen.unreachable) == (10, 2, ())
    (problem,) = seen.problems
    assert problem == (
        "cannot read the disks' sizes of host kvm0: no answer within 4.0 s;"
        " the monitor of a running vm may hang"
    )
