# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client worker to which hosts have reported what their libvirtds show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maglica.config.config import HostEntry
from maglica.fleet import by_libvirt
from maglica.host_worker.daemon.teller import Teller
from maglica.libvirtd.host_reader import Reading
from maglica.libvirtd.session import Options
from maglica.model.reported import ReportedDomain
from maglica.model.request import DomainSummary, HostReport
from maglica.wire.frames import encode
from support import reported
from support.client_worker import Host, Worker
from support.testdriver import Libvirtd

# Nobody says hello again while it is measured.
_PATIENT = 86400


@dataclass(frozen=True)
class Told:
    """What a host's report takes in bytes: all of it, when nothing is new, and after one change."""

    whole: int
    quiet: int
    changed: int


class _Host:
    """A host that tells as its worker does."""

    def __init__(self, peer: Host, shown: Sequence[ReportedDomain]) -> None:
        self._peer = peer
        self._teller = Teller(peer.name)
        self._shown = tuple(shown)

    def tell(self) -> int:
        """Report how it is; return how many bytes that took."""
        domains = tuple(
            DomainSummary(each.name, each.uuid, each.active, True, False, 1, 512)
            for each in self._shown
        )
        report = HostReport(
            cpus=8, memory_total_mib=65536, memory_free_mib=4096, domains=domains, hostname="kvm"
        )
        size, has_more = 0, True
        while has_more:
            message = self._teller.hello(report, self._shown, ())
            size += sum(map(len, encode(message)))
            kind, answer = self._peer.ask(message.type, **message.body)
            if kind != "welcome":
                raise SystemExit(f"the client worker answered {kind}: {answer}")
            self._teller.answered(True, answer.get("everything", False))
            has_more = self._teller.has_more
        return size

    def change(self) -> None:
        first, *others = self._shown
        self._shown = (replace(first, tags=("changed",)), *others)


class Reporting:
    """The client worker, and what a user needs to ask it."""

    def __init__(self, folder: Path) -> None:
        self._worker = Worker(folder, host_timeout=_PATIENT)
        self._worker.start()
        self.config = self._worker.library("bench")

    def report(self, daemons: Sequence[Libvirtd]) -> Told:
        """Have the hosts kvm0, kvm1 and so on, and no others, report what these daemons show."""
        entries = [HostEntry(f"kvm{number}", daemon.uri()) for number, daemon in enumerate(daemons)]
        seen = by_libvirt.read(entries, Reading(), Options(600.0, parallel=4))
        if seen.unreachable:
            raise SystemExit(f"not all hosts can be read: {seen.unreachable}")
        by_host: dict[str, list[ReportedDomain]] = {entry.name: [] for entry in entries}
        for domain in (*seen.vms, *seen.images):
            by_host[domain.host].append(reported.domain(domain))
        hosts = [_Host(self._worker.host(name), shown) for name, shown in by_host.items()]
        whole, *_others = [host.tell() for host in hosts]
        first = hosts[0]
        quiet = first.tell()
        first.change()
        return Told(whole, quiet, first.tell())

    def close(self) -> None:
        self._worker.close()


@contextlib.contextmanager
def reporting(folder: Path) -> Iterator[Reporting]:
    """Start a client worker, which ends after the block."""
    folder.mkdir()
    found = Reporting(folder)
    try:
        yield found
    finally:
        found.close()
