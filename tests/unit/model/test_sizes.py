# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maglica.model import sizes
from maglica.model.errors import NameInvalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (2048, 2048),
        ("2048", 2048),
        ("1MiB", 1),
        ("20GiB", 20480),
        ("20 GiB", 20480),
        ("1.5GiB", 1536),
        ("1TiB", 1 << 20),
        ("0", 0),
        ("0.5TiB", 1 << 19),
    ],
)
def test_mib(text: str, expected: int) -> None:
    assert sizes.mib(text, "disk_size") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "GiB", "-1", "1e3", "20gib", "20gb", "20KiB", "20  GiB", "20GiB ", "1.GiB"),
        *("0x10", "\u0661", "20\n", "1" * 13, True, 1.5e300, "1GiB1", "1,5GiB"),
    ],
)
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(NameInvalid, match=r"^disk_size: .* is not a size: a number of MiB, or one"):
        sizes.mib(text, "disk_size")


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("20GB", "20GiB"),
        ("20G", "20GiB"),
        ("512 MB", "512MiB"),
        ("1M", "1MiB"),
        ("1.5TB", "1.5TiB"),
    ],
)
def test_a_unit_that_means_two_sizes(text: str, instead: str) -> None:
    wrong = rf"^memory: {text} says [MGT]B?, .* to others: write {instead} for a power of 1024$"
    with pytest.raises(NameInvalid, match=wrong):
        sizes.mib(text, "memory")


@pytest.mark.parametrize("text", ["1.5", "0.3GiB", "1.0001TiB"])
def test_what_is_no_whole_number_of_mib(text: str) -> None:
    with pytest.raises(NameInvalid, match=f"^disk_size: {text} is not a whole number of MiB$"):
        sizes.mib(text, "disk_size")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 bytes"),
        (1, "1 bytes"),
        (1 << 20, "1 MiB"),
        (20 << 30, "20 GiB"),
        (3 << 40, "3 TiB"),
        ((3 << 40) + (1 << 20), "3145729 MiB"),
    ],
)
def test_shown(size: int, expected: str) -> None:
    assert sizes.shown(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0.0 MiB"),
        (150 << 10, "0.1 MiB"),
        (1023 << 20, "1023 MiB"),
        (1229 << 20, "1.2 GiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_about(size: int, expected: str) -> None:
    assert sizes.about(size) == expected


@given(st.integers(1, 64 << 20))
def test_what_is_shown_can_be_said(mib: int) -> None:
    assert sizes.mib(sizes.shown(mib << 20), "size") == mib
