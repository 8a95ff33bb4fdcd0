# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that more than ifupdown configures: which guests are refused, and why."""

from __future__ import annotations

import pytest
from maglica.guest.facts import Mount
from maglica.guest.inspect import OperatingSystem, examine
from maglica.guest.network.stacks import found, gives_address, without_others
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)
ONLY_LO = "auto lo\niface lo inet loopback\n"
PROGRAMS = {
    "networkd": "usr/lib/systemd/systemd-networkd",
    "netplan": "usr/sbin/netplan",
    "nm": "usr/sbin/NetworkManager",
    "dhcpcd": "usr/sbin/dhcpcd",
    "connman": "usr/sbin/connmand",
    "udevd": "usr/lib/systemd/systemd-udevd",
    "dhclient": "usr/sbin/dhclient",
    "none": "usr/bin/true",
}
NETWORKD = "etc/systemd/network/lan.network"
NETPLAN = "etc/netplan/50-cloud-init.yaml"
IFCFG = "etc/sysconfig/network-scripts/ifcfg-eth0"
KEYFILE = "etc/NetworkManager/system-connections/lan.nmconnection"
DHCP_BY_NETPLAN = """\
network:
  version: 2
  ethernets:
    eth0:
      dhcp4: true
      match:
        macaddress: 52:54:00:00:00:09
      set-name: eth0
      nameservers:
        addresses:
        - 192.0.2.53
        search: [example.jp]
      #addresses: [192.0.2.9/24]
"""


def guest(program: str, interfaces: str | None = None, **files: str) -> FakeFilesystem:
    made = FakeFilesystem({**debian.FILES, PROGRAMS[program]: ""})
    if interfaces is not None:
        made.add_file("/etc/network/interfaces", interfaces)
        made.remove("/etc/network/interfaces.d/more")
    for path, text in files.items():
        made.add_file(path, text)
    return made


@pytest.mark.parametrize("interfaces", [None, ONLY_LO])
@pytest.mark.parametrize(
    ("program", "path", "text", "line"),
    [
        ("networkd", NETWORKD, "[Match]\nName=e*\n[Network]\n Address = 192.0.2.9/24\n", "Address"),
        ("networkd", NETWORKD, "[Address]\naddress=2001:db8::9/64\n", "address=2001"),
        ("networkd", f"{NETWORKD}.d/a.conf", "[Network]\nAddress=192.0.2.9/24\n", "Address"),
        ("networkd", "usr/lib/systemd/network/a.network", "Address=192.0.2.9\n", "Address"),
        ("networkd", NETWORKD, "[Link]\nMTUBytes=9000\nMACAddress=52:54:0:0:0:9\n", "MACAddress"),
        ("udevd", "etc/systemd/network/a.link", "[Link]\nMACAddress=52:54:0:0:0:9\n", "MACAddress"),
        ("dhclient", "etc/dhcp/dhclient.conf", "alias {\n fixed-address 192.0.2.9;\n}\n", "fixed"),
        ("netplan", NETPLAN, "      addresses: [192.0.2.9/24]\n", "addresses"),
        ("netplan", NETPLAN, DHCP_BY_NETPLAN + "      addresses:\n      - 192.0.2.9/24\n", "addr"),
        ("netplan", NETPLAN, 'network: {"e": {"addresses": ["192.0.2.9/24"]}}\n', "addresses"),
        ("netplan", NETPLAN, "    gateway4: 192.0.2.1\n", "gateway4"),
        ("nm", KEYFILE, "[ipv4]\nmethod=manual\n", "method=manual"),
        ("nm", KEYFILE, "[ipv4]\naddress1=192.0.2.9/24,192.0.2.1\n", "address1"),
        ("nm", KEYFILE, "[ethernet]\ncloned-mac-address=52:54:00:00:00:09\n", "cloned-mac"),
        ("nm", "etc/sysconfig/network-scripts/ifcfg-eth0", 'IPADDR="192.0.2.9"\n', "IPADDR"),
        ("netplan", NETPLAN, "      dhcp4-overrides: {hostname: image}\n", "hostname"),
        ("netplan", NETPLAN, DHCP_BY_NETPLAN + "      macaddress: 52:54:00:00:00:09\n", "macadd"),
        ("netplan", NETPLAN, 'network: {"e": {"macaddress": "52:54:00:00:00:09"}}\n', "macaddress"),
        ("nm", KEYFILE, "[ipv4]\ndhcp-client-id=01:52:54:00:00:00:09\n", "dhcp-client-id"),
        ("nm", KEYFILE, "[ipv4]\nmethod=auto\ndhcp-hostname=image\n", "dhcp-hostname"),
        ("nm", IFCFG, 'DHCP_HOSTNAME="image"\n', "DHCP_HOSTNAME"),
        ("nm", IFCFG, "DHCP_CLIENT_ID=image\n", "DHCP_CLIENT_ID"),
        ("networkd", "etc/systemd/networkd.conf", "[DHCPv4]\nDUIDRawData=00:01\n", "DUIDRawData"),
        ("dhcpcd", "etc/dhcpcd.conf", "static ip_address=192.0.2.9/24\n", "static ip_address"),
        ("dhcpcd", "etc/dhcpcd.conf", "clientid 01:52:54:00:00:00:09\n", "clientid"),
        ("dhcpcd", "etc/dhcpcd.conf", "duid 00:03:00:01:52:54:00:00:00:09\n", "duid"),
        ("dhcpcd", "etc/dhcpcd.conf", "hostname image\n", "hostname"),
        ("connman", "var/lib/connman/lan/settings", "IPv4.method=manual\n", "IPv4.method"),
        ("none", "etc/rc.local", "ip addr add 192.0.2.9/24 dev eth0\n", "ip addr add"),
        ("none", "etc/network/if-up.d/own", "ifconfig eth0:1 192.0.2.9\n", "ifconfig"),
        ("none", "etc/rc.local", "# c \\\nip addr add 192.0.2.9/24 dev eth0\n", "ip addr add"),
        ("none", "etc/rc.local", "ip addr add \\\n  192.0.2.9/24 dev eth0\n", "ip addr add"),
        (
            "none",
            "etc/udev/rules.d/a.rules",
            'RUN+="/sbin/ip link set e address 52:54:0:0:0:9"',
            "R",
        ),
        ("networkd", NETWORKD, "[Network]\nAddress=\\\n  192.0.2.9/24\n", "Address"),
        ("none", "etc/systemd/system/a.service", "ExecStart=/sbin/ip a add 192.0.2.9/24", "ExecS"),
    ],
)
def test_an_address_that_clones_would_share_refuses_the_image(
    program: str, path: str, text: str, line: str, interfaces: str | None
) -> None:
    made = guest(program, interfaces, **{f"/{path}": text})
    with pytest.raises(GuestUnsupported, match=f"/{path} in the guest .*{line}.*remove it") as told:
        examine(made, SYSTEM)
    assert "which each clone would have too" in str(told.value)


