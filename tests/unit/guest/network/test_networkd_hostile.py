# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network files of networkd that a stranger wrote, with more in them than any guest has."""

from __future__ import annotations

import pytest
from maglica.guest.network.networkd import ETC, examine, used
from maglica.model.errors import GuestUnsupported
from support import guest as debian
from support.fake_filesystem import FakeFilesystem

LAN = f"{ETC}/20-lan.network"
DHCP = "[Match]\nName=e*\n[Network]\nDHCP=yes\n"


def guest() -> FakeFilesystem:
    made = FakeFilesystem(debian.FILES)
    made.add_file("/usr/lib/systemd/systemd-networkd")
    made.add_link("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "x")
    made.add_file(LAN, DHCP)
    return made


def _many(text: str, count: int) -> str:
    return "".join(text.format(number) for number in range(count))


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        # All of a file is taken over for each of its cards.
        (LAN, "[Match]\nName=" + _many("en{} ", 33), "for more cards than 32"),
        (LAN, f"{DHCP}#" + "x" * (128 << 10), "more than 131072 bytes"),
        ("/etc/udev/rules.d/70.rules", _many('NAME="lan{}"\n', 1001), "names more than 1000 cards"),
    ],
)
def test_more_than_a_guest_has_is_refused(path: str, text: str, problem: str) -> None:
    made = guest()
    made.add_file(path, text)
    with pytest.raises(GuestUnsupported, match=problem):
        examine(made)


def test_as_many_cards_as_a_machine_has_share_what_their_file_says() -> None:
    made = guest()
    made.add_file(LAN, f"[Match]\nName={_many('en{} ', 32)}\n[Network]\nLLMNR=no\n")
    found = examine(made).interfaces
    assert len(found) == 32
    assert len({id(interface.options) for interface in found}) == 1


def test_names_of_drop_ins_together_are_not_more_than_of_a_file() -> None:
    made = guest()
    for number in range(3):
        made.add_file(f"{LAN}.d/{number}.conf", "#" + "x" * (50 << 10))
    with pytest.raises(GuestUnsupported, match=r"systemd/network/\*.network have more than"):
        used(made)
