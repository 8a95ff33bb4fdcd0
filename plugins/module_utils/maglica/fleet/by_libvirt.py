# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where, as the libvirtd of every host shows it, all hosts at once, each with a deadline.

Nothing here changes anything on a host. A host that does not answer is named in the result with
the reason, and never takes longer than ``timeout`` seconds (all its calls together).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import _deps
from ..config.config import HostEntry
from ..libvirtd import all_hosts, host_reader
from ..libvirtd.addresses import ANY, Preference
from ..libvirtd.host_reader import Reading, Wanted
from ..libvirtd.hosts import HostToRead
from ..libvirtd.session import Options, Session
from ..model.errors import HostUnknown
from ..model.reported import AddressSource
from ..model.vm import Domain
from . import answers
from .snapshot import AskedHost, Found, OnHost, Place, Snapshot, every_host, place

# How often a vm's lease is looked for, in seconds: soon after the start, then less often.
_FIRST_LOOK = 0.25
_LAST_LOOK = 2.0
_KNOWN = (AddressSource.LEASE, AddressSource.RECORDED)


@dataclass(frozen=True)
class LibvirtFleet:
    """The hosts of the configuration, each read within ``timeout`` seconds.

    ``parallel`` and ``auth_file`` as in libvirtd.session.Options.
    """

    hosts: tuple[HostEntry, ...]
    timeout: float = 10.0
    auth_file: str | None = None
    parallel: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    def only(self, names: Collection[str]) -> LibvirtFleet:
        """Return the hosts of those names. Raises HostUnknown."""
        for name in sorted(set(names) - set(self.names)):
            known = ", ".join(sorted(self.names))
            raise HostUnknown(f"host {name} is not in the configuration, which has {known}")
        return replace(self, hosts=tuple(host for host in self.hosts if host.name in names))

    def snapshot(self, reading: Reading, on_host: OnHost = every_host) -> Snapshot:
        """Return every original image and every vm of the hosts that ``on_host`` says yes to."""
        hosts = [host for host in self.hosts if on_host(host.name)]
        found = read(hosts, reading, Options(self.timeout, self.parallel, self.auth_file))
        return replace(
            found, asked=tuple(AskedHost(host.name, host.uri, host.weight) for host in hosts)
        )

    def find_vms(self, names: Container[str]) -> Found:
        """Return the domains of those names; of one name alone without a look at any other."""
        return find_vms(self.hosts, names, self.timeout, self.auth_file)

    def wait_addresses(self, places: Collection[Place], timeout: float, ssh: bool = False) -> Found:
        """Return the domains at those places as soon as all have addresses that answer."""
        hosts = {host for _uuid, host in places}
        chosen = [host for host in self.hosts if host.name in hosts]
        return wait_addresses(chosen, places, timeout, ssh=ssh, auth_file=self.auth_file)

    def all(self) -> Snapshot:
        """Return every domain, with its leased or else its fixed addresses."""
        return self.snapshot(Reading(sources=_KNOWN))


def read(hosts: Sequence[HostToRead], reading: Reading, options: Options) -> Snapshot:
    """Return every original image and every vm of ``hosts``."""
    contents, unreachable = all_hosts.each(
        hosts, lambda session: host_reader.read(session, reading), options
    )
    domains = sorted(
        (domain for entry in contents.values() for domain in entry.domains),
        key=lambda domain: (domain.name, domain.host),
    )
    return Snapshot(
        vms=tuple(domain for domain in domains if not domain.is_image),
        images=tuple(domain for domain in domains if domain.is_image),
        hosts=tuple(contents[name].host for name in sorted(contents)),
        unreachable=unreachable,
        problems=tuple(text for name in sorted(contents) for text in contents[name].problems),
    )


def find_vms(
    hosts: Sequence[HostToRead],
    names: Container[str],
    timeout: float = 10.0,
    auth_file: str | None = None,
) -> Found:
    """Return every domain of those names, image or vm, with its leased or else its fixed addresses.

    What is said of its sizes and devices is what it has after its next start.
    """
    found, unreachable = all_hosts.each(
        hosts, lambda session: _find(session, names), Options(timeout, auth_file=auth_file)
    )
    domains = (domain for _host, domains in sorted(found.items()) for domain in domains)
    return Found(tuple(domains), unreachable)


def wait_addresses(
    hosts: Sequence[HostToRead],
    places: Container[Place],
    timeout: float,
    *,
    ssh: bool = False,
    preference: Preference = ANY,
    auth_file: str | None = None,
) -> Found:
    """Wait until all vms at those places of ``hosts`` have an address: one that is leased, or that
    the host's ARP table has, or a fixed one at which something answers this machine by TCP. With
    ``ssh`` a server of SSH must answer this machine.

    After ``timeout`` seconds those without one are returned so; their interfaces have the addresses
    that are known. One that is not there, or on a host that can't be read, is not in the answer.
    """
    ends = time.monotonic() + timeout
    found, unreachable = all_hosts.each(
        hosts,
        lambda session: _wait(session, places, preference, ends, ssh),
        # The last look may begin just before the end: leave it time to return.
        Options(timeout + _LAST_LOOK, auth_file=auth_file),
    )
    domains = (domain for _host, domains in sorted(found.items()) for domain in domains)
    return Found(tuple(domains), unreachable)


def _find(session: Session, names: Container[str]) -> tuple[Domain, ...]:
    reading = Reading(
        sources=_KNOWN,
        wanted=lambda domain, _known: domain.name in names,
        preference=ANY,
        inactive=True,
    )
    with session.connected() as connection:
        if isinstance(names, (set, frozenset)) and len(names) == 1:
            # Without a word about the others, of which there may be thousands.
            (name,) = names
            domain = _named(session, connection, name, reading)
            return () if domain is None else (domain,)
        return host_reader.read_some(session, connection, reading)


def _wait(
    session: Session, places: Container[Place], preference: Preference, ends: float, ssh: bool
) -> tuple[Domain, ...]:
    done: dict[Place, Domain] = {}
    pause = _FIRST_LOOK
    rounds = answers.Rounds(ssh)
    with session.connected() as connection:
        while True:
            found = _addressed(session, connection, preference, rounds, _but(places, done))
            done.update((place(domain), domain) for domain in found if domain.address)
            lacking = [domain for domain in found if not domain.address]
            if not lacking or time.monotonic() + pause > ends:
                return (*done.values(), *lacking)
            session.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK)


def _but(places: Container[Place], done: Container[Place]) -> Wanted:
    return lambda domain, _known: place(domain) in places and place(domain) not in done


def _addressed(
    session: Session,
    connection: Any,
    preference: Preference,
    rounds: answers.Rounds,
    wanted: Wanted,
) -> list[Domain]:
    """Return the domains, each with an address only if that is one that is met."""
    reading = Reading(sources=answers.MET, wanted=wanted, preference=preference, inactive=True)

    def recorded(places: Container[Place]) -> tuple[Domain, ...]:
        fixed = replace(reading, sources=(AddressSource.RECORDED,), wanted=_but(places, ()))
        return host_reader.read_some(session, connection, fixed)

    return rounds.met(host_reader.read_some(session, connection, reading), recorded)


def _named(session: Session, connection: Any, name: str, reading: Reading) -> Domain | None:
    libvirt = _deps.need("libvirt")
    try:
        handle = connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    return host_reader.read_one(session, connection, handle, reading)
