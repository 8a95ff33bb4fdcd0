# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads one host: its domains in one call, and only of those that are wanted the definitions.

libvirt has one call for the names, UUIDs, states and disk sizes of all domains, and none for their
definitions. What tells an image from a vm is in the definition; but an image that Maglica made has
a UUID of version 8, and any other one is off, so that a running domain of another version needs no
look.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

from .. import _deps
from ..domain import definition as domain_xml
from ..domain import nics, seen, size
from ..domain.definition import Definition
from ..model.errors import ImageUnsupported
from ..model.image import may_be_made_image
from ..model.reported import AddressSource
from ..model.text import short
from ..model.vm import Domain
from . import address_sources, addresses, autostart, host_facts
from .address_sources import AskedDomain
from .addresses import ANY, Preference
from .facts import bridge_of, state_name
from .hosts import Gather, Host, Known
from .session import Session, code, faults

# The version of a vm's UUID, which derives from a name: RFC 9562, section 5.5.
_VM = 5
# A live definition tells whether a guest has an interface on one of libvirt's own networks, and
# whether something in it holds the agent's channel open.
ON_NETWORK = re.compile(r"<source network=")
AGENT_RUNS = re.compile(r"name='org\.qemu\.guest_agent\.0' state='connected'")
# Of each domain its handle (a ``virDomain``) and what libvirt tells of it.
Statistics = Sequence[tuple[Any, Mapping[str, Any]]]
# Says whether a domain is wanted; None when that is not certain yet.
Wanted = Callable[[Domain, Known], Union[bool, None]]


@dataclass(frozen=True)
class Reading:
    """What to read of a host.

    A domain that ``wanted`` refuses is left out, and no more of it is read; it is asked again with
    the definition, and the definition is read in any case where it is not certain without.
    ``sources`` are tried in order until one knows an address. ``details``: the host's memory, pools
    and networks too. ``xml``: keep each definition. ``inactive``: read the definitions that the
    domains have at their next start, not what they run with. ``may_be_image`` says so by the name.
    """

    gather: Gather = Gather.FULL
    sources: tuple[AddressSource, ...] = (AddressSource.LEASE,)
    preference: Preference = ANY
    wanted: Wanted | None = None
    details: bool = False
    xml: bool = False
    inactive: bool = False
    may_be_image: Callable[[str], bool] = lambda name: True

    def judge(self, domain: Domain, known: Known) -> bool | None:
        return True if self.wanted is None else self.wanted(domain, known)


