# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that a stranger wrote, as long as what is read of a file, are looked through in a moment.

Where the time grows with a power of their length they take hours, which nobody waits for.
"""

from __future__ import annotations

import pytest
from maglica.guest.base_plan import dhclient
from maglica.guest.network.stacks import found, gives_address
from support.fake_filesystem import FakeFilesystem

pytestmark = pytest.mark.timeout(30)

LENGTH = 250_000


@pytest.mark.parametrize(
    "words", ["ip ", "ip l s ", "ip a ", "l s ", "ifconfig ", "ifconfig a ", "address "]
)
def test_a_command(words: str) -> None:
    line = f"ip link 192.0.2.1 {words * (LENGTH // len(words))}"
    guest = FakeFilesystem({"etc/rc.local": f"#!/bin/sh\n{line}\n"})
    assert [each.static for each in found(guest)] == [""]
    assert gives_address(f"{line} ; ip address add 192.0.2.1/24 dev eth0")


def test_options_of_dhclient_that_do_not_end() -> None:
    text = "send host-name\n" * (4 * LENGTH // 15)
    assert dhclient(text).startswith(text)
    assert dhclient(f'request x;send host-name "a"; {text}').startswith("request x; send host-name")
