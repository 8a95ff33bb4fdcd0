# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network files of networkd: what of a guest's is read, and what becomes of it."""

from __future__ import annotations

import pytest
from maglica.guest.base_plan import clean, lay_out
from maglica.guest.clone_plan import plan as clone_plan
from maglica.guest.edits import apply
from maglica.guest.facts import GuestInterface, Mount
from maglica.guest.filesystem import Kind
from maglica.guest.identity import Identity, NicIdentity
from maglica.guest.inspect import OperatingSystem
from maglica.guest.inspect import examine as inspect
from maglica.guest.network.family import Network
from maglica.guest.network.networkd import ETC, examine, used
from maglica.guest.network.resolver import RESOLV_CONF
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

MAC = "52:54:00:00:00:01"
SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)
ENABLED = "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
UNIT = "/lib/systemd/system/systemd-networkd.service"
LAN = f"{ETC}/20-lan.network"
DHCP = "[Match]\nName=e*\n[Network]\nDHCP=yes\n"
OUR = f"{ETC}/00-maglica-{{}}.network"
# As Debian has them in /lib/systemd/network.
SHIPPED = {
    "80-6rd-tunnel": "Name=6rd-*\nType=sit\n\n[Network]\nDHCPPrefixDelegation=yes\n",
    "80-container-host0": "Virtualization=container\nName=host0\n[Network]\nDHCP=yes\n",
    "80-container-vb": "Name=vb-*\nDriver=veth\n[Network]\nKeepMaster=yes\n",
    "80-container-ve": "Kind=veth\nName=ve-*\nDriver=veth\n[Network]\nAddress=0.0.0.0/28\n"
    "DHCPServer=yes\n",
    "80-vm-vt": "Name=vt-*\nDriver=tun\n[Network]\nAddress=0.0.0.0/28\nDHCPServer=yes\n",
    "80-wifi-adhoc": "Type=wlan\nWLANInterfaceType=ad-hoc\n[Network]\nLinkLocalAddressing=yes\n",
}


def guest(lan: str | None = DHCP, **files: str) -> FakeFilesystem:
    """Return a Debian guest with networkd; ``files`` are further .network files in /etc."""
    made = FakeFilesystem(debian.FILES)
    for path in ("/etc/network/interfaces.d/more", "/etc/network/interfaces", "/usr/sbin/ifup"):
        made.remove(path)
    made.add_file("/usr/lib/systemd/systemd-networkd")
    made.add_link(ENABLED, UNIT)
    for name, text in SHIPPED.items():
        made.add_file(f"/usr/lib/systemd/network/{name}.network", f"[Match]\n{text}")
    for name, text in {"20-lan": lan, **files}.items():
        if text is not None:
            made.add_file(f"{ETC}/{name}.network", text)
    return made


def read(*lines: str, match: str = "Name=e*") -> Network:
    return examine(guest("\n".join(("[Match]", match, *lines, ""))))


# --- who uses it


def test_a_guest_that_starts_networkd_for_a_card_uses_it() -> None:
    assert used(guest())
    assert not used(guest(lan=None))
    made = guest()
    made.remove(ENABLED)
    assert not used(made)
    made.add_link("/usr/lib/systemd/system/sockets.target.wants/systemd-networkd.socket", "x")
    assert used(made)
    made.add_link("/etc/systemd/system/systemd-networkd.service", "/dev/null")
    assert not used(made)


def test_a_program_that_is_not_there_uses_nothing() -> None:
    made = guest()
    made.remove("/usr/lib/systemd/systemd-networkd")
    assert not used(made)


