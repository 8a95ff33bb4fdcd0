# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica host``: the hosts, and what is on them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

from ..fleet.snapshot import Found, Snapshot
from ..fleet.source import Fleet
from ..manage.plan import need_all_hosts
from ..model.errors import HostUnknown, NameTaken, VmUnknown
from ..model.vm import Domain
from . import as_json, options, text
from .console import Cloud, Console


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_hosts, "list hosts: what is free, what is wrong")
    options.host(listing, "only this one")


def list_hosts(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    hosts = [status for status in cloud.client.hosts() if asked.host in (None, status.host)]
    if asked.host and not hosts:
        raise HostUnknown(f"no host {asked.host} is known to the client worker")
    shown = list(map(as_json.host, hosts))
    console.show(shown, text.host_table(hosts) + text.leftover_lines(hosts))


def domains(cloud: Cloud, asked: argparse.Namespace, console: Console) -> list[Domain]:
    """Return the domains of all hosts, or of the one that is asked for; say what is missing."""
    seen = fleet(cloud, asked).all()
    _say_silent(seen, console)
    for problem in seen.problems:
        console.say(f"maglica: warning: {problem}")
    return _as_told(cloud, (*seen.vms, *seen.images))


def named(cloud: Cloud, asked: argparse.Namespace, console: Console) -> list[Domain]:
    """Return the domains of the name that is asked for. Raises HostDown if there is none, and one
    may be on a host that does not answer.
    """
    found = fleet(cloud, asked).find_vms({asked.name})
    if not found.domains:
        need_all_hosts(asked.name, found)
    _say_silent(found, console)
    return _as_told(cloud, found.domains)


def one_vm(cloud: Cloud, asked: argparse.Namespace, console: Console) -> Domain:
    """Return the vm of the name that is asked for. Raises VmUnknown, NameTaken, HostDown."""
    found = named(cloud, asked, console)
    if not found:
        raise VmUnknown(f"there is no vm {asked.name}")
    vms = [domain for domain in found if not domain.is_image]
    hosts = " and ".join(domain.host for domain in vms or found)
    if not vms:
        raise NameTaken(f"{asked.name} is an original image on {hosts}, not a vm")
    if len(vms) > 1:
        raise NameTaken(f"several hosts have a vm {asked.name}, {hosts}: say which with --host")
    return vms[0]


def fleet(cloud: Cloud, asked: argparse.Namespace) -> Fleet:
    """Return the hosts, or the one that is asked for. Raises HostUnknown."""
    hosts = cloud.fleet(asked.source)
    return hosts if asked.host is None else hosts.only([asked.host])


def _say_silent(seen: Found | Snapshot, console: Console) -> None:
    for silent in seen.unreachable:
        console.say(f"maglica: warning: host {silent.host} is left out: {silent.text}")


def _as_told(cloud: Cloud, found: Iterable[Domain]) -> list[Domain]:
    """Return the domains, sorted, each as an image or a vm as its host's worker has it."""
    # Not all that could be images are: each host's worker knows a pattern of its own.
    told = {
        (status.host, summary.uuid): summary.may_be_image
        for status in cloud.client.hosts()
        for summary in status.report.domains
    }
    return sorted(
        (
            replace(each, is_image=each.is_image and told.get((each.host, each.uuid), True))
            for each in found
        ),
        key=lambda domain: (domain.name, domain.host),
    )
