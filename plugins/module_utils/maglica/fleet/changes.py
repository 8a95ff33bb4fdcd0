# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When this user last changed a vm, by a task or the command: what the inventory's cache has from
before is out of date then.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "maglica", "changed")


def note() -> None:
    """Note that something has changed just now. A home that can't be written is no error."""
    # Without a home there is a RuntimeError.
    with contextlib.suppress(OSError, RuntimeError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        _file().touch()


def last() -> float:
    """Return when something was changed last, in seconds since 1970; 0 for never."""
    try:
        return _file().stat().st_mtime
    except (OSError, RuntimeError):
        return 0.0
