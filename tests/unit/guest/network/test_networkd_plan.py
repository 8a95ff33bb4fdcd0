# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network files of networkd that a clone gets."""

from __future__ import annotations

import dataclasses

from maglica.guest.edits import Write
from maglica.guest.facts import GuestFacts, GuestInterface
from maglica.guest.identity import NicIdentity
from maglica.guest.network.networkd import ETC, FAMILY, plan
from maglica.guest.network.resolver import RESOLV_CONF

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03")
OUR = f"{ETC}/00-maglica-{{}}.network"


def facts(*interfaces: GuestInterface, **changes: object) -> GuestFacts:
    made = GuestFacts((), "debian", "12", FAMILY.name, "image", "", True, tuple(interfaces))
    return dataclasses.replace(made, **changes)


def files_of(facts: GuestFacts, *nics: NicIdentity) -> dict[str, str]:
    edits = plan(facts, nics)
    return {edit.path: edit.content.decode() for edit in edits if isinstance(edit, Write)}


def test_dhcp() -> None:
    assert files_of(facts(GuestInterface("", inet6="dhcp")), NicIdentity(MACS[0])) == {
        OUR.format(0): f"[Match]\nMACAddress={MACS[0]}\nType=ether\n\n[Network]\nDHCP=yes\n"
    }
    assert "DHCP=ipv4\n" in files_of(facts(), NicIdentity(MACS[0]))[OUR.format(0)]


def test_static() -> None:
    nic = NicIdentity(
        MACS[0],
        addresses=("192.0.2.7/24", "192.0.2.8/24", "2001:db8::7/64"),
        gateways=("2001:db8::1", "192.0.2.1"),
        nameservers=("192.0.2.53", "2001:db8::53"),
        search=("example.jp", "example.com"),
    )
    options = ("[Network]", "DNS=192.0.2.99", "Domains=old", "IPv6AcceptRA=yes", "LLMNR=no")
    options += ("[Link]", "MTUBytes=1400")
    files = files_of(facts(GuestInterface("eth0", inet6="dhcp", options=options)), nic)
    assert files == {
        OUR.format(0): f"[Match]\nMACAddress={MACS[0]}\nType=ether\n\n[Network]\nDHCP=no\n"
        "Address=192.0.2.7/24\nAddress=192.0.2.8/24\nAddress=2001:db8::7/64\n"
        "DNS=192.0.2.53\nDNS=2001:db8::53\nDomains=example.jp example.com\nIPv6AcceptRA=no\n"
        "[Route]\nGateway=2001:db8::1\nGatewayOnLink=yes\n"
        "[Route]\nGateway=192.0.2.1\nGatewayOnLink=yes\n"
        "[Network]\nLLMNR=no\n[Link]\nMTUBytes=1400\n",
        RESOLV_CONF: "search example.jp example.com\nnameserver 192.0.2.53\n"
        "nameserver 2001:db8::53\n",
    }


def test_routers_may_advertise_themselves_where_no_gateway_for_ipv6_is_given() -> None:
    interface = GuestInterface("", options=("[Network]", "IPv6AcceptRA=yes"))
    nic = NicIdentity(MACS[0], ("192.0.2.7/24", "2001:db8::7/64"), ("192.0.2.1",))
    (text,) = files_of(facts(interface), nic).values()
    assert text.count("IPv6AcceptRA") == text.count("IPv6AcceptRA=yes\n") == 1


def test_the_old_name_does_not_undo_what_a_clone_says_of_routers() -> None:
    old = ("[Network]", "IPv6AcceptRouterAdvertisements=yes", "LLMNR=no")
    interface = GuestInterface("", options=old)
    nic = NicIdentity(MACS[0], ("2001:db8::7/64",), ("2001:db8::1",))
    (text,) = files_of(facts(interface), nic).values()
    assert text.count("IPv6Accept") == text.count("IPv6AcceptRA=no\n") == 1
    assert text.endswith("[Network]\nLLMNR=no\n")
    (text,) = files_of(facts(interface), NicIdentity(MACS[0])).values()
    assert text.count("IPv6Accept") == text.count(old[1]) == 1


def test_servers_of_the_image_stay_where_none_are_given() -> None:
    interface = GuestInterface("", options=("[Network]", "DNS=192.0.2.99"))
    (text,) = files_of(facts(interface), NicIdentity(MACS[0], ("192.0.2.7/24",))).values()
    assert text.endswith("DNS=192.0.2.99\n")


def test_automatic_ipv6_stays_beside_static_ipv4() -> None:
    interface = GuestInterface("", inet6="dhcp")
    (text,) = files_of(facts(interface), NicIdentity(MACS[0], ("192.0.2.7/24",))).values()
    assert "DHCP=ipv6\n" in text
    (text,) = files_of(facts(interface), NicIdentity(MACS[0], ("2001:db8::7/64",))).values()
    assert "DHCP=no\n" in text


def test_each_card_has_a_file_with_what_its_own_said() -> None:
    known = facts(
        GuestInterface("eth0", options=("[Link]", "MTUBytes=1400")),
        GuestInterface("", options=("[Link]", "MTUBytes=9000")),
        laid_out=tuple(OUR.format(number) for number in range(4)),
    )
    files = files_of(known, *map(NicIdentity, MACS))
    assert [f"MACAddress={mac}\n" in files[OUR.format(n)] for n, mac in enumerate(MACS)] == [
        True
    ] * 3
    sizes = [files[OUR.format(number)].rpartition("MTUBytes=")[2] for number in range(3)]
    assert sizes == ["1400\n", "9000\n", "9000\n"]
    # No card has a name that "*" does not match.
    assert files[OUR.format(3)].endswith("[Match]\nName=!*\n")
