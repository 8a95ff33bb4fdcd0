# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of strangers commands no terminal and forges no line."""

from __future__ import annotations

import pytest
from maglica.model.text import can_be_shown, one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("vm0 on kvm0: Ärger …", "vm0 on kvm0: Ärger …"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J\x07\x9b", "\\x1b[2J\\x07\\x9b"),
        ("\u202evm\u2028\u200b", "\\u202evm\\u2028\\u200b"),
        ("caf\udce9", "caf\\udce9"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vm0 Ä", True),
        # Not assigned yet, as a newer Unicode's character is to an older Python.
        ("\u0378", True),
        ("\uffff", False),
        ("\ufdd0", False),
        ("\U0001fffe", False),
        ("a\nb", False),
        ("\x1b", False),
        ("\ue000", False),
    ],
)
def test_what_another_component_may_tell(text: str, shown: bool) -> None:
    assert can_be_shown(text) is shown
