# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet shows: frozen values; sizes are in bytes or MiB as the field's name says."""

from __future__ import annotations

from dataclasses import dataclass

from ..libvirtd.hosts import Host, Unreachable
from ..model.vm import Domain


@dataclass(frozen=True)
class Snapshot:
    """What all hosts that answered showed; each tuple is sorted by name, then by host.

    ``problems`` are texts about single things that could not be read on hosts that answered.
    """

    vms: tuple[Domain, ...] = ()
    images: tuple[Domain, ...] = ()
    hosts: tuple[Host, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The domains of one name on all hosts, and the hosts that did not answer the question."""

    domains: tuple[Domain, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
