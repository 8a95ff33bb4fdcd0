# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces come to a vm, change and go, whether it runs or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from maglica.domain import definition
from maglica.domain.metadata import VM_NAMESPACE
from maglica.host_worker.job import main
from maglica.model.card import Card, Link, Model, VirtualPort
from maglica.model.request import Request, new_request_id
from maglica.model.vm import Interface, vm_uuid
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.verb import OnVm
from support.fake_host import FakeHost
from support.fake_libvirt import VIR_FROM_RPC, Domain, libvirtError

NAME, HOST = "vm0.example.jp", "kvm0.example.jp"
UUID = vm_uuid("r")
MAC, OTHER, THEIRS = (f"52:54:00:00:00:0{digit}" for digit in (1, 2, 9))
XML = f"""
<domain type='qemu'>
  <name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata><maglica:vm xmlns:maglica='{VM_NAMESPACE}' image='i' request='r'/></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
  <devices>
    <interface type='network'>
      <mac address='{MAC}'/>
      <source network='default' portid='p'/>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <driver queues='2'/>
      <filterref filter='clean-traffic'><parameter name='IP' value='192.0.2.7'/></filterref>
      <vlan><tag id='9'/></vlan>
      <address type='pci' slot='0x03'/>
    </interface>
  </devices>
</domain>"""
OF_OTHERS = f"""
<domain type='qemu'>
  <name>other</name><uuid>{vm_uuid("o")}</uuid>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os>
  <devices><interface type='bridge'><mac address='{THEIRS.upper()}'/></interface></devices>
</domain>"""
NOW = Interface(MAC, "default", (), None, "virtio", "up", "clean-traffic", (9,))
RESTART = {"allow_restart": True, "force": True, "stop_timeout": 0}


