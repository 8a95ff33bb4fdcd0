# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as it is named to be read, how much of it is, what it shows, and one that could not be
read."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from ..model.moment import Moment
from ..model.reported import PoolState


class HostToRead(Protocol):
    """What must be known of a host to read it: config.config.HostEntry and its like."""

    @property
    def name(self) -> str: ...

    @property
    def uri(self) -> str: ...


class Gather(str, enum.Enum):
    """How much is read: names and states in one call a host, or each domain's definition too."""

    MINIMAL = "minimal"
    FULL = "full"


class Known(enum.IntEnum):
    """How much is known of a domain: its name, host, state and UUID only, what its definition says
    too, or all that is ever known of it."""

    LISTED = 0
    DEFINED = 1
    ALL = 2


@dataclass(frozen=True)
class Host:
    """A host that answered. ``memory_free_mib`` and ``pools`` are None when read minimally.

    ``uri`` is how its libvirtd is reached from here, if that is known; ``seconds`` is how long
    that took to answer. ``reported`` is when it reported what it is, where it was not asked,
    and ``worker_version`` that of the host worker that did.
    """

    name: str
    uri: str | None
    seconds: float | None
    cpus: int | None = None
    memory_total_mib: int | None = None
    memory_free_mib: int | None = None
    libvirt_version: str | None = None
    hypervisor_version: str | None = None
    hostname: str | None = None
    pools: tuple[PoolState, ...] = ()
    networks: tuple[str, ...] = ()
    reported: Moment | None = None
    worker_version: str | None = None


@dataclass(frozen=True)
class Unreachable:
    """A host that could not be read, and why."""

    host: str
    text: str
