# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``maglica host``: the hosts, and what is on them."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ..model.errors import HostUnknown
from ..model.vm import Domain
from . import options, text
from .console import Cloud, Console


def add_commands(group: options.Group) -> None:
    listing = group.add("list", list_hosts, "list hosts: what is free, what is wrong")
    options.host(listing, "only this one")


def list_hosts(cloud: Cloud, asked: argparse.Namespace, console: Console) -> None:
    hosts = [status for status in cloud.client.hosts() if asked.host in (None, status.host)]
    if asked.host and not hosts:
        raise HostUnknown(f"no host {asked.host} is known to the client worker")
    console.show(hosts, text.host_table(hosts) + text.leftover_lines(hosts))


def domains(cloud: Cloud, host: str | None, console: Console) -> list[Domain]:
    """Return the domains of all hosts, or of one, as they are now; say what is missing."""
    fleet = cloud.fleet()
    if host is not None:
        fleet = fleet.only(host)
    seen = fleet.all()
    for silent in seen.unreachable:
        console.say(f"maglica: warning: host {silent.host} is left out: {silent.text}")
    for problem in seen.problems:
        console.say(f"maglica: warning: {problem}")
    # Not all that could be images are: each host's worker knows a pattern of its own.
    told = {
        (status.host, summary.uuid): summary.may_be_image
        for status in cloud.client.hosts()
        for summary in status.report.domains
    }
    found = (*seen.vms, *seen.images)
    return sorted(
        (
            replace(each, is_image=each.is_image and told.get((each.host, each.uuid), True))
            for each in found
        ),
        key=lambda domain: (domain.name, domain.host),
    )
