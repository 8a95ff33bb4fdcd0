# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maglica.image import sums
from maglica.image.checksum import Checksum
from maglica.image.sums import Sum
from maglica.model.errors import ChecksumUnknown

A, B, C = ("0123456789abcdef" * 4, "a" * 64, "b" * 64)
LONG = "c" * 128
WHERE = "https://example.com/images/CHECKSUM"

# Laid out as the distributions lay out theirs; the digests are made up.
DEBIAN = f"{LONG}  debian-13-generic-amd64.qcow2\n{'d' * 128}  debian-13-genericcloud-amd64.qcow2\n"
UBUNTU = f"{A} *ubuntu-24.04-server-cloudimg-amd64.img\n{B} *ubuntu-24.04-wsl-amd64.wsl\n"
ROCKY = f"""\
# Rocky-9-EC2-Base.latest.x86_64.qcow2: 645988352 bytes
SHA256 (Rocky-9-EC2-Base.latest.x86_64.qcow2) = {B}
# Rocky-9-GenericCloud-Base.latest.x86_64.qcow2: 645988352 bytes
SHA256 (Rocky-9-GenericCloud-Base.latest.x86_64.qcow2) = {A}
"""
FEDORA = f"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2: 583139328 bytes
SHA256 (Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2) = {A}
- - not an entry, but escaped as RFC 9580 has it
-----BEGIN PGP SIGNATURE-----

{B}
iQIzBAEBCAAdFiEENrEl6LSyTblIzZJH0GIvuW8QpNwFAmnu
=Zx1k
-----END PGP SIGNATURE-----
{C}  Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2
"""
LEAP = f"{A}  Leap-16.0-Minimal-VM.x86_64-16.0.0-Cloud-Build19.100.qcow2\n"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (DEBIAN, "debian-13-genericcloud-amd64.qcow2", Checksum("sha512", "d" * 128)),
        (UBUNTU, "ubuntu-24.04-server-cloudimg-amd64.img", Checksum("sha256", A)),
        (ROCKY, "Rocky-9-GenericCloud-Base.latest.x86_64.qcow2", Checksum("sha256", A)),
        (FEDORA, "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2", Checksum("sha256", A)),
        (LEAP, "Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2", Checksum("sha256", A)),
        (f"{LONG}\n", "alpine.qcow2", Checksum("sha512", LONG)),
        (LONG.upper(), "alpine.qcow2", Checksum("sha512", LONG)),
        (f"\ufeff{A}  a\r\n{B}  b\r\n", "b", Checksum("sha256", B)),
        (f"SHA2-256(a)= {A}\nSHA2-256(b)= {B}\n", "a", Checksum("sha256", A)),
        (f"SHA-256 (a) = {A}\n", "a", Checksum("sha256", A)),
        (f"{A} a\n{B}\tb\n", "b", Checksum("sha256", B)),
        (f"{A}  ./images/a\n{B}  ./images/ba\n", "a", Checksum("sha256", A)),
        (f"{A}  images/a\n{B}  a\n", "a", Checksum("sha256", B)),
        (f"{A}  a\n{A}  a\n", "a", Checksum("sha256", A)),
        (f"{A}  a\n{LONG}  a\n{B}  b", "a", Checksum("sha512", LONG)),
        (f"\\{A}  a\\\\b\\nc\n{B}  d\n", "a\\b\nc", Checksum("sha256", A)),
        (f"\\SHA256 (a\\\\b) = {A}\n{B}  d\n", "a\\b", Checksum("sha256", A)),
        (f"{A}  a\\nb\n{B}  d\n", "a\\nb", Checksum("sha256", A)),
        (f"SHA256 (a) (b)) = {A}\n{B}  d\n", "a) (b)", Checksum("sha256", A)),
        (f"{B}  b\n\n<html>\x00\ufffd junk\n{A}  a", "a", Checksum("sha256", A)),
    ],
)
def test_the_sum_of_a_file(text: str, name: str, expected: Checksum) -> None:
    assert sums.find(text.encode(), name, WHERE) == expected


def test_the_algorithm_that_was_asked_for() -> None:
    text = f"{A}  a\n{LONG}  a\n".encode()
    assert sums.find(text, "a", WHERE, "sha256") == Checksum("sha256", A)
    with pytest.raises(ChecksumUnknown, match=f"{WHERE} has no sha512 sum of a: it has sha256$"):
        sums.find(f"{A}  a\n{B}  b\n".encode(), "a", WHERE, "sha512")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a file of checksums: there is none in it"),
        ("<!DOCTYPE html><html>404</html>", "is not a file of checksums: there is none in it"),
        (f"{A}  b\n{B}  c\n", "has no sha512 or sha256 sum of a: it has sums of b, c"),
        (f"{A}  ba\n{B}  A\n", "has no sha512 or sha256 sum of a: it has sums of A, ba"),
        (f"{A}\n{B}  c\n", "has no sha512 or sha256 sum of a: it has sums of c"),
        (f"{A}\n{B}\n", "has 2 different sha256 sums of a"),
        (f"{A}  a\n{B}  a\n", "has 2 different sha256 sums of a"),
        (f"{A}  x/a\n{B}  y/a\n", "has 2 different sha256 sums of a"),
        (f"{A[:32]}  a\n{A[:40]}  a\n{A}  b", "has no sha512 or sha256 sum of a: it has md5, sha1"),
        (f"SHA256 (a) = {LONG}\n{A}  b\n{B}  c\n", "it has sums of b, c"),
        (f"{A}0  a\n{A}  b\n{B}  c\n", "it has sums of b, c"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\n\n-----BEGIN PGP SIGNATURE-----\n" + A, "is none"),
        (f"{A}  a\x1b[31m\n{B}  c\n", r"it has sums of a\\x1b\[31m, c"),
        ("x" * (sums.MAX_BYTES + 1), "is not a file of checksums: larger than 1048576 bytes"),
    ],
)
def test_one_clear_error_where_there_is_none(text: str, problem: str) -> None:
    with pytest.raises(ChecksumUnknown, match=problem) as caught:
        sums.find(text.encode(), "a", WHERE)
    assert str(caught.value).startswith(WHERE)
    assert str(caught.value).isprintable()


def test_an_error_names_few_of_many() -> None:
    text = "".join(f"{number:064x}  file{number:04}\n" for number in range(5000))
    with pytest.raises(ChecksumUnknown, match="file0007, and 4992 more") as caught:
        sums.find(text.encode(), "a", WHERE)
    assert len(str(caught.value)) < 300


def escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.rstrip(" \t") == name
)


@given(NAMES, st.booleans(), st.booleans())
def test_any_name_is_read_as_sha256sum_writes_it(name: str, bsd: bool, binary: bool) -> None:
    mark = "\\" if escaped(name) != name else ""
    if bsd:
        line = f"{mark}SHA256 ({escaped(name)}) = {A}"
    else:
        line = f"{mark}{A} {'*' if binary else ' '}{escaped(name)}"
    assert sums.parse(f"{line}\n") == [Sum("sha256", A, name)]


@given(st.binary())
def test_any_bytes_have_a_sum_or_not(data: bytes) -> None:
    try:
        found = sums.find(data, "a", WHERE)
    except ChecksumUnknown as error:
        assert str(error).isprintable()
    else:
        assert found.algorithm in ("sha256", "sha512")


def test_a_line_that_never_ends_costs_no_time() -> None:
    lines = [f"SHA256 ({'(' * 4000}", f"SHA256 ({') = a' * 1600}", "a" * 500_000, f"{A}  a"]
    assert sums.find("\n".join(lines).encode(), "a", WHERE) == Checksum("sha256", A)
