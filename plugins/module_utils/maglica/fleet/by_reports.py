# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs where, as the hosts have reported it to the client worker.

It needs no way to any host, nor what libvirt needs. A host that does not report now is named in the
result, with what is known of it; what it had is left out, as it is of a host that libvirt can't
read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

from ..config.config import HostEntry
from ..libvirtd import addresses
from ..libvirtd.host_reader import Reading
from ..libvirtd.hosts import Gather, Host, Known, Unreachable
from ..model.errors import ConfigInvalid, HostUnknown
from ..model.moment import Moment
from ..model.reported import AddressSource, ReportedDomain, ReportedHost
from ..model.text import one_line, short
from ..model.vm import Domain, Interface
from . import answers
from .snapshot import AskedHost, Found, OnHost, Place, Snapshot, every_host, place

# How often it is asked whether a vm has an address, in seconds. Its host tells a lease with its
# next report, so that asking more often would find nothing new.
_FIRST_LOOK = 0.5
_LAST_LOOK = 3.0
_KNOWN = Reading(sources=(AddressSource.LEASE, AddressSource.RECORDED))
# What a domain is told with as it is shown.
_SAME = (
    {field.name for field in fields(ReportedDomain)} & {field.name for field in fields(Domain)}
) - {"interfaces", "is_image"}
# No domain has it: who asks for it gets the hosts only.
_NO_NAME = ("",)


class Reports(Protocol):
    """What is needed of ``wire.client.Client``."""

    def reported(
        self, hosts: Sequence[str] = (), names: Sequence[str] = ()
    ) -> tuple[tuple[ReportedHost, ...], tuple[ReportedDomain, ...]]:
        # The linter of ansible-core takes a body of dots for one that returns None.
        raise NotImplementedError


