# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which interfaces of a vm that is there come, change and go by what is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model.card import Card, Link, Model, VirtualPort
from maglica.model.errors import MaglicaError, NameInvalid, VmUnknown
from maglica.model.vm import Disk, Domain, Interface
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.hardware.remove_interface import RemoveInterfaceSpec
from maglica.verbs.resize import ResizeSpec
from maglica.verbs.table import Presence

NAME, HOST, IMAGE = "vm0.example.jp", "kvm0.example.jp", "debian12"
A, B, C = (f"52:54:00:00:00:0{digit}" for digit in "abc")
FIRST = Interface(A, "default", (), None, "virtio", "up", "clean-traffic", (9,))
SECOND = Interface(B, "br0", (), "br0", "e1000", "down", virtualport="openvswitch")
THERE = Domain(
    *(NAME, "u", HOST, "running", True, True),
    image=IMAGE,
    disks=(Disk("vda"),),
    interfaces=(FIRST, SECOND),
)
PINNED = (NAME, "u", HOST)


def plan(*interfaces: dict[str, Any], there: Domain = THERE, **said: Any) -> Plan:
    return decide(want(NAME, interfaces=interfaces, **said), Found((there,), ()), None)


SAME: dict[str, tuple[dict[str, Any], ...]] = {
    "nothing": (),
    "an empty entry": ({},),
    "as it is": ({"network": "default"}, {"bridge": "br0"}),
    "in another order": ({"mac": B, "bridge": "br0"}, {"network": "default"}),
    "all of it": (
        {"mac": A, "network": "default", "model": "virtio", "link": "up", "vlan": [9]},
        {"mac": B.upper(), "filter": "", "vlan": [], "virtualport": "openvswitch"},
    ),
    "one that is not there goes": ({"mac": C, "present": False},),
    "what is the guest's": ({"addresses": ["192.0.2.7/24"]},),
}


@pytest.mark.parametrize("case", SAME)
def test_what_is_so_already_is_left_alone(case: str) -> None:
    found = plan(*SAME[case])
    assert (found.steps, found.changed) == ((), False)


def test_addresses_of_a_vm_that_is_there_are_named_as_left_alone() -> None:
    assert plan({"addresses": ["192.0.2.7/24"]}, image=IMAGE).kept == ("interfaces",)
    assert plan({"network": "lan"}, image=IMAGE).kept == ()


