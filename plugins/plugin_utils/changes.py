# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When this user's tasks last changed a vm: what the inventory read before is out of date then."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ansible import constants


def _file() -> Path:
    return Path(constants.ANSIBLE_HOME) / "maglica" / "changed"


def note() -> None:
    """Note that something has changed just now. A home that can't be written is no error."""
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        _file().touch()


def last() -> float:
    """Return when something was changed last, in seconds since 1970; 0 for never."""
    try:
        return _file().stat().st_mtime
    except OSError:
        return 0.0
