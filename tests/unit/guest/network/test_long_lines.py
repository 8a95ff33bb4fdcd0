# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that a stranger wrote, as long as what is read of a file, are looked through in a moment.

Where the time grows with a power of their length they take hours, which nobody waits for.
"""

from __future__ import annotations

import pytest
from maglica.guest import ssh
from maglica.guest.base_plan import dhclient
from maglica.guest.clone_plan import hosts
from maglica.guest.facts import GuestFacts
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


@pytest.mark.parametrize("words", ["\n", "sshd ", " -h", " -o", "sshd -f "])
def test_options_of_sshd(words: str) -> None:
    text = words * (LENGTH // len(words))
    guest = FakeFilesystem({"etc/default/ssh": text})
    assert ssh.examine(guest) == ssh.Named((), ())


def test_a_table_of_hosts_with_many_names_of_the_guest() -> None:
    names = " ".join(f"n{number}" for number in range(LENGTH // 8))
    others = "".join(f"10.0.0.1 x{number}\n" for number in range(LENGTH // 8))
    facts = GuestFacts((), "debian", "12", "ifupdown", "n0", f"127.0.1.1 {names}\n{others}", False)
    assert hosts(facts, "web1") == f"127.0.1.1\tweb1\n{others}"
