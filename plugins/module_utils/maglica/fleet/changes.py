# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When this user last changed a vm, by a task or the command: what the inventory's cache has from
before is out of date then.

What is asked for may be done long after the one who asked has gone: by Ctrl-C, or without waiting.
So there is a file for each thing that was begun, which is removed when its end is known.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path

# For so many seconds it counts that something was begun of which no end is known.
OPEN_SECONDS = 600.0
_BEGUN = "begun-"


def note() -> None:
    """Note that something has changed just now. A home that can't be written is no error."""
    _touch("changed")


def begin() -> str:
    """Note that something may change from now on; return what ``end`` needs."""
    # Who never asks forgets nothing.
    last()
    name = _BEGUN + uuid.uuid4().hex
    _touch(name)
    return name


def end(begun: str) -> None:
    """Note that nothing more comes of what was begun."""
    with contextlib.suppress(OSError, RuntimeError):
        (_folder() / begun).unlink()


def last() -> float:
    """Return when something was changed last, in seconds since 1970; 0 for never.

    While something is under way, that is in the future: what is read now will be out of date.
    """
    found = 0.0
    with contextlib.suppress(OSError, RuntimeError):
        for path in _folder().iterdir():
            with contextlib.suppress(OSError):
                found = max(found, _counts_until(path))
    return found


def _counts_until(path: Path) -> float:
    time_of = path.stat().st_mtime
    if not path.name.startswith(_BEGUN):
        return time_of
    until = time_of + OPEN_SECONDS
    if until < time.time():
        path.unlink()
    return until


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "maglica", "changes")


def _touch(name: str) -> None:
    # Without a home there is a RuntimeError.
    with contextlib.suppress(OSError, RuntimeError):
        _folder().mkdir(parents=True, exist_ok=True)
        (_folder() / name).touch()