DYNAMIC = [
    ("networkd", NETWORKD, "[Match]\nName=e*\n[Network]\nDHCP=yes\nDNS=192.0.2.53\n"),
    ("netplan", NETPLAN, DHCP_BY_NETPLAN),
    ("nm", KEYFILE, "[ipv4]\nmethod=auto\n"),
    ("nm", IFCFG, "BOOTPROTO=dhcp\n"),
    ("nm", KEYFILE, "[ipv4]\ndhcp-client-id=mac\ndhcp-send-hostname=true\n"),
    ("nm", IFCFG, 'DHCP_HOSTNAME=""\nDHCP_CLIENT_ID=\nPERSISTENT_DHCLIENT=1\n'),
    ("netplan", NETPLAN, "      match: {macaddress: 52:54:00:00:00:09}\n      dhcp4: true\n"),
    ("netplan", NETPLAN, "      dhcp4-overrides: {send-hostname: true, use-hostname: no}\n"),
    ("netplan", NETPLAN, "      macaddress: random\n"),
]


@pytest.mark.parametrize(("program", "path", "text"), DYNAMIC)
def test_who_configures_all_interfaces_is_named(program: str, path: str, text: str) -> None:
    made = guest(program, ONLY_LO, **{f"/{path}": text})
    with pytest.raises(GuestUnsupported, match=rf"configured by .* \(/{path}\), while .*names no"):
        examine(made, SYSTEM)


@pytest.mark.parametrize(("program", "path", "text"), DYNAMIC)
def test_dhcp_beside_ifupdown_is_no_reason(program: str, path: str, text: str) -> None:
    assert examine(guest(program, **{f"/{path}": text}), SYSTEM).facts.interfaces


@pytest.mark.parametrize(
    ("program", "path", "text"),
    [
        ("none", NETPLAN, "      addresses: [192.0.2.9/24]\n"),
        ("none", KEYFILE, "[ipv4]\nmethod=manual\n"),
        ("networkd", "usr/lib/systemd/network/80-ve.network", "[Network]\nAddress=0.0.0.0/28\n"),
        ("networkd", "usr/lib/systemd/network/80-host0.network", "[Network]\nDHCP=yes\n"),
        ("networkd", "etc/systemd/networkd.conf", "[DHCPv4]\n#DUIDRawData=\nDUIDRawData=\n"),
        ("none", "etc/rc.local", "# ip addr add 192.0.2.9/24 dev eth0\nip route add default\n"),
        (
            "udevd",
            "etc/systemd/network/a.link",
            "[Match]\nMACAddress=52:54:0:0:0:9\n[Link]\nName=e\n",
        ),
        ("dhclient", "etc/dhcp/dhclient.conf", "#lease {\n#  fixed-address 192.0.2.9;\n#}\n"),
        ("none", "etc/network/if-up.d/a", 'ip addr add "$ADDRESS" dev eth0\n'),
        (
            "dhcpcd",
            "etc/dhcpcd.conf",
            "#static ip_address=192.0.2.9/24\nclientid\nduid ll\nhostname\n",
        ),
    ],
)
def test_what_nobody_uses_or_shares_is_no_reason(program: str, path: str, text: str) -> None:
    assert examine(guest(program, ONLY_LO, **{f"/{path}": text}), SYSTEM).facts.network


