# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that knows what guests, QEMU and DHCP servers say; the report never waits for it.

What it asks may hang: a monitor, a guest's agent. So each look has its own connections, and a
deadline that ends them.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...config.config import HostWorker
from ...libvirtd import address_sources, all_hosts, host_facts, host_reader
from ...libvirtd.address_sources import AskedDomain
from ...libvirtd.hosts import Gather, Host
from ...libvirtd.session import Options, Session
from ...model.errors import HostDown
from ...model.reported import AddressSource
from ...wire.records import MAX_PARTS

_log = logging.getLogger(__name__)

# Seconds between two looks; after a change there are some sooner, ever further apart. Changes come
# in swarms: the first one waits for others.
EVERY = 30.0
SETTLE = 1.0
SOON = (1.0, 2.0, 4.0, 8.0)
# What one look may take.
PATIENCE = 20.0
_ASKED = (AddressSource.LEASE, AddressSource.AGENT, AddressSource.ARP)

# By MAC address what is known of an interface, by the source.
Addresses = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Look:
    """What was found: of the host, and by the domains' UUIDs libvirt's statistics and addresses.

    ``problems`` are texts about what could not be read.
    """

    host: Host | None = None
    statistics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    addresses: Mapping[str, Addresses] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """This host, as sessions are told of it."""

    name: str
    uri: str


class GuestLooks:
    """Looks now and then, in a thread of its own; ``tell`` is called when something is new."""

    def __init__(self, settings: HostWorker, tell: Callable[[], None]) -> None:
        self._place = _Place(settings.name, settings.uri)
        self._tell = tell
        self._prodded = threading.Event()
        self._guests: Mapping[str, AskedDomain] = {}
        self.latest = Look()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True, name="guest looks").start()

    def know(self, guests: Mapping[str, AskedDomain]) -> None:
        """Take in which domains there are now (without their handles); look soon if others are."""
        before, self._guests = self._guests, guests
        if guests != before:
            self._prodded.set()

    def _run(self) -> None:
        soon = [0.0]
        while True:
            if self._prodded.wait(soon[0] if soon else EVERY):
                self._prodded.clear()
                time.sleep(SETTLE)
                soon = list(SOON)
            elif soon:
                del soon[0]
            self._look(not soon)

    def _look(self, is_regular: bool) -> None:
        try:
            found = all_hosts.one(
                self._place, lambda session: self.read(session, is_regular), Options(PATIENCE)
            )
        except HostDown as error:
            # Those of the last time stand; that libvirtd is silent, the report says.
            found = replace(self.latest, problems=(str(error),))
        except Exception as error:  # noqa: BLE001 - without its thread the last look would stand
            _log.exception("the guests can't be looked at")
            found = replace(self.latest, problems=(f"a bug: {type(error).__name__}: {error}",))
        before, self.latest = self.latest, found
        if found != before:
            self._tell()

    def read(self, session: Session, is_regular: bool) -> Look:
        """Read the host of ``session``; of agents, if this is not the regular look, ask only those
        whose guests have no address yet. Raises HostDown or a ``libvirtError``.
        """
        with host_reader.opened(session, Gather.FULL) as (connection, statistics):
            handles = {handle.UUIDString(): handle for handle, _values in statistics}
            host = host_facts.read(session, connection, details=True)
            guests = [
                replace(guest, handle=handles[uuid])
                for uuid, guest in self._guests.items()
                if uuid in handles and guest.domain.active and guest.domain.interfaces
            ]
            found: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {}
            for source in _ASKED:
                asked = self._due(guests, is_regular) if source is AddressSource.AGENT else guests
                self._carry(source, found, guests, asked)
                for guest in address_sources.known_to(session, connection, asked, source):
                    _put(found, source, guest)
        return Look(
            replace(host, seconds=0.0),
            {handle.UUIDString(): _sizes(values) for handle, values in statistics},
            found,
            session.problems,
        )

    def _due(self, guests: Sequence[AskedDomain], is_regular: bool) -> list[AskedDomain]:
        """Return the guests whose agents are to be asked.

        In any order, so that those which hang don't always keep the same others from it.
        """
        known = self.latest.addresses
        due = [
            guest
            for guest in guests
            if guest.agent and (is_regular or not known.get(guest.domain.uuid))
        ]
        random.shuffle(due)
        return due

    def _carry(
        self,
        source: AddressSource,
        found: dict[str, dict[str, dict[str, tuple[str, ...]]]],
        guests: Sequence[AskedDomain],
        asked: Sequence[AskedDomain],
    ) -> None:
        """Let stand what a source said of guests that it is not asked for now."""
        left_out = {guest.domain.uuid for guest in guests if guest.agent}
        left_out -= {guest.domain.uuid for guest in asked}
        for uuid in left_out:
            for mac, by_source in self.latest.addresses.get(uuid, {}).items():
                if source.value in by_source:
                    place = found.setdefault(uuid, {}).setdefault(mac, {})
                    place[source.value] = by_source[source.value]


def _put(
    found: dict[str, dict[str, dict[str, tuple[str, ...]]]],
    source: AddressSource,
    guest: AskedDomain,
) -> None:
    for interface in guest.domain.interfaces:
        if interface.addresses:
            by_mac = found.setdefault(guest.domain.uuid, {})
            # A guest may say any number of them.
            by_mac.setdefault(interface.mac, {})[source.value] = interface.addresses[:MAX_PARTS]


def _sizes(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a domain's statistics what tells its disks' sizes."""
    return {
        name: value
        for name, value in statistics.items()
        if name.rpartition(".")[2] in ("count", "name", "capacity", "physical", "allocation")
    }
