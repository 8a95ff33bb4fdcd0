# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet shows: frozen values; sizes are in bytes or MiB as the field's name says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..libvirtd.hosts import Host, Unreachable
from ..model.vm import Domain

# Says whether the host of that name is meant.
OnHost = Callable[[str], bool]
# A domain's UUID and its host. A UUID alone is no key: any host can say that it has one of another.
Place = tuple[str, str]


def place(domain: Domain) -> Place:
    """Return what a domain is told from all others by."""
    return domain.uuid, domain.host


def every_host(_name: str) -> bool:
    return True


@dataclass(frozen=True)
class AskedHost:
    """A host that was asked about. ``uri`` is libvirt's from here, None if that is not known, and
    ``weight`` its share of the work.
    """

    name: str
    uri: str | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """What all hosts that answered showed; each tuple is sorted by name, then by host.

    ``problems`` are texts about single things that could not be read on hosts that answered.
    ``asked`` are all hosts, in the order of the configuration if that names them.
    """

    vms: tuple[Domain, ...] = ()
    images: tuple[Domain, ...] = ()
    hosts: tuple[Host, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    problems: tuple[str, ...] = ()
    asked: tuple[AskedHost, ...] = ()


@dataclass(frozen=True)
class Found:
    """The domains of one name on all hosts, and the hosts that did not answer the question."""

    domains: tuple[Domain, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
