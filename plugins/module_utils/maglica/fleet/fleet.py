# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where: reads the libvirtd of every host, all hosts at once, each with a deadline.

Nothing here changes anything on a host. A host that does not answer is named in the result with
the reason, and never takes longer than ``timeout`` seconds (all its calls together).
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import _deps
from ..libvirtd import all_hosts, host_reader
from ..libvirtd.addresses import ANY, Preference
from ..libvirtd.host_reader import Reading, Wanted
from ..libvirtd.hosts import Gather, HostToRead
from ..libvirtd.session import Options, Session
from ..model.errors import HostUnknown
from ..model.reported import AddressSource
from ..model.vm import Domain
from .filter import image_names
from .snapshot import Found, Snapshot

# How often a vm's lease is looked for, in seconds: soon after the start, then less often.
_FIRST_LOOK = 0.25
_LAST_LOOK = 2.0
_KNOWN = (AddressSource.LEASE, AddressSource.RECORDED)


@dataclass(frozen=True)
class Fleet:
    """The hosts of the configuration, each read within ``timeout`` seconds.

    ``auth_file`` as in libvirtd.all_hosts.Options.
    """

    hosts: tuple[HostToRead, ...]
    timeout: float = 10.0
    auth_file: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.name for host in self.hosts)

    def only(self, name: str) -> Fleet:
        """Return the one host of that name. Raises HostUnknown."""
        if name not in self.names:
            known = ", ".join(sorted(self.names))
            raise HostUnknown(f"host {name} is not in the configuration, which has {known}")
        return replace(self, hosts=tuple(host for host in self.hosts if host.name == name))

    def find_vms(self, names: Container[str]) -> Found:
        """Return the domains of those names; of one name alone without a look at any other."""
        return find_vms(self.hosts, names, self.timeout, self.auth_file)

    def wait_addresses(self, hosts: Container[str], uuids: Container[str], timeout: float) -> Found:
        """Return the domains with those UUIDs as soon as all have addresses."""
        chosen = [host for host in self.hosts if host.name in hosts]
        return wait_addresses(chosen, uuids, timeout, auth_file=self.auth_file)

    def all(self) -> Snapshot:
        """Return every domain, with its leased or else its fixed addresses."""
        return snapshot(self.hosts, self.timeout, sources=_KNOWN, auth_file=self.auth_file)


def snapshot(
    hosts: Sequence[HostToRead],
    timeout: float = 10.0,
    *,
    gather: Gather = Gather.FULL,
    sources: Sequence[AddressSource] = (AddressSource.LEASE,),
    preference: Preference = ANY,
    wanted: Wanted | None = None,
    details: bool = False,
    xml: bool = False,
    parallel: int = 0,
    auth_file: str | None = None,
    image_pattern: str | None = None,
) -> Snapshot:
    """Return every original image and every vm of ``hosts``.

    ``gather`` minimal reads names, UUIDs, states and whether it is an image, in one call a host;
    full also definitions, disks' sizes and addresses. What could be an image but has a name that
    ``image_pattern`` does not match counts as a vm; ConfigInvalid if that is no regular expression.
    See host_reader.Reading and libvirtd's Options for the others.
    """
    reading = Reading(
        gather,
        tuple(sources),
        preference,
        wanted,
        details,
        xml,
        may_be_image=image_names(image_pattern),
    )
    contents, unreachable = all_hosts.each(
        hosts,
        lambda session: host_reader.read(session, reading),
        Options(timeout, parallel, auth_file),
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
    uuids: Container[str],
    timeout: float,
    *,
    preference: Preference = ANY,
    auth_file: str | None = None,
) -> Found:
    """Wait until all vms of ``hosts`` with those UUIDs have addresses, leased or fixed.

    After ``timeout`` seconds those without one are returned so. One that is not there, or on a host
    that can't be read, is not in the answer.
    """
    ends = time.monotonic() + timeout
    found, unreachable = all_hosts.each(
        hosts,
        lambda session: _wait(session, uuids, preference, ends),
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
    session: Session, uuids: Container[str], preference: Preference, ends: float
) -> tuple[Domain, ...]:
    done: dict[str, Domain] = {}
    reading = Reading(
        sources=_KNOWN,
        wanted=lambda domain, _known: domain.uuid in uuids and domain.uuid not in done,
        preference=preference,
        inactive=True,
    )
    pause = _FIRST_LOOK
    with session.connected() as connection:
        while True:
            found = host_reader.read_some(session, connection, reading)
            done.update((domain.uuid, domain) for domain in found if domain.address)
            lacking = [domain for domain in found if not domain.address]
            if not lacking or time.monotonic() + pause > ends:
                return (*done.values(), *lacking)
            session.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK)


def _named(session: Session, connection: Any, name: str, reading: Reading) -> Domain | None:
    libvirt = _deps.need("libvirt")
    try:
        handle = connection.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    return host_reader.read_one(session, connection, handle, reading)