CHANGED: dict[str, tuple[dict[str, Any], tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    "another network": (
        {"mac": A, "network": "lan"},
        (A, None, "lan"),
        {"network": "default"},
        {"network": "lan"},
    ),
    "a bridge of that name": (
        {"mac": A, "bridge": "default"},
        (A, None, None, "default"),
        {"bridge": None},
        {"bridge": "default"},
    ),
    "a network of the bridge's name": (
        {"mac": B, "network": "br0"},
        (B, None, "br0"),
        {"network": None},
        {"network": "br0"},
    ),
    "the address of the first": ({"mac": C}, (A, C), {"mac": A}, {"mac": C}),
    "by the address that it has": (
        {"was": B, "mac": C},
        (B, C),
        {"mac": B},
        {"mac": C},
    ),
    "the card": (
        {"mac": A, "model": "rtl8139", "link": "down", "filter": ""},
        (A, None, None, None, Card(Model.RTL8139, Link.DOWN, "")),
        {"model": "virtio", "link": "up", "filter": "clean-traffic"},
        {"model": "rtl8139", "link": "down", "filter": ""},
    ),
    "tags of a switch that is one": (
        {"mac": B, "vlan": [5]},
        (B, None, None, None, Card(vlan=(5,), virtualport=VirtualPort.OPENVSWITCH)),
        {"vlan": []},
        {"vlan": [5]},
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_differs_is_changed(case: str) -> None:
    asked, spec, before, after = CHANGED[case]
    found = plan(asked)
    assert found.steps == (ChangeInterfaceSpec(*PINNED, *spec),)
    key = f"interface {spec[0]}"
    assert (found.before[key], found.after[key]) == (before, after)


def test_further_ones_are_added() -> None:
    found = plan({}, {}, {"network": "lan"}, {"mac": C, "bridge": "br1", "vlan": [5]})
    card = Card(vlan=(5,))
    assert found.steps == (
        AddInterfaceSpec(*PINNED, None, "lan"),
        AddInterfaceSpec(*PINNED, C, None, "br1", card),
    )
    assert found.before["interface 2"] is None
    assert found.after["interface 2"] == {"network": "lan"}
    assert found.after[f"interface {C}"] == {"mac": C, "bridge": "br1", "vlan": [5]}
    # The command says that it is a further one.
    assert plan({"network": "lan", "further": True}).steps == found.steps[:1]
    assert plan({"mac": B, "network": "br0", "further": True, "present": True}).steps != ()
    assert plan({"mac": B, "bridge": "br0", "further": True}).steps == ()


def test_one_goes_before_others_come() -> None:
    found = plan({"network": "lan"}, {"mac": A, "present": False}, allow_restart=True)
    how = (True, False, 120)
    assert found.steps == (
        RemoveInterfaceSpec(*PINNED, A, *how),
        ChangeInterfaceSpec(*PINNED, B, None, "lan", None, Card(), *how),
    )
    key = f"interface {A}"
    assert found.after[key] is None
    assert found.before[key] == {
        **{"mac": A, "network": "default", "model": "virtio", "link": "up"},
        **{"filter": "clean-traffic", "vlan": [9]},
    }


def test_what_waits_for_the_next_start_is_not_asked_for_again() -> None:
    later = replace(FIRST, mac=C, model="e1000")
    waiting = replace(THERE, next_interfaces=(later, SECOND), restart_needed=True)
    asked = {"mac": C, "model": "e1000"}
    assert not plan(asked, there=waiting).changed
    (due,) = plan(asked, there=waiting, allow_restart=True).steps
    assert due == ResizeSpec(*PINNED, None, None, True, False, 120)


@pytest.mark.parametrize("state", ["paused", "suspended"])
def test_one_that_stands_still_is_restarted_only_where_it_is_to_run(state: str) -> None:
    still = replace(THERE, state=state, restart_needed=True)
    asked = {"network": "lan"}, {"mac": B, "present": False}, {"mac": C, "network": "lan"}
    wanted = {"vcpus": 4, "allow_restart": True, "disks": [{"name": "d", "size_mib": 1}]}
    left = plan(*asked, there=still, cdrom={"path": "/a.iso"}, **wanted).steps
    assert [(each.verb, each.allow_restart) for each in left] == [
        ("add_disk", False),
        ("set_cdrom", False),
        ("remove_interface", False),
        ("change_interface", False),
        ("add_interface", False),
        ("resize", False),
    ]
    run = plan(*asked, there=still, state=Presence.RUNNING, **wanted).steps
    assert [each.verb for each in run if getattr(each, "allow_restart", True)] == [
        "start",
        *("add_disk", "remove_interface", "change_interface", "add_interface", "resize"),
    ]
    assert not plan(there=still, allow_restart=True).changed


def test_a_worker_that_does_not_tell_all_is_not_asked_for_what_is_so() -> None:
    old = replace(THERE, interfaces=(Interface(A, "default"), Interface(B, "br0")))
    assert not plan({"network": "default"}, {"bridge": "br0"}, there=old).changed


REFUSED: dict[str, tuple[dict[str, Any], type[MaglicaError], str]] = {
    "both": (
        {"network": "a", "bridge": "b"},
        NameInvalid,
        "interfaces[0]: names both a network and a bridge",
    ),
    "absent, which one": (
        {"network": "a", "present": False},
        NameInvalid,
        "interfaces[0]: to be absent it needs its mac, since places change",
    ),
    "no VLAN": ({"vlan": [4095]}, NameInvalid, "interfaces[0].vlan[0]: not a whole number"),
    "no card": ({"model": "ne2k"}, NameInvalid, "interfaces[0].model: not one of"),
    "added to nothing": (
        {"mac": C, "further": True},
        NameInvalid,
        f"interfaces: one names no network or bridge, and vm {NAME} on host {HOST} has only 2",
    ),
    "not there": (
        {"was": C, "network": "lan"},
        VmUnknown,
        f"vm {NAME} on host {HOST} has no interface {C}; those that it has: {A}, {B}",
    ),
}


def test_a_tag_is_judged_by_the_switch_that_the_interface_comes_to() -> None:
    (stays,) = plan({"mac": B, "vlan": [5]}).steps
    assert stays.card == Card(vlan=(5,), virtualport=VirtualPort.OPENVSWITCH)
    # What it is connected to instead need be no Open vSwitch.
    (moves,) = plan({"mac": B, "bridge": "br1", "vlan": [5]}).steps
    assert moves.card == Card(vlan=(5,))


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_is_refused_in_the_plan(case: str) -> None:
    asked, error, text = REFUSED[case]
    with pytest.raises(error) as found:
        plan(asked)
    assert text in str(found.value)


def test_one_address_twice_is_refused() -> None:
    with pytest.raises(NameInvalid, match=f"the MAC address {C} stands twice in the list"):
        plan({"mac": C}, {"mac": C.upper()})


def test_a_new_vm_has_them_from_the_start() -> None:
    said = [
        {"network": "lan", "model": "e1000"},
        {"mac": C, "present": False},
        {"bridge": "br0", "addresses": ["192.0.2.7/24"]},
    ]
    wanted = want(NAME, image=IMAGE, interfaces=said)
    found = decide(wanted, Found((), ()), None)
    (spec,) = found.steps
    assert [nic.network or nic.bridge for nic in spec.interfaces] == ["lan", "br0"]
    assert spec.interface_devices == (Card(Model.E1000), Card())
    assert found.after["interfaces"][0] == {"network": "lan", "model": "e1000"}
    bare = want(NAME, image=IMAGE, interfaces=[{"network": "lan"}])
    assert bare.clone.interface_devices == ()
    gone = want(NAME, image=IMAGE, interfaces=[{"mac": C, "present": False}])
    assert gone.clone.interfaces is None
