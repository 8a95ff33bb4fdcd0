# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is taken, for all that can be asked for and found."""

from __future__ import annotations

import pytest
from maglica.guest.cloud_init.way import way
from maglica.model.errors import GuestUnsupported
from maglica.model.request import Customize

OFF = "is masked (x)"
UNKNOWN = "its network is configured by wicked"


@pytest.mark.parametrize(
    ("asked", "cloud_init", "offline", "chosen"),
    [
        ("auto", None, None, "cloud-init"),
        ("auto", None, UNKNOWN, "cloud-init"),
        ("auto", OFF, None, "offline"),
        ("cloud-init", None, None, "cloud-init"),
        ("cloud-init", None, UNKNOWN, "cloud-init"),
        ("offline", None, None, "offline"),
        ("offline", OFF, None, "offline"),
        ("none", OFF, UNKNOWN, "none"),
        ("none", None, None, "none"),
    ],
)
def test_chosen(asked: str, cloud_init: str | None, offline: str | None, chosen: str) -> None:
    found = way(Customize(asked), cloud_init, offline)
    assert found.way is Customize(chosen)
    assert found.reason
    if asked == "auto" and cloud_init:
        assert cloud_init in found.reason


@pytest.mark.parametrize(
    ("asked", "cloud_init", "offline", "words"),
    [
        ("auto", OFF, UNKNOWN, [OFF, UNKNOWN, "customize: none"]),
        ("cloud-init", OFF, None, [OFF]),
        ("offline", None, UNKNOWN, [UNKNOWN]),
    ],
)
def test_refused(asked: str, cloud_init: str | None, offline: str | None, words: list[str]) -> None:
    with pytest.raises(GuestUnsupported) as raised:
        way(Customize(asked), cloud_init, offline)
    assert all(word in str(raised.value) for word in words)
