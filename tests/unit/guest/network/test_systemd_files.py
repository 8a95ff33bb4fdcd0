# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's configuration files: which of them count, in which order, and what they say."""

from __future__ import annotations

import pytest
from maglica.guest.network.systemd_files import Part, find, parse, part
from maglica.model.errors import GuestUnsupported
from support.fake_filesystem import FakeFilesystem

NETWORKS = "network/*.network"


def paths(guest: FakeFilesystem) -> list[list[str]]:
    return [[each.path for each in file] for file in find(guest, NETWORKS)]


def test_files_come_in_the_order_of_their_names() -> None:
    names = (
        "usr/lib/systemd/network/20-b.network",
        "etc/systemd/network/30-c.network",
        "usr/local/lib/systemd/network/10-a.network",
        "etc/systemd/network/20-b.network.d/z.conf",
        "usr/lib/systemd/network/20-b.network.d/a.conf",
        "etc/systemd/network/none.network.d/a.conf",
        "etc/systemd/network/30-c.link",
    )
    assert paths(FakeFilesystem(dict.fromkeys(names, "[A]\n"))) == [
        ["/usr/local/lib/systemd/network/10-a.network"],
        [
            "/usr/lib/systemd/network/20-b.network",
            "/usr/lib/systemd/network/20-b.network.d/a.conf",
            "/etc/systemd/network/20-b.network.d/z.conf",
        ],
        ["/etc/systemd/network/30-c.network"],
    ]


def test_of_two_with_one_name_one_counts() -> None:
    folders = ("lib", "usr/lib", "usr/local/lib", "etc")
    guest = FakeFilesystem()
    for folder in folders:
        guest.add_file(f"/{folder}/systemd/network/a.network", "[A]\n")
        guest.add_file(f"/{folder}/systemd/network/a.network.d/b.conf", "[A]\n")
        assert paths(guest) == [
            [
                f"/{folder}/systemd/network/a.network",
                f"/{folder}/systemd/network/a.network.d/b.conf",
            ]
        ]


def test_what_is_switched_off() -> None:
    folder = "usr/lib/systemd/network"
    names = ("a.network", "b.network", "c.network", "c.network.d/x.conf")
    guest = FakeFilesystem({f"{folder}/{name}": "[A]\nB=c\n" for name in names})
    guest.add_file("/etc/systemd/network/a.network", "")
    guest.add_other("/dev/null")
    guest.add_link("/etc/systemd/network/b.network", "/dev/null")
    guest.add_link("/etc/systemd/network/c.network.d/x.conf", "/dev/null")
    (only,) = find(guest, NETWORKS)
    assert [each.path for each in only] == [
        f"/{folder}/c.network",
        "/etc/systemd/network/c.network.d/x.conf",
    ]
    assert only[1].sections == ()


def test_a_link_to_a_file_is_read() -> None:
    guest = FakeFilesystem({"opt/a": "[A]\nB=c\n"})
    guest.add_link("/etc/systemd/network/a.network", "/opt/a")
    assert next(find(guest, NETWORKS))[0].sections == (("A", (("B", "c"),)),)


def test_a_crowd_is_not_read() -> None:
    crowd = {f"etc/systemd/network/{number}.network": "[A]\n" for number in range(101)}
    with pytest.raises(GuestUnsupported, match="more than 100 files"):
        next(find(FakeFilesystem(crowd), NETWORKS))
    huge = FakeFilesystem({"etc/systemd/network/a.network": "#" * (256 * 1024 + 1)})
    with pytest.raises(GuestUnsupported, match=r"a\.network in the guest is longer than"):
        next(find(huge, NETWORKS))


def test_sections_and_lines() -> None:
    text = "x=0\n# [No]\n; y=1\n[ Odd\n[A]\n b = c = d \nno line\ne=\\\nf\n\n[B]\n[A]\ng=\n"
    assert parse(text) == (("A", (("b", "c = d"), ("e", "f"))), ("B", ()), ("A", (("g", ""),)))
    assert list(Part("/p", parse("[DHCPv4]\nSendOption=1:2\n")).lines) == [
        ("dhcpv4.sendoption", "1:2", "SendOption=1:2")
    ]


def test_a_comment_goes_on_in_no_other_line() -> None:
    text = "[A]\n# c \\\nd=e\nf=g \\\n  ; h\ni\n"
    assert parse(text) == (("A", (("d", "e"), ("f", "g  i"))),)


def test_bytes_that_are_no_utf_8() -> None:
    guest = FakeFilesystem({"etc/systemd/networkd.conf": b"[A]\nB=\xe9\n"})
    assert part(guest, "/etc/systemd/networkd.conf").sections == (("A", (("B", "\udce9"),)),)