def test_a_guest_of_two_families_is_refused_by_both_names() -> None:
    made = guest()
    made.add_file("/usr/sbin/ifup")
    made.add_file("/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    assert inspect(made, SYSTEM).facts.network == "systemd-networkd"
    made.add_file("/etc/network/interfaces", "iface eth0 inet dhcp\n")
    with pytest.raises(GuestUnsupported, match="by ifupdown and systemd-networkd"):
        inspect(made, SYSTEM)


def test_what_else_gives_addresses_refuses_the_image_still() -> None:
    made = guest()
    made.add_file("/usr/sbin/NetworkManager")
    made.add_file("/etc/NetworkManager/system-connections/lan", "[ipv4]\nmethod=manual\n")
    with pytest.raises(GuestUnsupported, match=r"lan in the guest \(NetworkManager\)"):
        inspect(made, SYSTEM)


# --- which cards a file is for


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("Name=*", [""]),
        ("Name=en*", [""]),
        ("Name=e[nt]*", [""]),
        ("Name=eth?", [""]),
        ("Name=enp1s0", ["enp1s0"]),
        ("Name=eth0 eth1", ["eth0", "eth1"]),
        ("Name=!lo docker0", [""]),
        ("Type=ether", [""]),
        ("Type=!loopback bridge", [""]),
        ("Name=en*\nKind=!*", [""]),
        ("Driver=virtio_net", [""]),
        ("Driver=!veth tun", [""]),
        ("MACAddress=52:54:00:12:34:56", ["52:54:00:12:34:56"]),
        ("Name=en*\nPermanentMACAddress=52-54-00-12-34-56", ["52-54-00-12-34-56"]),
        ("Path=pci-0000:01:00.0", ["pci-0000:01:00.0"]),
        ("Path=pci-*", [""]),
        ("Name=en*\nHost=image\nVirtualization=kvm\nKernelVersion=>5", [""]),
        ("Name=en*\nName=\nName=eth7", ["eth7"]),
        ("Name=lan0", ["lan0"]),
        ("Name=dmz*", [""]),
        ("", [""]),
        ("Name=wg0", []),
        ("Name=!*", []),
        ("Name=v*", []),
        ("Name=lo", []),
        ("Name=br0 veth*", []),
        ("Type=wlan", []),
        ("Type=!ether", []),
        ("Kind=veth", []),
        ("Driver=tun", []),
        ("Name=e*\nVirtualization=container", []),
        ("SSID=home", []),
    ],
)
def test_cards(match: str, names: list[str]) -> None:
    made = guest(f"[Match]\n{match}\n[Network]\nDHCP=yes\n")
    made.add_file(f"{ETC}/10-lan.link", "[Match]\nPath=pci-0000:01:00.0\n[Link]\nName=lan0\n")
    made.add_file("/etc/udev/rules.d/70-net.rules", 'KERNEL=="eth*", NAME="dmz1"\n')
    assert [interface.name for interface in examine(made).interfaces] == names


def test_a_file_without_match_is_for_any_card() -> None:
    assert [each.name for each in examine(guest("[Network]\nDHCP=yes\n")).interfaces] == [""]


def test_what_networkd_leaves_alone_is_no_card() -> None:
    assert read("[Link]", "Unmanaged=yes").interfaces == ()


def test_cards_come_in_the_order_of_files() -> None:
    """After a file for any card none is left for the rest; shipped files count as well."""
    made = guest(
        **{
            "10-b": "[Match]\nName=eth1\n",
            "30-c": "[Match]\nName=eth2\n",
            "15-a": "[Match]\nName=eth0\n",
        }
    )
    assert [each.name for each in examine(made).interfaces] == ["eth1", "eth0", ""]
    made.add_file("/usr/lib/systemd/network/05-x.network", "[Match]\nName=ens9\n")
    assert [each.name for each in examine(made).interfaces] == ["ens9", "eth1", "eth0", ""]


# --- what is taken over


def test_what_says_nothing_of_the_image_is_kept() -> None:
    found = read(
        *("[Link]", "MTUBytes=1400", "MACAddress=52:54:00:12:34:56"),
        *("[Network]", "DHCP=yes", "LLMNR=no", "DNS=192.0.2.53", "IPv6Token=::10"),
        *("[DHCPv4]", "Hostname=image", "SendHostname=no", "UseMTU=yes", "IAID=7"),
        *("DUIDRawData=00:01", "SendOption=12:string:image", "SendOption=77:string:x"),
        *("SendOption=0x3d:string:image", "SendOption=075:string:image"),
        *("RequestAddress=192.0.2.9", "ClientIdentifier=mac"),
        *("[DHCPv6]", "SendOption=39:string:image", "[SR-IOV]", "MACAddress=52:54:00:12:34:57"),
        *("[IPv6AcceptRA]", "Token=static:::10", "Token=prefixstable"),
    )
    (interface,) = found.interfaces
    assert interface.inet6 == "dhcp"
    assert interface.options == (
        *("[Link]", "MTUBytes=1400", "[Network]", "LLMNR=no", "DNS=192.0.2.53"),
        *("[DHCPv4]", "UseMTU=yes", "SendOption=77:string:x", "ClientIdentifier=mac"),
        *("[IPv6AcceptRA]", "Token=prefixstable"),
    )
    assert found.files == (LAN,)


