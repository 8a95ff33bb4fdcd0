# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of strangers commands no terminal and forges no line."""

from __future__ import annotations

import hashlib

import pytest
from maglica.model.text import can_be_shown, one_line, to_tell


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
        ("\u0890", False),
        ("\U0001343f", False),
    ],
)
def test_what_another_component_may_tell(text: str, shown: bool) -> None:
    assert can_be_shown(text) is shown


def test_every_python_says_the_same_of_every_character() -> None:
    """Or a host with an older one could not say a vm's name, or its client worker not take it.

    Where this fails with a newer Python, its Unicode has characters that are not shown, and that
    older ones do not know: text.py has to name them.
    """
    said = bytes(can_be_shown(chr(number)) for number in range(0x110000))
    assert (
        hashlib.sha256(said).hexdigest()
        == "91549304354cc2459b57213381757c2051f94599e5be940b222cf172de48c842"
    )


def test_what_can_be_shown_is_told_as_it_is() -> None:
    assert to_tell("vm-\u0378 \U0001fa00") == "vm-\u0378 \U0001fa00"
    assert to_tell("\u0378\n\x1b\uffff\udce9") == "\u0378\\n\\x1b\\uffff\\udce9"
