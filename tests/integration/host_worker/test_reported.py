# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an observer hears of a host's domains; all processes and sockets are real."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.fleet import fleet
from maglica.libvirtd.hosts import Host
from maglica.model.reported import AddressSource, ReportedDomain, ReportedHost
from maglica.model.request import new_request_id
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs import table
from support.client_worker import Peer, eventually
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE
from support.reports import IMAGE

NAME = "vm0.example.jp"
UUID = vm_uuid("r")


@pytest.fixture
def observer(cell: Cell) -> Iterator[Peer]:
    peer = cell.worker.peer("observer", "bob")
    yield peer
    peer.disconnect()


@pytest.fixture
def domain(cell: Cell) -> Iterator[libvirt.virDomain]:
    """A domain that Maglica made, shut off."""
    made = cell.libvirtd.define(NAME, UUID, MADE)
    yield made
    for each in cell.libvirtd.connection.listAllDomains():
        if each.UUIDString() == UUID:
            if each.isActive():
                each.destroy()
            each.undefine()


def told(observer: Peer) -> tuple[ReportedHost, dict[str, ReportedDomain]]:
    kind, body = observer.ask("domains")
    assert kind == "domains", body
    assert body.get("next") is None
    (host,) = body["hosts"]
    return host, {each.name: each for each in body["domains"]}


def listed(cell: Cell, source: AddressSource) -> tuple[Host, list[Domain]]:
    """What libvirt itself shows."""
    entry = HostEntry(HOST, cell.libvirtd.uri)
    seen = fleet.snapshot([entry], sources=(source,), details=True)
    assert not seen.unreachable
    return seen.hosts[0], [*seen.vms, *seen.images]


def as_listed(domain: ReportedDomain, source: AddressSource) -> dict[str, Any]:
    """Return a domain as libvirt shows it when only this source is asked."""
    fields = {field.name: getattr(domain, field.name) for field in dataclasses.fields(domain)}
    fields["interfaces"] = tuple(
        (each.mac, each.network, each.addresses.get(source.value, ())) for each in domain.interfaces
    )
    return fields


def test_an_observer_is_told_what_libvirt_shows(
    cell: Cell, observer: Peer, domain: libvirt.virDomain
) -> None:
    cell.libvirtd.define("theirs", "a1b2c3d4-0000-4000-8000-000000000005").create()
    domain.create()
    cell.start()
    try:
        # The test driver has a lease for each guest that runs.
        eventually(lambda: "lease" in told(observer)[1][NAME].interfaces[0].addresses)
        host, domains = told(observer)
        seen, shown = listed(cell, AddressSource.LEASE)
        assert (host.name, host.alive, host.libvirt_error) == (HOST, True, None)
        assert host.age_s is not None and host.age_s < 5
        same = ("hostname", "cpus", "memory_total_mib", "libvirt_version", "hypervisor_version")
        for name in (*same, "pools", "networks"):
            assert getattr(host, name) == getattr(seen, name), name
        assert {each.name for each in shown} == set(domains) >= {NAME, IMAGE, "theirs"}
        for each in shown:
            fields = as_listed(domains[each.name], AddressSource.LEASE)
            for name, value in fields.items():
                expected = getattr(each, name)
                if name == "interfaces":
                    expected = tuple((i.mac, i.network, i.addresses) for i in each.interfaces)
                assert value == expected, (each.name, name)
    finally:
        theirs = cell.libvirtd.connection.lookupByName("theirs")
        theirs.destroy()
        theirs.undefine()


def test_what_others_do_to_a_domain_is_told_soon(cell: Cell, observer: Peer) -> None:
    cell.host.options["hello_interval"] = 60
    cell.start()
    domain = cell.libvirtd.define(NAME, UUID, MADE)
    try:
        eventually(lambda: NAME in told(observer)[1])
        assert told(observer)[1][NAME].state == "stopped"
        domain.create()
        eventually(lambda: told(observer)[1][NAME].state == "running")
        domain.suspend()
        eventually(lambda: told(observer)[1][NAME].state == "paused")
        eventually(lambda: "lease" in told(observer)[1][NAME].interfaces[0].addresses)
        domain.destroy()
        eventually(lambda: told(observer)[1][NAME].state == "stopped")
        assert told(observer)[1][NAME].interfaces[0].addresses == {}
    finally:
        domain.undefine()
    eventually(lambda: NAME not in told(observer)[1])


def test_whoever_has_just_changed_a_vm_sees_it(
    cell: Cell, observer: Peer, domain: libvirt.virDomain
) -> None:
    cell.host.options["hello_interval"] = 60
    cell.start()
    eventually(lambda: NAME in told(observer)[1])
    acts: list[tuple[str, dict[str, Any], str, Any]] = [
        ("start", {}, "state", "running"),
        ("tag", {"tags": ("a", "b")}, "tags", ("a", "b")),
        ("stop", {"force": True}, "state", "stopped"),
        ("resize", {"memory_mib": 96}, "memory_mib", 96),
        ("tag", {"tags": ()}, "tags", ()),
    ]
    for kind, fields, name, value in acts:
        spec = table.named(kind).spec(**{"name": NAME, "uuid": UUID, "host": HOST, **fields})
        ended = cell.ended(cell.client.request("submit", id=new_request_id(), kind=kind, spec=spec))
        assert ended.failure is None
        assert getattr(told(observer)[1][NAME], name) == value, kind
    # And it stays so.
    before = told(observer)[1][NAME]
    taken = cell.status().report.taken
    eventually(lambda: cell.status().report.taken > taken)
    after = told(observer)[1][NAME]
    assert (after.tags, after.memory_mib, after.state) == (before.tags, 96, "stopped")
    spec = table.named("remove").spec(name=NAME, uuid=UUID, host=HOST)
    cell.ended(cell.client.request("submit", id=new_request_id(), kind="remove", spec=spec))
    assert NAME not in told(observer)[1]


def test_a_clone_is_told_with_its_result(cell: Cell, observer: Peer) -> None:
    cell.start()
    request = cell.ended(cell.clone(NAME))
    assert told(observer)[1][NAME].uuid == vm_uuid(request.id)


def test_a_client_worker_that_was_started_anew_is_told_all_again(
    cell: Cell, observer: Peer, domain: libvirt.virDomain
) -> None:
    cell.start()
    # The test driver's own domain runs from the beginning.
    eventually(lambda: told(observer)[1]["test"].interfaces[0].addresses)
    before = told(observer)[1]
    cell.worker.restart()
    eventually(lambda: told(observer)[0].alive)
    assert told(observer)[1] == before


def test_a_silent_libvirtd_is_told(fragile_cell: Cell) -> None:
    observer = fragile_cell.worker.peer("observer", "bob")
    fragile_cell.start()
    eventually(lambda: IMAGE in told(observer)[1])
    fragile_cell.libvirtd.kill()
    eventually(lambda: told(observer)[0].libvirt_error)
    host, domains = told(observer)
    assert host.alive and HOST in str(host.libvirt_error)
    # What was told last stands.
    assert IMAGE in domains
    fragile_cell.libvirtd.start()
    eventually(lambda: told(observer)[0].libvirt_error is None)
    observer.disconnect()
