# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell of simulated hosts that is looked at by what they report, without a way to any of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from maglica.config.config import HostEntry
from maglica.fleet import by_libvirt
from maglica.fleet.by_reports import ReportedFleet
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.session import Options
from maglica.model.reported import ReportedDomain
from support import reported
from support.client_worker import eventually
from support.simulated_host import SimulatedCell, SimulatedHost


class ReportingHost(SimulatedHost):
    """It reports what its libvirtd shows; ``silence`` has it report that it shows nothing."""

    def __init__(self, *what: Any) -> None:
        self.silent = False
        self._told = threading.Condition()
        self._hellos = 0
        super().__init__(*what)

    def wait_told(self) -> None:
        """Wait until a report that has begun after this was taken."""
        with self._told:
            now = self._hellos
            # The next one may have begun before.
            assert self._told.wait_for(lambda: self._hellos > now + 1, timeout=60)

    def _hello(self, states: dict[str, str]) -> dict[str, Any]:
        said = self._report()
        if self.silent:
            said = replace(said, libvirt_error="libvirtd does not answer")
        kind, welcome = self._peer.ask(
            "hello",
            host=self.name,
            report=said,
            requests=[{"id": each, "state": state} for each, state in states.items()],
            shown=self._shown(),
        )
        assert kind == "welcome", welcome
        with self._told:
            self._hellos += 1
            self._told.notify_all()
        return welcome

    def _shown(self) -> list[ReportedDomain]:
        now, later = (
            by_libvirt.read([HostEntry(self.name, self.uri)], reading, Options(10.0))
            for reading in (Reading(), Reading(inactive=True))
        )
        after = {each.uuid: each for each in (*later.vms, *later.images)}
        return [
            replace(
                reported.domain(each),
                next_vcpus=after.get(each.uuid, each).vcpus,
                next_memory_mib=after.get(each.uuid, each).memory_mib,
            )
            for each in (*now.vms, *now.images)
        ]


class ReportingCell(SimulatedCell):
    """What vm_suite.py wants of the cell: what is done to a host is reported before it goes on."""

    make_host = ReportingHost

    def start(self) -> None:
        super().start()
        # No host is configured.
        self.hosts = ReportedFleet(self.client)
        eventually(lambda: not self.hosts.all().unreachable)

    def add(self, host: str, name: str, active: bool, image: str | None) -> None:
        super().add(host, name, active, image)
        self.by_name[host].wait_told()

    def pause(self, host: str, name: str) -> None:
        super().pause(host, name)
        self.by_name[host].wait_told()

    def silence(self, host: str) -> None:
        self.by_name[host].silent = True
        self.by_name[host].wait_told()
