# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request's job announces before it does it, so that it can be undone."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Effect(str, enum.Enum):
    """A kind of side effect; the act of each has its undoer beside it."""

    VOLUME = "volume"
    FILE = "file"
    DOMAIN = "domain"
    # A disk's content copied from the base below it, and the guest's pause at the end of that.
    PULL = "pull"
    PAUSE = "pause"
    BASE = "base"
    # The throw-away overlays of a look into an original image.
    LOOK = "look"
    # A domain and what is its own taken away; the only one that is gone on with, not undone.
    REMOVAL = "removal"


@dataclass(frozen=True)
class Intent:
    """A side effect that a request's job announced before it began it."""

    seq: int
    kind: Effect
    data: dict[str, Any]