@dataclass(frozen=True)
class Contents:
    """A host that answered, its domains, and what could not be read of it."""

    host: Host
    domains: tuple[Domain, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A domain's handle (a ``virDomain``) and what is known of it.

    ``undecided``: its definition tells whether it is wanted. ``xml`` is kept only if asked for.
    ``running``: what it runs with, if ``definition`` is that of its next start.
    ``on_network``, ``agent``: as in AskedDomain.
    """

    handle: Any
    domain: Domain
    statistics: Mapping[str, Any]
    undecided: bool = False
    definition: Definition | None = None
    running: Definition | None = None
    xml: str | None = None
    on_network: bool = False
    agent: bool = False


def read(session: Session, reading: Reading) -> Contents:
    """Read the host of ``session``. Raises HostDown or a ``libvirtError``."""
    started = time.monotonic()
    with opened(session, reading.gather) as (connection, statistics):
        return _read(session, reading, connection, statistics, started)


@contextlib.contextmanager
def opened(session: Session, gather: Gather) -> Iterator[tuple[Any, Statistics]]:
    """Open a connection (``virConnect``) with the handles and statistics of all domains: states
    and, read fully, disks' sizes. Raises HostDown or a ``libvirtError``.
    """
    libvirt = _deps.need("libvirt")
    if gather is Gather.FULL:
        # The sizes of running guests' disks come from QEMU's monitor, and one that hangs would
        # hold up the whole answer: then do without sizes.
        patience = session.remaining() / 2
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(session.connected())
            found = None
            with contextlib.suppress(TimeoutError):
                found = session.aside(
                    connection, lambda: _statistics(libvirt, connection), patience
                )
            if found is not None:
                yield connection, found
                return
        session.note(
            f"cannot read the disks' sizes of host {session.host.name}: no answer within"
            f" {patience:.1f} s; the monitor of a running vm may hang"
        )
    with session.connected() as connection:
        yield connection, connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)


def _statistics(libvirt: Any, connection: Any) -> Statistics:
    kinds = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK
    try:
        # NOWAIT: leave out what a job in progress keeps from being asked.
        return connection.getAllDomainStats(  # type: ignore[no-any-return]
            kinds, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        )
    except libvirt.libvirtError as error:
        if code(error) not in (
            libvirt.VIR_ERR_INVALID_ARG,
            libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
            libvirt.VIR_ERR_NO_SUPPORT,
        ):
            raise
        return connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)  # type: ignore[no-any-return]


def _read(
    session: Session,
    reading: Reading,
    connection: Any,
    statistics: Statistics,
    started: float,
) -> Contents:
    domains = _wanted(session, connection, reading, statistics)
    host = host_facts.read(session, connection, reading.details)
    return Contents(
        host=replace(host, seconds=time.monotonic() - started),
        domains=tuple(domains),
        problems=session.problems,
    )


def read_one(session: Session, connection: Any, handle: Any, reading: Reading) -> Domain | None:
    """Return the domain of ``handle`` (a ``virDomain``), None when it has just gone."""
    libvirt = _deps.need("libvirt")
    try:
        found = connection.domainListGetStats([handle], libvirt.VIR_DOMAIN_STATS_STATE, 0)
    except libvirt.libvirtError as error:
        if code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    if not found:
        # Drivers leave out what has gone, or say so.
        return None
    ((_other, statistics),) = found
    record = _record(session, connection, handle, statistics, reading)
    looked_at = record and _looked_at(session, connection, record, reading)
    return next(iter(_domains(session, connection, [*filter(None, [looked_at])], reading)), None)


def read_some(session: Session, connection: Any, reading: Reading) -> tuple[Domain, ...]:
    """Return the domains that ``reading.wanted`` lets pass, without their disks' sizes."""
    libvirt = _deps.need("libvirt")
    statistics = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    return tuple(_wanted(session, connection, reading, statistics))


def _wanted(
    session: Session,
    connection: Any,
    reading: Reading,
    statistics: Statistics,
) -> list[Domain]:
    records = []
    for handle, values in statistics:
        record = _record(session, connection, handle, values, reading)
        if record is None:
            continue
        answer = reading.judge(record.domain, Known.LISTED)
        if answer is not False:
            records.append(record if answer else replace(record, undecided=True))
    looked_at = session.map(
        lambda record: _looked_at(session, connection, record, reading), records
    )
    return _domains(session, connection, [*filter(None, looked_at)], reading)


def _domains(
    session: Session, connection: Any, records: Sequence[Record], reading: Reading
) -> list[Domain]:
    known = [(record, _domain(record, reading)) for record in records]
    known = [
        (record, domain)
        for record, domain in known
        if not (record.undecided and record.definition)
        or reading.judge(domain, Known.DEFINED) is not False
    ]
    if reading.gather is not Gather.FULL:
        return [domain for _record, domain in known]
    started = autostart.of(session, connection, [record.handle for record, _domain in known])
    if started is not None:
        known = [(each, replace(it, autostart=it.uuid in started)) for each, it in known]
    guests = [
        AskedDomain(
            record.handle,
            domain,
            on_network=record.on_network,
            agent=record.agent,
            recorded=_recorded(record, domain),
            private_macs=record.definition.private_macs if record.definition else frozenset(),
        )
        for record, domain in known
    ]
    return [
        replace(domain, address=addresses.choose(domain.interfaces, reading.preference))
        for domain in address_sources.look_up(session, connection, guests, reading.sources)
    ]


def _record(
    session: Session,
    connection: Any,
    handle: Any,
    statistics: Mapping[str, Any],
    reading: Reading,
) -> Record | None:
    """Return what is known of a domain without another call; None when its name can't be read."""
    identity = handle.UUIDString()
    try:
        name = handle.name()
    except faults() as error:
        if not session.excuse(connection, f"the name of domain {identity}", error):
            raise
        return None
    # The handle came with the id that a running domain has; asking for it is no call.
    active = handle.ID() != -1
    domain = Domain(
        name=name,
        uuid=identity,
        host=session.host.name,
        state=state_name(seen.number(statistics, "state.state") or 0),
        active=active,
    )
    return Record(handle, as_listed(domain, reading.may_be_image), statistics)


def as_listed(domain: Domain, may_be_image: Callable[[str], bool]) -> Domain:
    """Return a domain with what its UUID and state tell of it, before its definition is read."""
    may_be_made = uuid.UUID(domain.uuid).version == _VM or may_be_made_image(domain.uuid)
    if domain.active or may_be_made:
        return domain
    return replace(domain, made=False, is_image=may_be_image(domain.name))


def _looked_at(
    session: Session, connection: Any, record: Record, reading: Reading
) -> Record | None:
    """Return the record with its definition if that is needed; None when the domain has gone.

    One whose definition can't be read is known by what it is listed with.
    """
    doubtful = not record.domain.active or may_be_made_image(record.domain.uuid)
    if not (doubtful or record.undecided or reading.xml or reading.gather is Gather.FULL):
        return record
    libvirt = _deps.need("libvirt")
    name = short(record.domain.name)
    has_two = reading.inactive and record.domain.active
    try:
        xml = record.handle.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if reading.inactive else 0)
        live = record.handle.XMLDesc(0) if has_two else None
    except faults() as error:
        if code(error) == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        if not session.excuse(connection, f"the definition of {name}", error):
            raise
        return record
    try:
        definition = domain_xml.describe(xml)
        running = domain_xml.describe(live) if live is not None else None
    except ImageUnsupported as error:
        # A host can have thousands of these, each as long as libvirt sends: none is kept.
        session.note(f"{name} on host {record.domain.host}: {error}")
        return record
    return replace(
        record,
        definition=definition,
        running=running,
        xml=xml if reading.xml else None,
        on_network=ON_NETWORK.search(xml) is not None,
        agent=AGENT_RUNS.search(xml) is not None,
    )


def _domain(record: Record, reading: Reading) -> Domain:
    domain, definition = record.domain, record.definition
    if definition is None:
        return domain
    domain = seen.described(replace(domain, xml=record.xml), definition, record.statistics)
    running = record.running
    if running is not None:
        runs_with = replace(domain, vcpus=running.vcpus, memory_mib=running.memory_mib)
        runs_with = replace(runs_with, **seen.at_host(domain, running))
        both = (running.interfaces, definition.interfaces)
        now, later = nics.settled(*both, bridge_of(record.handle))
        runs_with = replace(runs_with, interfaces=now, next_interfaces=later)
        domain = runs_with.sized(*size.after(running, definition))
    # A transient domain is gone when it stops: an inactive one is persistent.
    may_be = not (domain.active or domain.made or domain.adopted) and reading.may_be_image(
        domain.name
    )
    return replace(domain, is_image=may_be or definition.is_made_image)


def _recorded(record: Record, domain: Domain) -> tuple[tuple[str, str], ...]:
    made = record.definition.made if record.definition and domain.made else None
    return made.addresses if made else ()
