# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker process with an administrator and two hosts that report and listen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maglica.model.request import HostReport, PoolSummary, Request
from support.client_worker import Host, Worker
from support.reports import report

from . import without
from .matrix import OTHER, OWN

# The hosts here say hello when they are told to: none may count as down meanwhile.
HOST_SECONDS = 3600.0


class UnprotectedWorker(Worker):
    """A client worker without one of its protections."""

    protection = ""

    def command(self, *arguments: str) -> list[str]:
        return without.command(self.protection, super().command(*arguments))


def roomy() -> HostReport:
    """The report of a host that no test fills."""
    pool = PoolSummary("default", 1 << 50, 1 << 50)
    return report(memory_total_mib=1 << 30, memory_free_mib=1 << 30, pools=(pool,))


class Stage:
    """``own`` and ``other`` are the hosts; ``insecure``: a client worker without CURVE."""

    def __init__(
        self,
        folder: Path,
        protection: str = "",
        insecure: bool = False,
        host_timeout: float = HOST_SECONDS,
    ) -> None:
        folder.mkdir()
        kind = UnprotectedWorker if protection else Worker
        self.worker = kind(folder, host_timeout=host_timeout)
        if protection:
            self.worker.protection = protection  # type: ignore[attr-defined]
        self.insecure = insecure
        if insecure:
            text = self.worker.config_file.read_text()
            heading = "[client_worker]\n"
            self.worker.config_file.write_text(text.replace(heading, f"{heading}insecure = yes\n"))
        self._numbers = itertools.count()

    def start(self, *names: str) -> None:
        self.worker.start()
        self.admin = self.peer("client", "admin")
        self.hosts = {name: self.peer("host", name) for name in (OWN, OTHER, *names)}
        for host in self.hosts.values():
            host.listen()
            host.hello(roomy())

    def peer(self, role: str, name: str) -> Host:
        """Give a new key this role; without CURVE there are no keys."""
        return Host(self.worker, name, None if self.insecure else self.worker.grant(role, name))

    def clone(self, host: str, **fields: Any) -> Request:
        """Hand in a small clone for a host."""
        name = f"vm{next(self._numbers)}"
        return self.admin.clone(name, host=host, **{"memory_mib": 16, **fields})

    def cpus(self, host: str) -> int:
        """What a host has last reported."""
        statuses = self.admin.ask("hosts")[1]["hosts"]
        return next(each.report.cpus for each in statuses if each.host == host)


@contextmanager
def staged(folder: Path, *names: str, **options: Any) -> Iterator[Stage]:
    """Run a stage, with more hosts of these names, for the length of the block."""
    stage = Stage(folder, **options)
    try:
        stage.start(*names)
        yield stage
    finally:
        stage.worker.close()