def test_static_addresses_are_known_and_not_kept() -> None:
    found = read(
        *("[Network]", "Address=192.0.2.10/24", "Gateway=192.0.2.1", "NTP=192.0.2.3"),
        *("[Address]", "Address=2001:db8::10/64", "Label=x"),
        *("[Route]", "Gateway=192.0.2.1"),
        *("[Route]", "Gateway=2001:db8::1", "Destination=::/0"),
        *("[Route]", "Destination=198.51.100.0/24", "Gateway=192.0.2.254"),
        *("[Route]", "Destination=203.0.113.0/24", "PreferredSource=192.0.2.10"),
        *("[RoutingPolicyRule]", "From=192.0.2.10", "Table=7"),
    )
    assert found.addresses == ("192.0.2.10", "2001:db8::10")
    assert found.files == (LAN,)
    (interface,) = found.interfaces
    assert interface == GuestInterface(
        *("", False, None),
        options=(
            *("[Network]", "NTP=192.0.2.3"),
            *("[Route]", "Destination=198.51.100.0/24", "Gateway=192.0.2.254"),
        ),
    )


@pytest.mark.parametrize(
    ("dhcp", "inet6"),
    [
        ("yes", "dhcp"),
        ("ipv6", "dhcp"),
        ("both", "dhcp"),
        ("ipv4", None),
        ("no", None),
        ("v4", None),
    ],
)
def test_dhcp_of_the_image(dhcp: str, inet6: str | None) -> None:
    assert read("[Network]", f"DHCP={dhcp}").interfaces[0].inet6 == inet6


def test_drop_ins_are_read_and_go_with_what_is_the_image_s() -> None:
    made = guest()
    made.add_file(f"{LAN}.d/a.conf", "[Link]\nMTUBytes=9000\n")
    made.add_file(f"{LAN}.d/b.conf", "[Network]\nAddress=192.0.2.10/24\n")
    found = examine(made)
    assert found.interfaces[0].options == ("[Link]", "MTUBytes=9000")
    assert found.addresses == ("192.0.2.10",)
    assert found.files == (f"{LAN}.d/b.conf",)


@pytest.mark.parametrize(
    ("name", "text", "goes"),
    [
        # It is applied to no card of a clone's, but to one that is added later.
        ("20-lan", DHCP, False),
        ("20-lan", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n", True),
        ("20-lan", "[Match]\nMACAddress=52:54:00:12:34:56\n", True),
        ("00-lan", DHCP, True),
        ("00-maglica-0", "[Match]\nMACAddress=52:54:00:12:34:56\nType=ether\n", True),
        ("20-lan", f"{DHCP}[DHCPv4]\nHostname=image\n", True),
        ("30-docker", "[Match]\nName=docker*\n[Link]\nUnmanaged=yes\n", False),
    ],
)
def test_what_would_be_applied_to_a_clone_s_cards_goes(name: str, text: str, goes: bool) -> None:
    path = f"{ETC}/{name}.network"
    assert (path in examine(guest(lan=None, **{name: text})).files) is goes


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        (LAN, f"{DHCP}Bridge=br0\n", f"{LAN} in the guest has 'Bridge=br0'"),
        (LAN, f"{DHCP}Bond=b\n", "'Bond=b'"),
        (LAN, f"{DHCP}VLAN=v5\n", "'VLAN=v5'"),
        (LAN, f"{DHCP}DHCPServer=yes\n", "'DHCPServer=yes'"),
        (f"{LAN}.d/a.conf", "[Network]\nMACVLAN=m\n", r"a\.conf in the guest has 'MACVLAN=m'"),
        (f"{ETC}/br0.netdev", "[NetDev]\nName=br0\nKind=bridge\n", r"br0\.netdev .*bridges, bonds"),
        (f"{ETC}/a.link", "[Match]\nMACAddress=52:54:0:0:0:9\n[Link]\nName=e\n", r"a\.link .*'MAC"),
        (f"{ETC}/a.link", "[Match]\nHost=image\n[Link]\nName=e\n", "'Host=image'"),
        ("/etc/systemd/networkd.conf", "[DHCPv4]\nDUIDRawData=00:01\n", "'DUIDRawData=00:01'"),
        ("/usr/local/lib/systemd/networkd.conf", "[DHCPv4]\nDUIDRawData=00:01\n", "each clone"),
        ("/usr/lib/systemd/networkd.conf.d/a.conf", "[DHCP]\nDUIDRawData=00:01\n", "each clone"),
        (f"{ETC}/lo.network", "[Match]\nName=lo\n[Network]\nAddress=192.0.2.9/32\n", "each clone"),
        (
            f"{ETC}/wg0.network",
            "[Match]\nName=wg0\n[Address]\nAddress=192.0.2.9/32\n",
            "'Address=1",
        ),
        (
            "/usr/lib/systemd/network/10-x.network",
            "[Match]\nName=e*\n[Network]\nAddress=192.0.2.9/24\n",
            "10-x.network in the guest .systemd-networkd. has 'Address=192.0.2.9/24', which each",
        ),
        ("/usr/lib/systemd/network/00-a.network", DHCP, "00-a.network .*give it a later name"),
    ],
)
def test_refused(path: str, text: str, problem: str) -> None:
    made = guest()
    made.add_file(path, text)
    with pytest.raises(GuestUnsupported, match=problem) as told:
        examine(made)
    assert "\n" not in str(told.value)


