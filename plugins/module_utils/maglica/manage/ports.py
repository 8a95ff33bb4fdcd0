# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing vms to a state works with: the client worker, and what runs on the hosts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import Protocol

from ..fleet.snapshot import Found, Place
from ..model.request import HostStatus, Placement, Request, Spec, State

OnChange = Callable[[Request], None]
OnQuiet = Callable[[Sequence[Request]], None]


class Requests(Protocol):
    """What is needed of ``wire.client.Client``."""

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]: ...

    def host(self, name: str) -> HostStatus | None: ...

    def plan_all(self, specs: Sequence[Spec]) -> tuple[Placement, ...]: ...

    def list(
        self, states: tuple[State, ...] = (), limit: int = 100, name: str | None = None
    ) -> tuple[Request, ...]: ...

    def cancel(self, request_id: str) -> Request: ...

    def wait_all(
        self,
        request_ids: Iterable[str],
        timeout: float,
        on_change: OnChange | None = None,
        on_quiet: OnQuiet | None = None,
    ) -> dict[str, Request]: ...


class Hosts(Protocol):
    """What is needed of the hosts; ``fleet.source.Fleet`` is a real one."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def find_vms(self, names: Container[str]) -> Found: ...

    def wait_addresses(
        self, places: Collection[Place], timeout: float, ssh: bool = False
    ) -> Found: ...
