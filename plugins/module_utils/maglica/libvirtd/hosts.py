# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as it is named to be read, and one that could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class HostToRead(Protocol):
    """What must be known of a host to read it: config.config.HostEntry and its like."""

    @property
    def name(self) -> str: ...

    @property
    def uri(self) -> str: ...


@dataclass(frozen=True)
class Unreachable:
    """A host that could not be read, and why."""

    host: str
    text: str