@pytest.fixture(params=[False, True], ids=["off", "running"])
def domain(
    request: pytest.FixtureRequest,
    host: FakeHost,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Domain:
    module = "maglica.host_worker.job.vm.hardware"
    monkeypatch.setattr(f"{module}.interfaces._DEVICES", tmp_path)
    monkeypatch.setattr(f"{module}.disks.RELEASE_SECONDS", 0.05)
    (tmp_path / "br0" / "bridge").mkdir(parents=True)
    (tmp_path / "eth0").mkdir()
    host.connection.defineXML(OF_OTHERS)
    made = host.connection.defineXML(XML)
    if request.param:
        made.create()
    return made


def done(host: FakeHost, kind: type[OnVm], *values: object, **fields: object) -> Request:
    request = host.asked(kind(NAME, UUID, HOST, *values, **fields))
    main.run([request.id], host.context)
    assert not host.context.journal.intents(request.id)
    return host.now(request)


def nics(xml: str) -> list[Interface]:
    return list(definition.describe(xml).interfaces)


def later(domain: Domain) -> list[Interface]:
    return nics(domain.xml)


def now(domain: Domain) -> list[Interface]:
    return nics(domain.XMLDesc())


def test_one_is_added(host: FakeHost, domain: Domain) -> None:
    card = Card(Model.E1000, Link.DOWN, "clean-traffic", virtualport=VirtualPort.OPENVSWITCH)
    ended = done(host, AddInterfaceSpec, OTHER, None, "br0", card)
    assert ended.failure is None
    added = Interface(
        *(OTHER, "br0", (), "br0", "e1000", "down", "clean-traffic"), virtualport="openvswitch"
    )
    assert later(domain) == now(domain) == [NOW, added]
    assert (list(ended.vm.interfaces), ended.vm.restart_needed) == ([NOW, added], False)
    # Once more, as a job does that follows one which died.
    assert done(host, AddInterfaceSpec, OTHER, None, "br0", card).failure is None
    assert later(domain) == now(domain) == [NOW, added]


def test_one_without_a_mac_address_gets_one_once(host: FakeHost, domain: Domain) -> None:
    request = Request(
        new_request_id(), AddInterfaceSpec(NAME, UUID, HOST, network="lan"), host=HOST
    )
    host.context.journal.accept([request])
    host.connection.failures["attach 2"] = [libvirtError("cut", domain=VIR_FROM_RPC)]
    with pytest.raises(Exception, match="cut"):
        main.run([request.id], host.context)
    main.run([request.id], host.context)
    assert host.now(request).failure is None
    (_first, made) = later(domain)
    assert made.mac.startswith("52:54:00:")
    assert (made.network, made.model, now(domain)) == ("lan", "virtio", later(domain))


def test_one_that_another_client_has_added_otherwise_is_an_error(
    host: FakeHost, domain: Domain
) -> None:
    assert done(host, AddInterfaceSpec, OTHER, "lan").failure is None
    before = domain.xml
    ended = done(host, AddInterfaceSpec, OTHER, None, "br0", Card(Model.E1000))
    assert ended.failure is not None
    assert ended.failure.text == (
        f"cannot add an interface to {NAME} on host {HOST}: it has one of the MAC address {OTHER}"
        " already, with another bridge, model: ask again to have that changed"
    )
    assert domain.xml == before


def test_a_running_guest_without_a_free_slot_has_it_after_its_next_start(
    host: FakeHost, domain: Domain
) -> None:
    if not domain.active:
        return
    full = libvirtError("No more available PCI slots")
    host.connection.failures["attach 1"] = [full, full]
    ended = done(host, AddInterfaceSpec, OTHER, "lan")
    assert (ended.failure, ended.vm.restart_needed) == (None, True)
    assert [nic.mac for nic in ended.vm.interfaces] == [MAC]
    assert [nic.mac for nic in ended.vm.later_interfaces] == [MAC, OTHER]
    runs = domain.runs
    assert done(host, AddInterfaceSpec, OTHER, "lan", **RESTART).vm.next_interfaces is None
    assert (domain.runs, len(now(domain))) == (runs + 1, 2)


def test_it_is_connected_otherwise_at_once(host: FakeHost, domain: Domain) -> None:
    ended = done(host, ChangeInterfaceSpec, MAC, None, "lan")
    assert (ended.failure, ended.vm.restart_needed) == (None, False)
    # The VLAN was one of its old network's.
    expected = Interface(MAC, "lan", (), None, "virtio", "up", "clean-traffic")
    assert later(domain) == now(domain) == [expected]
    for xml in (domain.xml, domain.XMLDesc()):
        assert 'value="192.0.2.7"' in xml
        assert "portid" not in xml
    card = Card(link=Link.DOWN, filter="", vlan=(5, 6), virtualport=VirtualPort.OPENVSWITCH)
    assert done(host, ChangeInterfaceSpec, MAC, None, None, "br0", card).failure is None
    expected = Interface(
        *(MAC, "br0", (), "br0", "virtio", "down", None, (5, 6)), virtualport="openvswitch"
    )
    assert later(domain) == now(domain) == [expected]
    assert 'trunk="yes"' in domain.xml


def test_card_and_mac_address_change_at_the_next_start(host: FakeHost, domain: Domain) -> None:
    card = Card(Model.E1000, Link.DOWN)
    ended = done(host, ChangeInterfaceSpec, MAC, OTHER, None, None, card)
    assert ended.failure is None
    (changed,) = later(domain)
    assert (changed.mac, changed.model, changed.link) == (OTHER, "e1000", "down")
    # What the old card was told, and where it was.
    assert "queues" not in domain.xml
    assert "0x03" not in domain.xml
    assert ended.vm.restart_needed is domain.active
    if domain.active:
        assert [(nic.mac, nic.model, nic.link) for nic in now(domain)] == [(MAC, "virtio", "down")]
        assert ended.vm.later_interfaces == (changed,)
        runs = domain.runs
        # It is for any task that allows it to restart it.
        restarted = done(host, ResizeSpec, **RESTART)
        assert (restarted.failure, restarted.vm.restart_needed) == (None, False)
        assert (domain.runs, now(domain)) == (runs + 1, [changed])
    again = done(host, ChangeInterfaceSpec, MAC, OTHER, None, None, card)
    assert (again.failure, later(domain)) == (None, [changed])


def test_one_goes(host: FakeHost, domain: Domain) -> None:
    ended = done(host, RemoveInterfaceSpec, MAC)
    assert (ended.failure, ended.vm.interfaces, ended.vm.restart_needed) == (None, (), False)
    assert later(domain) == now(domain) == []
    assert done(host, RemoveInterfaceSpec, MAC).failure is None


def test_what_a_guest_does_not_let_go_goes_at_its_next_start(
    host: FakeHost, domain: Domain
) -> None:
    domain.obeys = False
    ended = done(host, RemoveInterfaceSpec, MAC)
    assert (ended.failure, later(domain)) == (None, [])
    assert (ended.vm.restart_needed, len(now(domain))) == (domain.active, int(domain.active))


TAG = Card(vlan=(5,))
REFUSED = {
    "a MAC address of another vm": (
        (AddInterfaceSpec, THEIRS, "lan"),
        "name_taken",
        f"cannot add an interface to {NAME} on host {HOST}: other has the MAC address {THEIRS}",
    ),
    "that of another vm, for one that is there": (
        (ChangeInterfaceSpec, MAC, THEIRS),
        "name_taken",
        f"cannot change interface {MAC} of {NAME} on host {HOST}: other has the MAC address"
        f" {THEIRS}",
    ),
    "no such network": (
        (AddInterfaceSpec, OTHER, "none"),
        "network_unknown",
        "there is no network none: no such thing as none",
    ),
    "a network that is off": (
        (ChangeInterfaceSpec, MAC, None, "off"),
        "network_unknown",
        "the network off is not active",
    ),
    "no such bridge": (
        (ChangeInterfaceSpec, MAC, None, None, "br9"),
        "network_unknown",
        "there is no bridge br9",
    ),
    "a card of the host": (
        (ChangeInterfaceSpec, MAC, None, None, "eth0"),
        "network_unknown",
        "eth0 is no bridge of the kernel's; for one of an Open vSwitch, say virtualport:",
    ),
    "no such filter": (
        (ChangeInterfaceSpec, MAC, None, None, None, Card(filter="none")),
        "network_unsupported",
        "there is no network filter none: no such thing as none",
    ),
    "a tag on a plain bridge": (
        (AddInterfaceSpec, OTHER, None, "br0", TAG),
        "network_unsupported",
        f"cannot add an interface to {NAME} on host {HOST}: VLAN tags on br0 take an Open vSwitch"
        " (virtualport: openvswitch), or libvirt 11.0 for a plain bridge; this host has libvirt"
        " 9.0.0",
    ),
    "no such interface": (
        (ChangeInterfaceSpec, OTHER, None, "lan"),
        "vm_unknown",
        f"vm {NAME} on host {HOST} has no interface {OTHER}; those that it has: {MAC}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_done_of_what_is_refused(host: FakeHost, domain: Domain, case: str) -> None:
    (kind, *values), code, text = REFUSED[case]
    before = (domain.xml, domain.XMLDesc())
    ended = done(host, kind, *values)
    assert ended.failure is not None
    assert (ended.failure.code, text in ended.failure.text) == (code, True), ended.failure.text
    assert (domain.xml, domain.XMLDesc()) == before


def test_two_interfaces_of_a_vm_never_have_one_mac_address(host: FakeHost, domain: Domain) -> None:
    assert done(host, AddInterfaceSpec, OTHER, "lan").failure is None
    ended = done(host, ChangeInterfaceSpec, MAC, OTHER)
    assert f"another interface of it has the MAC address {OTHER}" in ended.failure.text


@pytest.mark.parametrize(
    ("version", "values"), [(9000000, ("switch", None)), (11000000, (None, "br0"))]
)
def test_tags_are_put_on_where_the_host_can(
    host: FakeHost, domain: Domain, version: int, values: tuple[str | None, str | None]
) -> None:
    host.connection.version = version
    assert done(host, AddInterfaceSpec, OTHER, *values, TAG).failure is None
    assert later(domain)[1].vlan == now(domain)[1].vlan == (5,)


ACTS = {
    "added": ((AddInterfaceSpec, None, "lan"), [MAC, "made up"]),
    "changed": ((ChangeInterfaceSpec, MAC, OTHER, "lan"), [OTHER]),
    "removed": ((RemoveInterfaceSpec, MAC), []),
}


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_step(host: FakeHost, domain: Domain, act: str, number: int) -> None:
    (kind, *values), expected = ACTS[act]
    spec = kind(NAME, UUID, HOST, *values, **RESTART)
    request = host.asked(spec)
    host.dies(request, number)
    assert host.next_job(request).failure is None
    known = (MAC, OTHER)
    for found in (later(domain), now(domain)):
        assert [nic.mac if nic.mac in known else "made up" for nic in found] == expected
    assert host.context.journal.intents(request.id) == ()