@dataclass(frozen=True)
class _Answer:
    """All hosts that were asked for; those of them that report; the others; the domains of those
    that report."""

    asked: tuple[AskedHost, ...] = ()
    hosts: tuple[ReportedHost, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    domains: tuple[ReportedDomain, ...] = ()


@dataclass(frozen=True)
class ReportedFleet:
    """The hosts that the client worker knows, or of them those that are configured.

    ``entries`` are the configured ones, if any; ``chosen`` are the names of those that are asked
    about, all if it is None.
    """

    client: Reports
    entries: tuple[HostEntry, ...] = ()
    chosen: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        if self.entries:
            return tuple(entry.name for entry in self.entries)
        return tuple(host.name for host in self._ask(names=_NO_NAME).asked)

    def only(self, names: Collection[str]) -> ReportedFleet:
        """Return the hosts of those names. Raises HostUnknown; what no configuration tells is
        found out when they are read."""
        known = {entry.name for entry in self.entries}
        for name in sorted(set(names) - known) if self.entries else ():
            raise HostUnknown(
                f"host {name} is not in the configuration, which has {', '.join(sorted(known))}"
            )
        return replace(self, chosen=tuple(names))

    def snapshot(self, reading: Reading, on_host: OnHost = every_host) -> Snapshot:
        """Return every original image and every vm of the hosts that ``on_host`` says yes to.

        Raises ConfigInvalid where it asks for what no host reports.
        """
        if reading.xml:
            raise ConfigInvalid(
                "hosts do not report their domains' XML to the client worker: it takes the source"
                " libvirt to show it"
            )
        now = time.time()
        answer = self._ask(on_host)
        ages = {host.name: _moment(host, now) for host in answer.hosts}
        domains = sorted(
            _wanted(answer.domains, reading, ages), key=lambda domain: (domain.name, domain.host)
        )
        uris = {host.name: host.uri for host in answer.asked}
        return Snapshot(
            vms=tuple(domain for domain in domains if not domain.is_image),
            images=tuple(domain for domain in domains if domain.is_image),
            hosts=tuple(_host(host, uris[host.name], ages[host.name]) for host in answer.hosts),
            unreachable=answer.unreachable,
            problems=tuple(text for host in answer.hosts for text in host.problems),
            asked=answer.asked,
        )

    def all(self) -> Snapshot:
        """Return every domain, with its leased or else its fixed addresses."""
        return self.snapshot(_KNOWN)

    def find_vms(self, names: Container[str]) -> Found:
        """Return every domain of those names, image or vm, with its leased or else its fixed
        addresses."""
        exact = tuple(sorted(names)) if isinstance(names, (set, frozenset)) else ()
        answer = self._ask(names=exact)
        found = _known(answer, _KNOWN.sources, lambda domain: domain.name in names)
        return Found(tuple(found), answer.unreachable)

    def wait_addresses(self, places: Collection[Place], timeout: float, ssh: bool = False) -> Found:
        """Wait until all vms at those places have addresses, as by_libvirt does.

        After ``timeout`` seconds those without one are returned so. One that is not there, or on a
        host that does not report, is not in the answer.
        """
        ends = time.monotonic() + timeout
        hosts = {host for _uuid, host in places}
        done: dict[Place, Domain] = {}
        names: tuple[str, ...] = ()
        pause = _FIRST_LOOK
        rounds = answers.Rounds(ssh)
        while True:
            found = self._met(
                names,
                hosts.__contains__,
                lambda domain: place(domain) in places and place(domain) not in done,
                rounds,
            )
            done.update((place(domain), domain) for domain in found.domains if domain.address)
            lacking = [domain for domain in found.domains if not domain.address]
            is_over = time.monotonic() + pause > ends
            # A host that is silent may be back before the time is over.
            if is_over or not (lacking or found.unreachable):
                return Found((*done.values(), *lacking), found.unreachable)
            if lacking and not found.unreachable:
                names = tuple(sorted({domain.name for domain in lacking}))
            time.sleep(pause)
            pause = min(pause * 1.5, _LAST_LOOK)

    def _met(
        self,
        names: tuple[str, ...],
        on_host: OnHost,
        wanted: Callable[[Domain], bool],
        rounds: answers.Rounds,
    ) -> Found:
        answer = self._ask(on_host, names)
        found = _known(answer, answers.MET, wanted)

        def recorded(places: Container[Place]) -> list[Domain]:
            return _known(answer, (AddressSource.RECORDED,), lambda domain: place(domain) in places)

        return Found(tuple(rounds.met(found, recorded)), answer.unreachable)

    def _ask(self, on_host: OnHost = every_host, names: Sequence[str] = ()) -> _Answer:
        """Ask the client worker, in one question. Raises HostUnknown."""
        entries = {entry.name: entry for entry in self.entries}
        asked = self.chosen if self.chosen is not None else tuple(entries)
        asked = tuple(filter(on_host, asked))
        if not asked and (entries or self.chosen is not None):
            return _Answer()
        hosts, domains = self.client.reported(asked, names)
        told = {host.name: host for host in hosts if on_host(host.name)}
        if self.chosen is not None and not entries:
            for name in sorted(set(asked) - set(told)):
                raise HostUnknown(f"the client worker knows no host {name}")
        now = time.time()
        listed = asked or tuple(sorted(told))
        silent = {name: text for name in listed if (text := _silence(told.get(name), now))}
        return _Answer(
            asked=tuple(_asked(name, entries.get(name), told.get(name)) for name in listed),
            hosts=tuple(told[name] for name in sorted(listed) if name not in silent),
            unreachable=tuple(Unreachable(name, silent[name]) for name in sorted(silent)),
            domains=tuple(
                domain for domain in domains if domain.host in told and domain.host not in silent
            ),
        )


def _known(
    answer: _Answer, sources: tuple[AddressSource, ...], wanted: Callable[[Domain], bool]
) -> list[Domain]:
    reading = Reading(sources=sources, wanted=lambda domain, _known: wanted(domain), inactive=True)
    return sorted(_wanted(answer.domains, reading, {}), key=lambda domain: domain.host)


def _asked(name: str, entry: HostEntry | None, host: ReportedHost | None) -> AskedHost:
    if entry is not None:
        return AskedHost(name, entry.uri, entry.weight)
    # What a host says of a way to itself is nothing to go by.
    return AskedHost(name, None, host.weight if host else None)


def _silence(host: ReportedHost | None, now: float) -> str | None:
    """Return why nothing can be said of a host, and since when; None if something can."""
    if host is None:
        return "the client worker knows no host of that name"
    if host.age_s is None:
        return "it has not reported since the client worker was started"
    last = f"its last report is {host.age_s:.0f} s old, of {_moment(host, now).iso}"
    if not host.alive:
        return f"its host worker is silent, {last}"
    if host.libvirt_error is not None:
        return f"its libvirtd is silent: {one_line(short(host.libvirt_error, 500))}; {last}"
    return None


def _moment(host: ReportedHost, now: float) -> Moment:
    """Return when a host has reported, by this machine's clock."""
    return Moment(now - (host.age_s or 0))


def _host(host: ReportedHost, uri: str | None, reported: Moment) -> Host:
    return Host(
        name=host.name,
        uri=uri,
        seconds=None,
        cpus=host.cpus,
        memory_total_mib=host.memory_total_mib,
        memory_free_mib=host.memory_free_mib,
        libvirt_version=host.libvirt_version,
        hypervisor_version=host.hypervisor_version,
        hostname=host.hostname,
        pools=host.pools,
        networks=host.networks,
        reported=reported,
        worker_version=host.worker_version,
    )


def _wanted(
    told: Iterable[ReportedDomain], reading: Reading, reported: Mapping[str, Moment]
) -> Iterator[Domain]:
    """Yield the domains that are wanted, with as much as is read of them from libvirt."""
    minimal = reading.gather is Gather.MINIMAL
    for each in told:
        domain = _domain(each, reading, reported.get(each.host))
        listed = replace(
            domain.without_details(),
            made=domain.made,
            # Of one that runs it is in the definition, which libvirt is not asked for either.
            adopted=domain.adopted and not domain.active,
            is_image=domain.is_image,
            reported=domain.reported,
        )
        answer = reading.judge(listed, Known.LISTED)
        if answer is None and reading.judge(domain, Known.ALL) is not False:
            yield domain
        elif answer:
            yield listed if minimal else domain


def _domain(told: ReportedDomain, reading: Reading, reported: Moment | None) -> Domain:
    interfaces = _with_addresses(told, () if reading.gather is Gather.MINIMAL else reading.sources)
    domain = Domain(
        **{name: getattr(told, name) for name in _SAME},
        interfaces=interfaces,
        is_image=_is_image(told, reading),
        address=addresses.choose(interfaces, reading.preference),
        reported=reported,
        # See wire.fitting; without either nothing else can have been left out.
        is_cut=not (told.disks or told.interfaces),
    )
    if not (reading.inactive and told.active):
        return domain
    vcpus, memory_mib = told.next_vcpus, told.next_memory_mib
    return domain.sized(
        told.vcpus if vcpus is None else vcpus,
        told.memory_mib if memory_mib is None else memory_mib,
    )


def _is_image(told: ReportedDomain, reading: Reading) -> bool:
    """Tell it as libvirtd.host_reader does: by the reader's pattern, not by the host's."""
    if told.made:
        return told.is_image
    return not (told.active or told.adopted) and reading.may_be_image(told.name)


def _with_addresses(
    told: ReportedDomain, sources: Iterable[AddressSource]
) -> tuple[Interface, ...]:
    """Return the interfaces with the addresses of the first source that knows some."""
    for source in sources if told.active else ():
        found = [addresses.only(nic.addresses.get(source.value, ())) for nic in told.interfaces]
        if any(found):
            return tuple(nic.shown(known) for nic, known in zip(told.interfaces, found))
    return tuple(nic.shown() for nic in told.interfaces)