def test_a_masked_file_is_no_reason() -> None:
    made = guest("networkd")
    made.add_other("/dev/null")
    made.add_link("/usr/lib/systemd/network/a.network", "/dev/null")
    assert examine(made, SYSTEM).facts.interfaces


@pytest.mark.parametrize(
    ("option", "refused"),
    [
        ("up ip addr add 192.0.2.9/24 dev eth0", True),
        ("post-up /sbin/ip -4 address add 192.0.2.9/24 dev $IFACE || true", True),
        ("pre-up ip link set dev eth0 address 52:54:00:00:00:09", True),
        ("up ip addr a 192.0.2.9/24 dev eth0", True),
        ("up ip -6 ad add 2001:db8::9/64 dev eth0", True),
        ("up ip l set dev eth0 addr 52:54:00:00:00:09", True),
        ("up ip addr show dev eth0 up", False),
        ("up ip link add name a type dummy", False),
        ("up ifconfig eth0:0 192.0.2.9 netmask 255.255.255.0", True),
        ("up ifconfig eth0 hw ether 52:54:00:00:00:09", True),
        ("post-up /usr/local/bin/address eth0", True),
        ("post-up /usr/local/bin/harmless eth0", False),
        ("up ip route add 198.51.100.0/24 via 192.0.2.1", False),
        ("up ip link set dev eth0 mtu 9000", False),
        ("up ethtool -K eth0 tso off", False),
        ("down ip addr flush dev eth0", False),
    ],
)
def test_commands_in_interfaces(option: str, refused: bool) -> None:
    made = guest("none", f"auto eth0\niface eth0 inet manual\n    {option}\n")
    made.add_file("/usr/local/bin/address", "#!/bin/sh\nip addr add 192.0.2.9/24 dev $1\n")
    made.add_file("/usr/local/bin/harmless", "#!/bin/sh\n# ip addr add\nip link set $1 up\n")
    if refused:
        with pytest.raises(GuestUnsupported, match="gives an address to 'eth0 inet manual'"):
            examine(made, SYSTEM)
    else:
        assert examine(made, SYSTEM).facts.interfaces[0].options == (option,)


def test_commands_are_told_from_others() -> None:
    assert gives_address("ip a a 192.0.2.9/24 dev eth0")
    assert not gives_address("echo ip; ip route add 192.0.2.0/24 dev eth0")


@pytest.mark.parametrize(
    "servers",
    [
        "nameservers: {addresses: [192.0.2.53]}",
        "nameservers:\n        addresses: [192.0.2.53]",
        '"nameservers": {"addresses": [192.0.2.53]}',
    ],
)
def test_servers_of_names_are_no_addresses(servers: str) -> None:
    text = f"network:\n  ethernets:\n    eth0:\n      {servers}\n      dhcp4: true\n"
    left = without_others(text)
    assert "addresses" not in left
    assert "dhcp4: true" in left


def test_a_map_in_a_map_is_not_cut_in_the_middle() -> None:
    text = "    eth0: {match: {of: {driver: virtio}}, dhcp4: true}"
    assert without_others(text) == text


@pytest.mark.parametrize(
    ("option", "is_shared"),
    [
        ("address 127.0.0.1", False),
        ("address  127.0.0.1/8", False),
        ("address\t\t::1/128", False),
        ("address ::1", False),
        ("hwaddress random", False),
        ("hwaddress  random ", False),
        ("hwaddress ether random", False),
        ("hwaddress  ether  random", False),
        ("hostname  ", False),
        ("address  192.0.2.9", True),
        ("address ::1:9", True),
        ("hwaddress ether  52:54:00:00:00:09", True),
        ("hostname random", True),
        ("client  01:02", True),
    ],
)
def test_options_of_interfaces_that_clones_would_share(option: str, is_shared: bool) -> None:
    text = f"auto eth0\niface eth0 inet dhcp\n  {option}\n  mtu 9000\n"
    made = FakeFilesystem({"/sbin/ifup": "", "/etc/network/interfaces": text})
    (file,) = found(made)
    assert file.static == (option.strip() if is_shared else "")
