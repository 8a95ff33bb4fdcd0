# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.image import checksum
from maglica.image.checksum import Checksum, SumsFile
from maglica.model.errors import NameInvalid

HEX = "0123456789abcdef" * 4
SUMS = "https://example.com/images/SHA256SUMS"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sha256:{HEX}", Checksum("sha256", HEX)),
        (f"SHA256:{HEX.upper()}", Checksum("sha256", HEX)),
        (f"sha512:{HEX}{HEX}", Checksum("sha512", HEX * 2)),
        (SUMS, SumsFile(SUMS)),
        (f"sha512:{SUMS}", SumsFile(SUMS, "sha512")),
    ],
)
def test_what_can_be_given(text: str, expected: checksum.Expected) -> None:
    assert checksum.parse(text) == expected


def test_as_text_it_can_be_read_again() -> None:
    assert checksum.parse(str(Checksum("sha256", HEX))) == Checksum("sha256", HEX)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'' is not a checksum: give sha256: or sha512:"),
        (HEX, "is not a checksum"),
        (f"md5:{HEX[:32]}", "is not a checksum"),
        (f"sha1:{HEX[:40]}", "is not a checksum"),
        (f"sha256:{HEX[:-1]}", "is not a sha256 checksum: 64 hexadecimal digits"),
        (f"sha512:{HEX}", "is not a sha512 checksum: 128 hexadecimal digits"),
        (f"sha256:{HEX[:-1]}٣", "is not a sha256 checksum"),
        (f"sha256: {HEX}", "is not a sha256 checksum"),
        ("https://", "is not a web address"),
        ("sha256:http://a b/", "is not a web address"),
        ("file:///etc/passwd", "is not a checksum"),
    ],
)
def test_what_can_not(text: str, problem: str) -> None:
    with pytest.raises(NameInvalid, match=problem):
        checksum.parse(text)
