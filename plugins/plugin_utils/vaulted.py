# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-vault has encrypted in an inventory's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.parsing.vault import EncryptedString


class Hidden(str):
    """A text that no error shows: these show what ``repr`` returns."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(a vaulted text)"


def plain(value: Any) -> Any:
    """Return an option's value with the decrypted text where there was an encrypted one."""
    if isinstance(value, EncryptedString):
        return Hidden(str(value))
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value
