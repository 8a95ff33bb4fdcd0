# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.libvirtd.addresses import (
    ANY,
    AddressFamily,
    Lease,
    Preference,
    check_network,
    choose,
    with_addresses,
    with_leases,
)
from maglica.model.errors import ConfigInvalid
from maglica.model.vm import Interface

A, B = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
NICS = (Interface(A, "default"), Interface(B, "lab"))


def test_the_newest_lease_comes_first() -> None:
    leases = [
        Lease("default", A, "192.0.2.1", 100),
        Lease("default", A, "192.0.2.2", 200),
        Lease("default", A, "192.0.2.2", 150),
        Lease("default", A, "2001:db8::2", 0),
    ]
    first, second = with_leases(NICS, leases)
    assert first.addresses == ("2001:db8::2", "192.0.2.2", "192.0.2.1")
    assert second.addresses == ()


def test_a_lease_on_another_network_does_not_count() -> None:
    # Otherwise a guest could draw a name to itself by another's MAC address.
    assert with_leases(NICS, [Lease("lab", A, "192.0.2.1", 1)]) == NICS


def test_addresses_by_mac() -> None:
    first, second = with_addresses(NICS, {A: ["192.0.2.1", "192.0.2.1"], "ff": ["192.0.2.9"]})
    assert (first.addresses, second.addresses) == (("192.0.2.1",), ())


@pytest.mark.parametrize(
    "text",
    ["", "x", "$(id)", "-oProxyCommand=id", "2001:db8::1%$(id)", "fe80::1%eth0", "192.0.2.1\n"],
)
def test_what_is_no_address(text: str) -> None:
    first, _second = with_addresses(NICS, {A: [text, "192.0.2.1"]})
    assert first.addresses == ("192.0.2.1",)
    assert with_leases(NICS, [Lease("default", A, text, 1)]) == NICS
    assert choose([Interface(A, "default", (text,))], ANY) is None


@pytest.mark.parametrize(
    ("addresses", "preference", "chosen"),
    [
        (((), ()), ANY, None),
        ((("192.0.2.1",), ("198.51.100.1",)), ANY, "192.0.2.1"),
        ((("2001:db8::1", "192.0.2.1"), ()), ANY, "192.0.2.1"),
        ((("2001:db8::1", "192.0.2.1"), ()), Preference(AddressFamily.IPV6), "2001:db8::1"),
        ((("2001:db8::1",), ()), ANY, "2001:db8::1"),
        ((("2001:db8::1",), ()), Preference(AddressFamily.IPV4_ONLY), None),
        ((("192.0.2.1",), ()), Preference(AddressFamily.IPV6_ONLY), None),
        ((("192.0.2.1",), ("198.51.100.1",)), Preference(networks=("lab",)), "198.51.100.1"),
        ((("192.0.2.1", "10.0.0.7"), ()), Preference(networks=("10.0.0.0/8",)), "10.0.0.7"),
        ((("192.0.2.1",), ("2001:db8::1",)), Preference(networks=("lab",)), "2001:db8::1"),
        ((("192.0.2.1",), ()), Preference(networks=("nowhere", "10.0.0.0/8")), "192.0.2.1"),
        ((("127.0.0.1", "169.254.1.1", "fe80::1", "::1", "0.0.0.0", "224.0.0.1"), ()), ANY, None),
        ((("::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:169.254.1.1"), ()), ANY, None),
        ((("0.0.0.1", "::127.0.0.1", "::ffff:0.1.2.3", "::1%lo"), ()), ANY, None),
        ((("::ffff:192.0.2.1",), ()), ANY, "192.0.2.1"),
        ((("::ffff:192.0.2.1",), ()), Preference(AddressFamily.IPV6_ONLY), None),
        ((("$(reboot)", "192.0.2.1;", "192.0.2.9"), ()), ANY, "192.0.2.9"),
    ],
)
def test_choose(
    addresses: tuple[tuple[str, ...], ...], preference: Preference, chosen: str | None
) -> None:
    nics = [Interface(A, "default", addresses[0]), Interface(B, "lab", addresses[1])]
    assert choose(nics, preference) == chosen


def test_check_network() -> None:
    assert check_network("default") == "default"
    assert check_network("10.0.0.0/8") == "10.0.0.0/8"
    with pytest.raises(ConfigInvalid, match="not a range of addresses"):
        check_network("10.0.0.1/8")
