# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's networks and its libvirt can't do is refused before anything is asked of it."""

from __future__ import annotations

import pytest
from maglica.client_worker.placement import networks
from maglica.client_worker.placement.candidates import Holdings
from maglica.model.card import Card, VirtualPort
from maglica.model.errors import MaglicaError, NetworkUnknown, NetworkUnsupported
from maglica.model.request import HostReport, Nic
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.add_interface import AddInterfaceSpec
from maglica.verbs.hardware.change_interface import ChangeInterfaceSpec
from maglica.verbs.verb import OnVm

PINNED = ("vm0", "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11", "kvm0")
MAC = "52:54:00:00:00:01"
TAG = Card(vlan=(5,))
SWITCH = Card(vlan=(5,), virtualport=VirtualPort.OPENVSWITCH)


def holdings(version: str | None = "9.0.0") -> Holdings:
    return Holdings.of(HostReport(networks=("lan",), net_devices=("br0",), libvirt_version=version))


REFUSED = [
    (AddInterfaceSpec(*PINNED, None, "wan"), NetworkUnknown, "there is no network wan"),
    (AddInterfaceSpec(*PINNED, None, None, "br1"), NetworkUnknown, "there is no bridge br1"),
    (
        ChangeInterfaceSpec(*PINNED, MAC, None, None, "br1"),
        NetworkUnknown,
        "there is no bridge br1",
    ),
    (
        AddInterfaceSpec(*PINNED, None, None, "br0", TAG),
        NetworkUnsupported,
        "VLAN tags on br0 take an Open vSwitch (virtualport: openvswitch), or libvirt 11.0 for a"
        " plain bridge; this host has libvirt 9.0.0",
    ),
    (
        ChangeInterfaceSpec(*PINNED, MAC, None, None, None, TAG),
        NetworkUnsupported,
        "VLAN tags take an Open vSwitch",
    ),
]


@pytest.mark.parametrize(("spec", "error", "text"), REFUSED)
def test_an_interface_that_the_host_can_not_have_is_refused(
    spec: OnVm, error: type[MaglicaError], text: str
) -> None:
    with pytest.raises(error) as found:
        networks.check_change(spec, holdings(), "cannot do it on host kvm0: ")
    assert str(found.value).startswith(f"cannot do it on host kvm0: {text}")


def test_what_it_can_have_is_not() -> None:
    networks.check_change(AddInterfaceSpec(*PINNED, None, "lan"), holdings(), "")
    networks.check_change(AddInterfaceSpec(*PINNED, None, None, "br0", SWITCH), holdings(), "")
    tagged = AddInterfaceSpec(*PINNED, None, None, "br0", TAG)
    for version in ("11.0.0", "12.3.0", None, "unknown"):
        networks.check_change(tagged, holdings(version), "")
    # Before its first report it can't be said.
    networks.check_change(tagged, None, "")


def test_a_clone_is_judged_likewise() -> None:
    spec = CloneSpec("vm0", "i", interfaces=(Nic("lan"), Nic(bridge="br0")))
    networks.check(spec, holdings())
    spec = CloneSpec("vm0", "i", interfaces=spec.interfaces, interface_devices=(Card(), TAG))
    with pytest.raises(NetworkUnsupported, match="VLAN tags on br0"):
        networks.check(spec, holdings())
    networks.check(spec, holdings("11.0.0"))
