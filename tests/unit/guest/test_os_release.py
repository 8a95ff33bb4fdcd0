# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a system says of itself."""

from __future__ import annotations

import pytest
from maglica.guest.os_release import OsRelease, read
from support.fake_filesystem import FakeFilesystem

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n'


def test_a_link_to_the_file_of_the_package() -> None:
    guest = FakeFilesystem({"usr/lib/os-release": DEBIAN})
    assert read(guest) == OsRelease("debian", "13", "Debian GNU/Linux 13 (trixie)")
    guest.add_link("/etc/os-release", "../usr/lib/os-release")
    assert read(guest) == OsRelease("debian", "13", "Debian GNU/Linux 13 (trixie)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", OsRelease()),
        ("# ID=x\nID='arch'\n", OsRelease("arch")),
        ('ID="a\x1b[31m"\nVERSION_ID="1 2"\n', OsRelease(version="1 2")),
        ("ID='unclosed\nVERSION_ID=1 2\n", OsRelease()),
        (f"ID={'x' * 200}\n", OsRelease()),
        ("ID=\u65b0\n", OsRelease()),
    ],
)
def test_words_of_strangers(text: str, expected: OsRelease) -> None:
    assert read(FakeFilesystem({"etc/os-release": text})) == expected
