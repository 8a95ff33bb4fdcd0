# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which worker it is that speaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Worker:
    """A worker's process: the ``version`` of its library, and an ``instance`` that is its own."""

    version: str
    instance: str


@dataclass(frozen=True)
class ClientWorkerStatus:
    """What the client worker says of itself; ``problems`` are those that only it can know of."""

    version: str
    problems: tuple[str, ...] = ()
