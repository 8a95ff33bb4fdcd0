# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""interfaces(5): what is read of a guest's, and what is written for a clone."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc

import pytest
from maglica.guest.edits import Write
from maglica.guest.facts import GuestFacts, GuestInterface
from maglica.guest.identity import NicIdentity
from maglica.guest.network import ifupdown
from maglica.guest.network.family import Network
from maglica.guest.network.ifupdown import INTERFACES, RULES, examine, plan
from maglica.guest.network.resolver import RESOLV_CONF
from maglica.model.errors import GuestUnsupported
from support.fake_filesystem import FakeFilesystem

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03")
LO = "auto lo\niface lo inet loopback\n\n"
SOURCE = "\nsource /etc/network/interfaces.d/*\n"


def facts(*interfaces: GuestInterface, **changes: object) -> GuestFacts:
    made = GuestFacts((), "debian", "12", "ifupdown", "image", "", True, tuple(interfaces))
    return dataclasses.replace(made, **changes)


def read(text: str, **files: str) -> Network:
    guest = FakeFilesystem({INTERFACES: text})
    for name, content in files.items():
        guest.add_file(f"/etc/network/interfaces.d/{name}", content)
    return examine(guest)


def files_of(facts: GuestFacts, *nics: NicIdentity) -> dict[str, str]:
    edits = plan(facts, nics)
    return {edit.path: edit.content.decode() for edit in edits if isinstance(edit, Write)}


# --- reading


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, False),
        ({INTERFACES: ""}, False),
        ({"/usr/sbin/ifup": ""}, False),
        ({INTERFACES: "", "/usr/sbin/ifup": ""}, True),
        ({INTERFACES: "", "/sbin/ifup": ""}, True),
    ],
)
def test_used(files: dict[str, str], expected: bool) -> None:
    assert ifupdown.used(FakeFilesystem(files)) is expected


@pytest.mark.parametrize(
    ("text", "interfaces"),
    [
        ("", ()),
        ("auto lo\niface lo inet loopback\n", ()),
        ("iface eth0 inet dhcp", (GuestInterface("eth0"),)),
        ("allow-hotplug eth0\niface eth0 inet dhcp\n", (GuestInterface("eth0", hotplug=True),)),
        ("iface eth0 inet dhcp\n  hwaddress 52:54:00:12:34:56\n", (GuestInterface("eth0"),)),
        (
            "auto eth1 eth0\niface eth1 inet manual\niface eth0 inet6 auto\n",
            (GuestInterface("eth1"), GuestInterface("eth0", inet6="auto")),
        ),
        (
            "iface eth0 inet dhcp\n\tmtu 9000\n  up echo a \\\n   b\n# up no\n"
            "iface eth0 inet6 dhcp\n"
            "  accept_ra 2\n",
            (
                GuestInterface(
                    *("eth0", False, "dhcp", ("mtu 9000", "up echo a    b")),
                    inet6_options=("accept_ra 2",),
                ),
            ),
        ),
        ("# c \\\niface eth0 inet dhcp\n", (GuestInterface("eth0"),)),
        (
            "iface eth0 inet static\n mtu 9000\n up echo a\n"
            "iface eth0 inet static\n mtu 9000\n up echo b\n metric 5\n",
            (GuestInterface("eth0", options=("mtu 9000", "up echo a", "up echo b", "metric 5")),),
        ),
    ],
)
def test_interfaces(text: str, interfaces: tuple[GuestInterface, ...]) -> None:
    assert read(text).interfaces == interfaces


def test_static_addresses_are_known_and_not_kept() -> None:
    found = read(
        "iface eth0 inet static\n address 192.0.2.1/24\n gateway 192.0.2.254\n"
        " dns-nameservers 192.0.2.53\niface eth0:1 inet static\n address 192.0.2.2\n"
        " netmask 255.255.255.0\niface eth0 inet6 static\n address 2001:db8::1/64\n"
    )
    assert found.addresses == ("192.0.2.1", "192.0.2.2", "2001:db8::1")
    assert found.interfaces == (GuestInterface("eth0"),)


def test_loopback_keeps_its_options() -> None:
    found = read("iface lo inet loopback\n up ip route add blackhole 192.0.2.0/24\n")
    assert found.loopback.options == ("up ip route add blackhole 192.0.2.0/24",)


@pytest.mark.parametrize(
    "line",
    [
        "source /etc/network/interfaces.d/*",
        "source interfaces.d/*",
        "source-directory /etc/network/interfaces.d",
        "source-directory interfaces.d/",
    ],
)
def test_sourced_files(line: str) -> None:
    found = read(line, eth1="iface eth1 inet dhcp\n")
    assert found.interfaces == (GuestInterface("eth1"),)
    assert found.files == ("/etc/network/interfaces.d/eth1",)


def test_a_crowd_of_sourced_files_is_not_read() -> None:
    crowd = {f"file{number}": "" for number in range(65)}
    with pytest.raises(GuestUnsupported, match="it sources 65 files, more than 64"):
        read(SOURCE, **crowd)
    # The options of one interface, a stanza after the other, are copied with each.
    crowd = {f"file{number}": "#" + "x" * (200 << 10) for number in range(2)}
    with pytest.raises(GuestUnsupported, match="it sources more than 262144 bytes"):
        read(SOURCE, **crowd)


