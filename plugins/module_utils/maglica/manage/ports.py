# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing vms to a state works with: the client worker, and the hosts' libvirtds."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..config.config import HostEntry
from ..fleet import fleet
from ..fleet.snapshot import Found
from ..model.request import Placement, Request, State
from ..verbs.clone import CloneSpec

OnChange = Callable[[Request], None]


class Requests(Protocol):
    """What is needed of ``wire.client.Client``."""

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]: ...

    def plan_all(self, specs: Sequence[CloneSpec]) -> tuple[Placement, ...]: ...

    def list(
        self, states: tuple[State, ...] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]: ...

    def cancel(self, request_id: str) -> Request: ...

    def wait_all(
        self, request_ids: Iterable[str], timeout: float, on_change: OnChange | None = None
    ) -> dict[str, Request]: ...


class Hosts(Protocol):
    """What is needed of the hosts' libvirtds; ``Fleet`` is the real one."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def find_vms(self, names: Container[str]) -> Found: ...

    def wait_addresses(
        self, hosts: Container[str], uuids: Container[str], timeout: float
    ) -> Found: ...


@dataclass(frozen=True)
class Fleet:
    """The hosts of the configuration, each read within ``timeout`` seconds."""

    hosts: tuple[HostEntry, ...]
    timeout: float = 10.0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    def find_vms(self, names: Container[str]) -> Found:
        """Return the domains of those names; of one name alone without a look at any other."""
        return fleet.find_vms(self.hosts, names, self.timeout)

    def wait_addresses(self, hosts: Container[str], uuids: Container[str], timeout: float) -> Found:
        """Return the domains with those UUIDs as soon as all have addresses."""
        return fleet.wait_addresses(
            [host for host in self.hosts if host.name in hosts], uuids, timeout
        )
