# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image calls its own system: os-release(5)."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from .filesystem import Filesystem

_PLACES = ("/etc/os-release", "/usr/lib/os-release")
_READ_LIMIT = 64 * 1024
# What of it is passed on: words of a stranger, which are shown.
_VALUE = re.compile(r"[ -~]{1,100}")


@dataclass(frozen=True)
class OsRelease:
    """The words for programs (``debian``, ``13``), and for people; empty where there are none."""

    id: str = ""
    version: str = ""
    name: str = ""


def read(filesystem: Filesystem) -> OsRelease:
    """Read what the system says of itself. Raises GuestUnsupported or GuestUnreadable."""
    contents = (filesystem.read(path, _READ_LIMIT) for path in _PLACES)
    content = next((each for each in contents if each is not None), b"")
    values: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        key, mark, value = line.strip().partition("=")
        if mark and not key.startswith("#"):
            values[key] = _unquoted(value)
    found = (values.get(key, "") for key in ("ID", "VERSION_ID", "PRETTY_NAME"))
    return OsRelease(*(value if _VALUE.fullmatch(value) else "" for value in found))


def _unquoted(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError:
        return ""
    return words[0] if len(words) == 1 else ""