def test_too_many_stanzas_are_refused() -> None:
    """Each is compared with all that was said before: thousands of them would take minutes."""
    with pytest.raises(GuestUnsupported, match="it has more than 500 stanzas"):
        read("iface lan inet dhcp\n" * 300 + SOURCE, more="iface lan inet dhcp\n" * 200)


def test_files_that_a_sourced_file_sources_are_not_passed_over() -> None:
    with pytest.raises(GuestUnsupported, match="it sources '/etc/network/site/"):
        read(SOURCE, lan="source /etc/network/site/*\n")


def test_a_line_goes_on_without_a_blank() -> None:
    found = read("if\\\nace eth0 inet static\n add\\\nress 192.0.2.5/24\n")
    assert (found.interfaces, found.addresses) == ((GuestInterface("eth0"),), ("192.0.2.5",))


def test_files_that_are_not_sourced_do_not_count() -> None:
    found = read("iface eth0 inet dhcp\n", eth1="iface br0 inet dhcp\n bridge_ports eth0\n")
    assert (found.interfaces, found.files) == ((GuestInterface("eth0"),), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("source /etc/elsewhere/*", "sources '/etc/elsewhere/"),
        ("source-directory /etc/network/../ssh", "sources"),
        ("source", "sources ''"),
        ("mapping eth0\n script x\n", "has a mapping"),
        ("rename a=b\n", "has a rename"),
        ("template x\n", "has a template"),
        ("iface br0 inet dhcp\n bridge_ports eth0\n", "'br0' has 'bridge_ports'"),
        ("iface bond0 inet dhcp\n bond-slaves eth0\n", "'bond0' has 'bond-slaves'"),
        ("iface v inet dhcp\n vlan-raw-device eth0\n", "has 'vlan-raw-device'"),
        ("iface wlan0 inet dhcp\n wpa-ssid x\n", "has 'wpa-ssid'"),
        (
            "iface wg0 inet static\n pre-up ip link add $IFACE type wireguard\n",
            "is made by 'pre-up",
        ),
        ("iface wg0 inet static\n pre-up ip -4 l a dev wg0 type wireguard\n", "'wg0' is made by"),
        ("iface mv0 inet dhcp\n pre-up ip link add link eth0 name mv0 type macvlan\n", "'mv0' is"),
        ("iface br0 inet dhcp\n pre-up brctl addbr br0\n", "'br0' is made by 'pre-up brctl"),
        ("iface eth0 inherits eth1\n", "'iface eth0 inherits eth1'|'eth0' is of the kind"),
        ("iface eth0.5 inet dhcp\n", "'eth0.5'"),
        ("iface /eth*=x inet dhcp\n", "/eth"),
        ("iface ppp0 inet ppp\n", "'inet ppp'"),
        ("iface can0 can static\n", "'can static'"),
        ("iface eth0 inet\n", "'iface eth0 inet'"),
        ('iface a",RUN+="x inet dhcp\n', "interface"),
        ("iface averyveryverylongname inet dhcp\n", "averyvery"),
    ],
)
def test_unsupported(text: str, problem: str) -> None:
    with pytest.raises(GuestUnsupported, match=problem) as caught:
        read(text)
    assert "/etc/network/interfaces can't be customized" in str(caught.value)


# --- writing


def test_dhcp() -> None:
    files = files_of(facts(GuestInterface("eth0")), NicIdentity(MACS[0]))
    assert files == {
        INTERFACES: f"{LO}auto eth0\niface eth0 inet dhcp\n{SOURCE}",
        RULES: 'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*",'
        f' ATTR{{address}}=="{MACS[0]}", ATTR{{type}}=="1", NAME="eth0"\n',
    }


def test_what_the_image_had_is_kept() -> None:
    interface = GuestInterface("ens3", hotplug=True, inet6="auto", options=("mtu 9000",))
    loopback = GuestInterface("lo", options=("up true",))
    files = files_of(facts(interface, loopback=loopback), NicIdentity(MACS[0]))
    assert files[INTERFACES] == (
        "auto lo\niface lo inet loopback\n    up true\n\n"
        "allow-hotplug ens3\niface ens3 inet dhcp\n    mtu 9000\niface ens3 inet6 auto\n" + SOURCE
    )


