# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network files of networkd that count, or don't, by what else there is of their name."""

from __future__ import annotations

import pytest
from maglica.guest.base_plan import clean
from maglica.guest.edits import apply
from maglica.guest.facts import Mount
from maglica.guest.filesystem import Kind
from maglica.guest.inspect import OperatingSystem
from maglica.guest.inspect import examine as inspect
from maglica.guest.network.networkd import ETC, examine
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

SYSTEM = OperatingSystem((Mount("/", "/dev/sda"),), "debian", "12", shared=True)
LIB = "/usr/lib/systemd/network"
DHCP = "[Match]\nName=e*\n[Network]\nDHCP=yes\n"
STATIC = "[Match]\nName=e*\n[Network]\nAddress=192.0.2.9/24\n"


def guest(**files: str) -> FakeFilesystem:
    """Return a Debian guest with networkd, and files by their paths."""
    made = FakeFilesystem(debian.FILES)
    for path in ("/etc/network/interfaces.d/more", "/etc/network/interfaces", "/usr/sbin/ifup"):
        made.remove(path)
    made.add_file("/usr/lib/systemd/systemd-networkd")
    made.add_link("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "x")
    for path, text in files.items():
        made.add_file(path, text)
    return made


@pytest.mark.parametrize(
    ("name", "text", "hidden", "problem"),
    [
        # Each clone's cards would have it, for it comes first.
        ("00-lan", STATIC, DHCP, f"{LIB}/00-lan.network in the guest comes before"),
        ("20-lan", STATIC, STATIC, f"{LIB}/20-lan.network .*'Address=192.0.2.9/24', which each"),
        ("20-lan", STATIC, DHCP, None),
        ("20-lan", DHCP, STATIC, None),
    ],
)
def test_what_one_that_goes_has_hidden(
    name: str, text: str, hidden: str, problem: str | None
) -> None:
    made = guest(**{f"{ETC}/{name}.network": text, f"{LIB}/{name}.network": hidden})
    if problem is None:
        assert len(examine(made).interfaces) == 1
        return
    with pytest.raises(GuestUnsupported, match=problem):
        examine(made)


def test_an_address_that_is_taken_back_takes_none_from_a_clone() -> None:
    """After an empty one only those that follow count: it must not stand behind a clone's own."""
    lan = f"{ETC}/20-lan.network"
    drop_in = "[Network]\nAddress=\nAddress=192.0.2.8/24\nNTP=192.0.2.3\n"
    found = examine(guest(**{lan: STATIC, f"{lan}.d/own.conf": drop_in}))
    assert found.addresses == ("192.0.2.9", "192.0.2.8")
    assert [each.options for each in found.interfaces] == [("[Network]", "NTP=192.0.2.3")]


def test_what_was_beside_the_files_of_an_earlier_clone_goes() -> None:
    drop_in = f"{ETC}/00-maglica-1.network.d/own.conf"
    made = guest(**{f"{ETC}/20-lan.network": DHCP, drop_in: "[Network]\nAddress=192.0.2.8/24\n"})
    apply(clean(inspect(made, SYSTEM)), made)
    assert made.kind(drop_in) is Kind.ABSENT
