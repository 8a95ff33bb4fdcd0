# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of networks: written, read, compared, refused; which subnets are free."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest
from maglica.hosting import network
from maglica.hosting.network import NetworkDefinition
from maglica.model.errors import ConfigInvalid

LAB = NetworkDefinition(
    name="lab",
    mode="route",
    bridge="virbr7",
    address="192.0.2.1/24",
    dhcp=("192.0.2.10", "192.0.2.250"),
    domain="lab.example.jp",
    dns_forwarders=("192.0.2.53",),
    dnsmasq_options=("no-ping",),
    stp=False,
)
ALONE = NetworkDefinition("alone", "isolated", dhcp=(), dns_forwarders=(), dnsmasq_options=())
OFFICE = NetworkDefinition("office", "bridge", "br0", dhcp=(), dns_forwarders=())
SHIPPED = """\
<network>
  <name>default</name>
  <bridge name='virbr0'/>
  <forward/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
"""
# As libvirt 9.0 shows it, once it is defined.
SHOWN = """\
<network>
  <name>default</name>
  <uuid>b8b8e2b8-0c1e-4d51-8f47-7b1d7a9d2f5b</uuid>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:3a:01:02'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
"""
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0102000C\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t007AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t000010AC\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0
"""


@pytest.mark.parametrize("made", [LAB, ALONE, OFFICE], ids=lambda made: made.name)
def test_what_is_written_is_read_again(made: NetworkDefinition) -> None:
    assert network.differences(made, network.read(network.xml(made))) == []


def test_a_network_without_an_address_gets_a_free_one() -> None:
    for taken, third in ([], 122), (["192.168.122.0/24", "192.168.120.0/22"], 124):
        made = network.complete(NetworkDefinition("a"), [IPv4Network(net) for net in taken])
        assert (made.mode, made.address) == ("nat", f"192.168.{third}.1/24")
        assert made.dhcp == (f"192.168.{third}.2", f"192.168.{third}.254")
    routed = [IPv4Network("192.168.0.0/16")]
    for block, second in ("172.16.0.0/12", "172.30"), ("10.0.0.0/8", "10.254"):
        made = network.complete(NetworkDefinition("a"), routed)
        assert made.address == f"{second}.122.1/24"
        routed.append(IPv4Network(block))
    with pytest.raises(ConfigInvalid, match="are in use"):
        network.complete(NetworkDefinition("a"), routed)


@pytest.mark.parametrize(
    ("said", "differences"),
    [
        ({}, []),
        ({"mode": "nat", "bridge": "virbr0", "stp": True, "address": "192.168.122.1/24"}, []),
        ({"dhcp": ("192.168.122.2", "192.168.122.254")}, []),
        ({"mode": "route"}, ["mode is nat, not route"]),
        (
            {"domain": "a", "dnsmasq_options": ("no-ping",)},
            ["domain is none, not a", "dnsmasq_options is none, not no-ping"],
        ),
    ],
)
def test_what_is_not_said_is_not_compared(said: dict[str, Any], differences: list[str]) -> None:
    wanted = NetworkDefinition("default", **said)
    assert network.differences(wanted, network.read(SHOWN)) == differences


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("name", {"name": "a/b"}),
        ("bridge", {"bridge": "a bridge"}),
        ("bridge", {"mode": "bridge"}),
        ("address", {"mode": "bridge", "bridge": "br0", "address": "192.0.2.1/24"}),
        ("address", {"mode": "route"}),
        ("address", {"address": "192.0.2.0/24"}),
        ("address", {"address": "192.0.2.1/31"}),
        ("address", {"address": "fd00::1/64"}),
        ("dhcp", {"dhcp": ("192.0.2.2", "192.0.2.9")}),
        ("dhcp", {"address": "192.0.2.1/24", "dhcp": ("192.0.3.2", "192.0.3.9")}),
        ("dhcp", {"address": "192.0.2.1/24", "dhcp": ("192.0.2.9", "192.0.2.2")}),
        ("dhcp", {"address": "192.0.2.5/24", "dhcp": ("192.0.2.2", "192.0.2.9")}),
        ("domain", {"domain": "a<b"}),
        ("dns_forwarders", {"dns_forwarders": ("dns",)}),
        ("dnsmasq_options", {"dnsmasq_options": ("no-ping\ndhcp-script=/bin/sh",)}),
    ],
)
def test_a_network_that_can_t_be_is_refused(option: str, said: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match=f"^{option}: "):
        network.check(NetworkDefinition(**{"name": "a", **said}))


def test_the_host_s_subnets_are_those_of_its_routes() -> None:
    found = [("eth0", "192.168.122.0/24"), ("tun0", "172.16.0.0/12")]
    assert [(device, str(net)) for device, net in network.subnets_of_routes(ROUTES)] == found


def test_a_package_s_network_is_known_until_something_is_added() -> None:
    assert network.is_as_shipped(SHOWN, SHIPPED)
    fixed = "<dhcp><host mac='52:54:00:00:00:01' ip='192.168.122.9'/>"
    for old, new in ("<dhcp>", fixed), ("virbr0", "virbr1"), ("254", "99"):
        assert not network.is_as_shipped(SHOWN.replace(old, new), SHIPPED)
    assert network.is_as_shipped(SHOWN.replace("192.168.122", "10.254.122"), SHIPPED)