def test_static() -> None:
    nic = NicIdentity(
        MACS[0],
        addresses=("192.0.2.7/24", "192.0.2.8/24", "2001:db8::7/64"),
        gateways=("2001:db8::1", "192.0.2.1"),
        nameservers=("192.0.2.53", "2001:db8::53"),
        search=("example.jp",),
    )
    files = files_of(facts(GuestInterface("eth0", inet6="auto", options=("mtu 1400",))), nic)
    assert files[INTERFACES] == (
        f"{LO}auto eth0\niface eth0 inet static\n    address 192.0.2.7/24\n"
        "    gateway 192.0.2.1\n    dns-nameservers 192.0.2.53 2001:db8::53\n"
        "    dns-search example.jp\n    mtu 1400\n"
        "iface eth0 inet static\n    address 192.0.2.8/24\n"
        "iface eth0 inet6 static\n    address 2001:db8::7/64\n    gateway 2001:db8::1\n" + SOURCE
    )
    assert files[RESOLV_CONF] == (
        "search example.jp\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    )


def test_only_ipv6_is_static() -> None:
    files = files_of(facts(GuestInterface("eth0")), NicIdentity(MACS[0], ("2001:db8::7/64",)))
    assert "inet dhcp" not in files[INTERFACES]
    assert "iface eth0 inet6 static\n    address 2001:db8::7/64\n" in files[INTERFACES]


def test_automatic_ipv6_stays_beside_static_ipv4() -> None:
    interface = GuestInterface("eth0", inet6="auto")
    files = files_of(facts(interface), NicIdentity(MACS[0], ("192.0.2.7/24",)))
    assert files[INTERFACES].endswith(f"\niface eth0 inet6 auto\n{SOURCE}")


def test_a_managed_resolv_conf_is_left_alone() -> None:
    nic = NicIdentity(MACS[0], ("192.0.2.7/24",), nameservers=("192.0.2.53",))
    assert RESOLV_CONF not in files_of(facts(GuestInterface("eth0"), resolver="managed"), nic)


@pytest.mark.parametrize(
    ("interfaces", "count", "names"),
    [
        ((), 2, ["net0", "net1"]),
        (("eth0",), 3, ["eth0", "eth1", "eth2"]),
        (("eth1",), 3, ["eth0", "eth1", "eth2"]),
        (("ens3", "net0"), 3, ["ens3", "net0", "net1"]),
        (("eth0", "eth1"), 1, ["eth0"]),
        (("eth0",), 0, []),
    ],
)
def test_names(interfaces: tuple[str, ...], count: int, names: list[str]) -> None:
    nics = [NicIdentity(mac) for mac in MACS[:count]]
    files = files_of(facts(*map(GuestInterface, interfaces)), *nics)
    rules = files[RULES].splitlines()
    assert [line.rpartition('NAME="')[2].rstrip('"') for line in rules] == names
    assert [name for name in names if f"iface {name} inet dhcp" in files[INTERFACES]] == names


@pytest.mark.parametrize("sources", [True, False])
def test_files_that_the_image_does_not_read_stay_unread(sources: bool) -> None:
    found = read(f"{LO}{SOURCE if sources else ''}", other="iface eth0 inet dhcp\n")
    assert found.drop_ins is sources
    assert bool(found.files) is sources
    text = files_of(facts(drop_ins=found.drop_ins), NicIdentity(MACS[0]))[INTERFACES]
    assert (SOURCE in text) is sources


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (("eth1", "eth0"), ["eth0", "eth1"]),
        (("eth1",), ["eth0", "eth1"]),
        (("eth10", "eth9"), ["eth9", "eth10"]),
        (("lan", "eth0"), ["lan", "eth0"]),
    ],
)
def test_no_card_is_to_have_the_name_of_a_later_one(
    image: tuple[str, ...], names: list[str]
) -> None:
    """The kernel calls them eth0 and eth1, and udev can't exchange two names."""
    files = files_of(facts(*map(GuestInterface, image)), *map(NicIdentity, MACS[:2]))
    assert re.findall(r'NAME="(\w+)"', files[RULES]) == names
    assert re.findall(r"iface (\w+) inet dhcp", files[INTERFACES]) == names


def test_scripts_are_read_one_after_the_other() -> None:
    """All that an option may name together would fill this host's memory."""
    names = [f"/etc/s/{number}" for number in range(100)]
    text = f"auto eth0\niface eth0 inet dhcp\n    up run {' '.join(names)}\n"
    made = FakeFilesystem({INTERFACES: text})
    script = b"#" * 200_000
    for name in names:
        made.add_file(name, script)
    tracemalloc.start()
    try:
        assert len(examine(made).interfaces) == 1
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("inet6", "addresses", "stanza"),
    [
        ("auto", (), "iface eth0 inet6 auto\n"),
        (None, ("192.0.2.7/24",), "iface eth0 inet6 manual\n"),
        (None, ("2001:db8::7/64", "192.0.2.7/24"), "iface eth0 inet6 static\n"),
    ],
)
def test_options_of_ipv6_stay_with_it(
    inet6: str | None, addresses: tuple[str, ...], stanza: str
) -> None:
    """As options of IPv4 they say nothing to ifupdown: router advertisements would count again."""
    interface = GuestInterface("eth0", False, inet6, ("mtu 9000",), ("accept_ra 0",))
    text = files_of(facts(interface), NicIdentity(MACS[0], addresses))[INTERFACES]
    _lo, *stanzas = text.split("\niface ")[1:]
    of_inet, of_inet6 = sorted(stanzas, key=lambda each: "inet6" in each)
    assert of_inet.startswith("eth0 inet ")
    assert "    mtu 9000" in of_inet
    assert f"iface {of_inet6}".startswith(stanza)
    assert "    accept_ra 0" in of_inet6
