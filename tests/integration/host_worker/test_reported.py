# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an observer hears of a host's domains; all processes and sockets are real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostEntry
from maglica.domain import definition
from maglica.fleet.by_reports import ReportedFleet
from maglica.fleet.filter import image_names
from maglica.host_worker import macs
from maglica.libvirtd.host_reader import Reading
from maglica.model.reported import AddressSource, ReportedDomain, ReportedHost
from maglica.model.request import new_request_id
from maglica.model.vm import Graphics, SerialConsole, vm_uuid
from maglica.verbs import table
from maglica.wire import features
from support.client_worker import Peer, eventually
from support.host_worker import HOST, Cell
from support.own_libvirtd import MADE
from support.reading import snapshot
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
    kind, body = observer.ask("domains", features=[*table.FEATURES, features.SCREENS])
    assert kind == "domains", body
    assert body.get("next") is None
    (host,) = body["hosts"]
    return host, {each.name: each for each in body["domains"]}


class Heard:
    """What the observer hears, as the fleet asks for it."""

    def __init__(self, observer: Peer) -> None:
        self._observer = observer

    def reported(self, hosts: Any = (), names: Any = ()) -> Any:
        host, domains = told(self._observer)
        return (host,), tuple(domains.values())


def test_an_observer_is_told_what_libvirt_shows(
    cell: Cell, observer: Peer, domain: libvirt.virDomain
) -> None:
    cell.libvirtd.define("theirs", "a1b2c3d4-0000-4000-8000-000000000005").create()
    domain.create()
    cell.start()
    try:
        # The test driver has a lease for each guest that runs.
        eventually(lambda: "lease" in told(observer)[1][NAME].interfaces[0].addresses)
        # Told as soon as the host worker knows that the client worker knows of it.
        eventually(lambda: told(observer)[1][NAME].autostart is not None)
        host, _domains = told(observer)
        assert (host.name, host.alive, host.libvirt_error) == (HOST, True, None)
        assert host.age_s is not None and host.age_s < 5
        asked = {"sources": (AddressSource.LEASE,), "details": True}
        by_libvirt = snapshot([HostEntry(HOST, cell.libvirtd.uri)], **asked)
        reading = Reading(may_be_image=image_names(None), **asked)
        by_reports = ReportedFleet(Heard(observer)).snapshot(reading)
        assert {each.name for each in by_libvirt.vms} >= {NAME, "theirs"}
        assert IMAGE in {each.name for each in by_libvirt.images}
        (made,) = (each for each in by_libvirt.vms if each.name == NAME)
        assert made.graphics == (Graphics("vnc", "127.0.0.1", 5907),)
        assert made.console == SerialConsole("file", f"/logs/{NAME}")
        for kind in ("vms", "images"):
            heard = [replace(each, reported=None) for each in getattr(by_reports, kind)]
            assert heard == list(getattr(by_libvirt, kind))
        (seen,), (heard,) = by_libvirt.hosts, by_reports.hosts
        assert replace(heard, uri=None, seconds=None, reported=None) == replace(
            seen, uri=None, seconds=None
        )
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
        # It has it after its next start.
        ("resize", {"memory_mib": 80}, "next_memory_mib", 80),
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
    # It counts as alive before it has told anything.
    eventually(lambda: told(observer)[1] == before)
    assert told(observer)[0].alive


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


def test_jobs_can_read_which_mac_addresses_there_are(cell: Cell, domain: libvirt.virDomain) -> None:
    def known() -> set[str]:
        return set(macs.read(cell.host.state) or ())

    (own,) = (each.mac for each in definition.describe(domain.XMLDesc()).interfaces)
    later = "52:54:00:00:00:0a"
    domain.create()
    cell.start()
    eventually(lambda: own in known())
    cell.libvirtd.connection.defineXML(domain.XMLDesc().replace(own, later.upper()))
    eventually(lambda: {own, later} <= known())
    domain.destroy()
    eventually(lambda: later in known() and own not in known())