def test_what_is_switched_off_is_no_reason() -> None:
    made = guest()
    for name in ("a.netdev", "b.network", "c.link"):
        made.add_file(f"{ETC}/{name}", "")
    made.add_file("/usr/lib/systemd/network/b.network", "[Address]\nAddress=192.0.2.9/24\n")
    made.add_file("/etc/systemd/networkd.conf", "[DHCPv4]\n#DUIDRawData=\nDUIDType=uuid\n")
    assert examine(made).files == ()


def test_servers_for_names_need_somebody_who_reads_them() -> None:
    made = guest()
    made.add_link(RESOLV_CONF, "../run/systemd/resolve/stub-resolv.conf")
    with pytest.raises(GuestUnsupported, match="is a link, and systemd-resolved"):
        examine(made)
    made.add_file("/usr/lib/systemd/systemd-resolved")
    assert inspect(made, SYSTEM).facts.resolver == "managed"


# --- bases and clones


@pytest.mark.parametrize("fill", ["", "0123456789abcdef"])
def test_base_and_clone(fill: str) -> None:
    """A base has files for some cards, which each clone fills; what it had goes or stays."""
    made = guest("[Match]\nName=eth0\n[Network]\nAddress=192.0.2.10/24\n")
    made.add_file("/var/lib/systemd/network/dhcp-server-lease/eth0")
    findings = inspect(made, SYSTEM)
    assert findings.facts.hostname == debian.HOSTNAME
    edits, base = lay_out(findings, fill)
    apply((*clean(findings), *edits), made)
    ours = [path for path in base.laid_out if path.startswith(ETC)]
    assert len(ours) == (4 if fill else 1)
    assert made.kind(LAN) is Kind.ABSENT
    assert made.glob("/var/lib/systemd/network/dhcp-server-lease/*") == ()
    identity = Identity("vm0", "0" * 32, (NicIdentity(MAC),))
    apply(clone_plan(base, identity), made, base.laid_out)
    assert f"MACAddress={MAC}" in made.text(OUR.format(0))
    assert "image.example.jp db" not in made.text("/etc/hosts")
    # A clone that has become an image is one as well.
    again = inspect(made, SYSTEM)
    assert again.facts.interfaces[0].name == MAC
    assert OUR.format(0) in again.network_files


def test_a_clone_writes_all_that_its_base_has() -> None:
    _edits, base = lay_out(inspect(guest(), SYSTEM), "0123456789abcdef")
    for count in (0, 1, 2, 4):
        nics = tuple(NicIdentity(f"52:54:00:00:00:0{number}") for number in range(count))
        written = {edit.path for edit in clone_plan(base, Identity("vm0", "0" * 32, nics))}
        assert {path for path in base.laid_out if "ssh_host" not in path} == written
