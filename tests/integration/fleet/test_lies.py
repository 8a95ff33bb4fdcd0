# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that says nonsense costs itself, and a domain of which nonsense is said costs itself.

The daemon is real; a proxy changes bytes of what it says.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.fleet.snapshot import Snapshot
from maglica.libvirtd.hosts import Gather
from maglica.libvirtd.session import CALLS_AT_ONCE
from support import testdriver
from support.latency import Proxy, proxied
from support.reading import snapshot
from support.testdriver import Libvirtd

_INTEGER, _TEXT = (1).to_bytes(4, "big"), (7).to_bytes(4, "big")
_STATE = b"state.state\0"
_NAMES = sorted([*(f"vm{number}" for number in range(10)), "debian12.original", "rocky9.original"])


@pytest.fixture
def proxy(libvirtd: Libvirtd) -> Iterator[Proxy]:
    with proxied(libvirtd.port) as running:
        yield running


def _hosts(libvirtd: Libvirtd, proxy: Proxy, node: Path) -> list[HostEntry]:
    """Return a host that is honest, and the same one with what the proxy makes of it."""
    return [
        HostEntry("honest", libvirtd.uri(node)),
        HostEntry("lying", f"test+tcp://127.0.0.1:{proxy.port}{node}"),
    ]


def _names(seen: Snapshot, host: str) -> list[str]:
    return sorted(domain.name for domain in (*seen.vms, *seen.images) if domain.host == host)


def _uuid(libvirtd: Libvirtd, node: Path, name: str) -> str:
    connection = libvirt.openReadOnly(libvirtd.uri(node))
    found = connection.lookupByName(name).UUIDString()
    connection.close()
    return found


def test_a_name_that_is_no_text(libvirtd: Libvirtd, proxy: Proxy, node: Path) -> None:
    identity = _uuid(libvirtd, node, "vm3")
    proxy.lies = {b"\0\0\0\x03vm3\0": b"\0\0\0\x03v\xff3\0"}
    seen = snapshot(_hosts(libvirtd, proxy, node))
    assert seen.unreachable == ()
    assert _names(seen, "honest") == _NAMES
    assert _names(seen, "lying") == [name for name in _NAMES if name != "vm3"]
    (problem,) = seen.problems
    assert problem.startswith(f"cannot read the name of domain {identity} of host lying: 'utf-8'")


def test_a_definition_that_is_no_text(libvirtd: Libvirtd, proxy: Proxy, node: Path) -> None:
    proxy.lies = {b"<name>vm3</name>": b"<name>v\xff3</name>"}
    seen = snapshot(_hosts(libvirtd, proxy, node))
    assert seen.unreachable == ()
    assert _names(seen, "lying") == _NAMES
    assert [vm.name for vm in seen.vms if vm.vcpus is None] == ["vm3"]
    (problem,) = seen.problems
    assert problem.startswith("cannot read the definition of vm3 of host lying: 'utf-8'")


def test_an_address_that_is_none(libvirtd: Libvirtd, proxy: Proxy, node: Path) -> None:
    honest = {vm.name: vm.address for vm in snapshot(_hosts(libvirtd, proxy, node)).vms}
    said = (honest["vm3"] or "").encode()
    for lie in (b"$(reboot)", b"-oProxy", b"\xff", b"::1%$(id)"):
        proxy.lies = {said: lie.ljust(len(said), b"x")}
        seen = snapshot(_hosts(libvirtd, proxy, node)[1:])
        assert (seen.unreachable, seen.problems) == ((), ())
        assert _names(seen, "lying") == _NAMES
        (vm,) = (vm for vm in seen.vms if vm.name == "vm3")
        assert (vm.address, vm.interfaces[0].addresses) == (None, ())


@pytest.mark.parametrize("gather", list(Gather))
def test_a_state_that_is_no_number(
    libvirtd: Libvirtd, proxy: Proxy, node: Path, gather: Gather
) -> None:
    # An empty text instead of the number 1, which is as long.
    running = (1).to_bytes(4, "big")
    proxy.lies = {_STATE + _INTEGER + running: _STATE + _TEXT + b"\0\0\0\0"}
    seen = snapshot(_hosts(libvirtd, proxy, node), gather=gather)
    assert (seen.unreachable, seen.problems) == ((), ())
    assert {vm.state for vm in seen.vms if vm.host == "lying"} == {"unknown"}
    assert {vm.state for vm in seen.vms if vm.host == "honest"} == {"running"}


