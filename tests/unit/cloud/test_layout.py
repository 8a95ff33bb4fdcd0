# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses of a test cloud follow from its checkout, and meet nobody else's."""

from __future__ import annotations

import itertools
from ipaddress import ip_network
from pathlib import Path

import pytest
from testbed.layout import MAX_KVM_HOSTS, LayoutError, clashes, layout

HERE = Path("/srv/checkout")


def test_the_same_path_gives_the_same_cloud() -> None:
    assert layout(HERE, 2) == layout(HERE, 2)


def test_hosts_have_the_names_of_the_documentation() -> None:
    names = [host.name for host in layout(HERE, 3).hosts]
    assert names == ["client.example.jp", "kvm0.example.jp", "kvm1.example.jp", "kvm2.example.jp"]


def test_more_hosts_do_not_move_the_others() -> None:
    assert layout(HERE, MAX_KVM_HOSTS).kvm[:2] == layout(HERE, 2).kvm


def test_no_two_addresses_or_subnets_meet() -> None:
    cloud = layout(HERE, MAX_KVM_HOSTS)
    hosts_net = ip_network((cloud.network[0], 24))
    addresses = [cloud.gateway.ip, *(host.address for host in cloud.hosts)]
    assert len(set(addresses)) == len(addresses)
    assert all(address in hosts_net for address in addresses)
    subnets = [hosts_net, *(host.guests for host in cloud.kvm)]
    assert all(subnet.subnet_of(cloud.network) for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(subnets, 2))


def test_two_checkouts_share_nothing() -> None:
    one, other = layout(HERE, 2), layout(Path("/srv/checkout2"), 2)
    assert one.bridge != other.bridge
    assert not one.network.overlaps(other.network)
    assert not {host.machine for host in one.hosts} & {host.machine for host in other.hosts}


def test_kernel_takes_the_interface_names() -> None:
    cloud = layout(HERE, MAX_KVM_HOSTS)
    assert len(cloud.bridge) <= 15
    # systemd-nspawn names a host's cable vb-MACHINE, and shortens what is too long.
    assert all(len(f"vb-{host.machine}") <= 15 for host in cloud.kvm)


@pytest.mark.parametrize("hosts", [0, -1, MAX_KVM_HOSTS + 1])
def test_number_of_hosts_out_of_range_is_refused(hosts: int) -> None:
    with pytest.raises(LayoutError, match="it must be 1 to 14"):
        layout(HERE, hosts)


@pytest.mark.parametrize("path", ["/srv/a b", "/srv/a,b", "/srv/a:b", "/srv/a\\b"])
def test_path_that_mount_options_do_not_take_is_refused(path: str) -> None:
    with pytest.raises(LayoutError, match="the path /srv/a"):
        layout(Path(path), 2)


def test_network_can_be_chosen() -> None:
    assert layout(HERE, 2, "172.16.16.0/20").client.address == ip_network("172.16.16.0/20")[2]


@pytest.mark.parametrize("network", ["10.0.0.0/16", "10.0.0.1/20", "8.8.0.0/20", "nonsense"])
def test_network_that_is_no_private_slash_20_is_refused(network: str) -> None:
    with pytest.raises(LayoutError, match="MAGLICA_CLOUD_NETWORK"):
        layout(HERE, 2, network)


@pytest.mark.parametrize(
    ("destination", "device", "expected"),
    [
        ("10.1.16.0/20", "docker0", True),
        ("10.1.31.7", "wg0", True),
        ("10.0.0.0/8", "tun0", True),
        ("10.1.32.0/20", "docker0", False),
        ("10.1.16.0/24", "mg0", False),
        ("default", "eth0", False),
        ("fd00::/64", "eth0", False),
    ],
)
def test_routes_of_others_clash_and_own_ones_do_not(
    destination: str, device: str, expected: bool
) -> None:
    routes = [{"dst": destination, "dev": device}]
    found = clashes(ip_network("10.1.16.0/20"), "mg0", routes)
    assert found == ([(destination, device)] if expected else [])
