# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two sources of what runs where, beside each other: the libvirtd of every host, and the client
worker, to which the hosts report. Who asks gets the same from both.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from .. import _deps
from ..config.config import Config
from ..libvirtd.host_reader import Reading
from ..model.errors import ConfigInvalid
from .by_libvirt import LibvirtFleet
from .by_reports import ReportedFleet, Reports
from .snapshot import Found, OnHost, Place, Snapshot, every_host


class Source(str, enum.Enum):
    """Who is asked what runs where."""

    # What the configuration and this machine allow, libvirt first.
    AUTO = "auto"
    LIBVIRT = "libvirt"
    CLIENT_WORKER = "client_worker"

    def among(self, hosts: bool, client_worker: bool) -> Source:
        """Return who is asked where hosts and a client worker are configured, or either; AUTO where
        neither is."""
        if self is not Source.AUTO:
            return self
        if hosts and (not client_worker or _deps.has("libvirt")):
            return Source.LIBVIRT
        return Source.CLIENT_WORKER if client_worker else Source.AUTO


class Fleet(Protocol):
    """All hosts, or some of them: by_libvirt.LibvirtFleet or by_reports.ReportedFleet."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def only(self, names: Collection[str]) -> Fleet: ...

    def snapshot(self, reading: Reading, on_host: OnHost = every_host) -> Snapshot: ...

    def all(self) -> Snapshot: ...

    def find_vms(self, names: Container[str]) -> Found: ...

    def wait_addresses(
        self, places: Collection[Place], timeout: float, ssh: bool = False
    ) -> Found: ...


@dataclass(frozen=True)
class Access:
    """How it is asked: by which source, and what each of them needs for that.

    ``timeout``, ``auth_file`` and ``parallel`` are for libvirt, as in by_libvirt.LibvirtFleet;
    ``reply_timeout`` is how many seconds the client worker may take for an answer.
    """

    config: Config
    source: Source = Source.AUTO
    timeout: float = 10.0
    auth_file: str | None = None
    parallel: int = 0
    reply_timeout: float = 5.0

    def chosen(self) -> Source:
        """Return the source that is asked. Raises ConfigInvalid where the configuration does not
        have what it needs."""
        hosts, client_worker = self.config.hosts, self.config.client_worker
        source = self.source.among(bool(hosts), client_worker is not None)
        if source is Source.AUTO:
            lacking = self.config.lacking("client_worker")
            raise ConfigInvalid(f"{lacking}; nor is there a section [host NAME]")
        if source is Source.LIBVIRT:
            self.config.need_hosts()
        else:
            self.config.need_client_worker()
        return source

    def fleet(self, client: Reports) -> Fleet:
        """Return the hosts, as seen by the chosen source; ``client`` asks the client worker."""
        if self.chosen() is Source.LIBVIRT:
            return self._by_libvirt()
        return ReportedFleet(client, self.config.hosts)

    @contextmanager
    def opened(self) -> Iterator[Fleet]:
        """Return the hosts as ``fleet`` does, with a way of its own to the client worker."""
        if self.chosen() is Source.LIBVIRT:
            yield self._by_libvirt()
            return
        # The whole protocol, with all that can be asked for: who asks libvirt needs none of it, and
        # an inventory is read at the start of each command.
        from ..wire.client import Client  # noqa: PLC0415

        with Client(self.config, reply_timeout=self.reply_timeout) as client:
            yield ReportedFleet(client, self.config.hosts)

    def _by_libvirt(self) -> LibvirtFleet:
        return LibvirtFleet(self.config.hosts, self.timeout, self.auth_file, self.parallel)