def test_an_answer_to_the_one_great_question_that_is_no_text(
    libvirtd: Libvirtd, proxy: Proxy, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The binding itself never lets go of the connection of such an answer: so none is made.
    original = libvirt.virConnect.getAllDomainStats

    def lie(connection: libvirt.virConnect, *arguments: int) -> Any:
        if str(proxy.port) in connection.getURI():
            return b"state.st\xffte".decode()
        return original(connection, *arguments)

    monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", lie)
    seen = snapshot(_hosts(libvirtd, proxy, node))
    (missing,) = seen.unreachable
    assert missing.host == "lying"
    assert missing.text.startswith("its answer can't be understood: UnicodeDecodeError: 'utf-8'")
    assert _names(seen, "honest") == _NAMES


def test_an_error_whose_text_is_none(libvirtd: Libvirtd, proxy: Proxy, node: Path) -> None:
    proxy.lies = {b"/nowhere.xml": b"/nowh\xffre.xml"}
    hosts = _hosts(libvirtd, proxy, node)
    lying = HostEntry("lying", f"test+tcp://127.0.0.1:{proxy.port}/nowhere.xml")
    seen = snapshot([hosts[0], lying])
    (missing,) = seen.unreachable
    assert missing.host == "lying"
    assert "cannot resolve" not in missing.text
    assert _names(seen, "honest") == _NAMES


@pytest.mark.parametrize("name", ["a..b", "a" * 64, ".", "a" * 64 + ".example.jp"])
def test_a_host_name_that_is_none(libvirtd: Libvirtd, node: Path, name: str) -> None:
    hosts = [HostEntry("kvm0", libvirtd.uri(node)), HostEntry("kvm1", f"test+tcp://{name}/default")]
    seen = snapshot(hosts)
    (missing,) = seen.unreachable
    assert missing.host == "kvm1"
    assert missing.text.startswith(f"cannot resolve {name}: ")
    assert _names(seen, "kvm0") == _NAMES


def test_a_definition_that_is_longer_than_libvirt_can_send(
    libvirtd: Libvirtd, folder: Path
) -> None:
    long = testdriver.domain("long", 1).replace(
        "<metadata>", f"<description>{'x' * (5 << 20)}</description><metadata>"
    )
    uri = libvirtd.uri(testdriver.node(folder / "long.xml", [long, testdriver.domain("vm0", 2)]))
    seen = snapshot([HostEntry("kvm0", uri)])
    assert seen.unreachable == ()
    assert [(vm.name, vm.vcpus) for vm in seen.vms] == [("long", None), ("vm0", 2)]
    (problem,) = seen.problems
    assert "long" in problem
    assert "kvm0" in problem
    assert len(problem) < 600


def test_definitions_that_are_refused_are_not_kept(libvirtd: Libvirtd, folder: Path) -> None:
    size = 2 << 20
    domains = [
        testdriver.domain(f"vm{number}", number).replace(
            "<metadata>", f"<description>{'x' * size}</description><metadata>"
        )
        for number in range(20)
    ]
    uri = libvirtd.uri(testdriver.node(folder / "long.xml", domains))
    tracemalloc.start()
    try:
        seen = snapshot([HostEntry("kvm0", uri)], 60, xml=True)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(seen.vms), len(seen.problems), seen.unreachable) == (20, 20, ())
    assert {vm.xml for vm in seen.vms} == {None}
    # So many are read at once.
    assert peak < (CALLS_AT_ONCE + 2) * size


def test_hundreds_of_domains_of_which_nonsense_is_said(libvirtd: Libvirtd, folder: Path) -> None:
    names = [f"v{number:03}" for number in range(200)]
    domains = [testdriver.domain(name, number) for number, name in enumerate(names)]
    node = testdriver.node(folder / "many.xml", domains)
    with proxied(libvirtd.port) as proxy:
        proxy.lies = {b"\0\0\0\x04v": b"\0\0\0\x04\xff"}
        seen = snapshot(_hosts(libvirtd, proxy, node))
    assert (_names(seen, "honest"), _names(seen, "lying")) == (names, [])
    assert len(seen.problems) == 21
    assert seen.problems[-1] == "host lying has 180 more problems of this kind"
