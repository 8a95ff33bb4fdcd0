# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``--json`` shows, in the names of the modules' results; docs/commands.md has the keys."""

from __future__ import annotations

from typing import Any

from ..manage import shown
from ..model.plain import plain
from ..model.request import HostReport, HostStatus, Request
from ..model.vm import Domain


def host(status: HostStatus) -> dict[str, Any]:
    """Return a host as it has reported itself."""
    report = status.report
    domains = report.domains
    return {
        "name": status.host,
        "reachable": status.alive,
        "seen": plain(status.seen),
        "weight": status.weight,
        "cpus": report.cpus,
        "memory_total_mib": report.memory_total_mib,
        "memory_free_mib": report.memory_free_mib,
        "pools": plain(report.pools),
        "networks": list(report.networks),
        "vms": [domain.name for domain in domains if not domain.is_image],
        "images": [domain.name for domain in domains if domain.is_image],
        "worker_version": status.worker_version,
        "problem": report.problem,
        "leftovers": [{**plain(each), "command": each.command} for each in report.leftovers],
    }


def image(domain: Domain, report: HostReport | None) -> dict[str, Any]:
    """Return an image of a host, with what that host knows of its guest."""
    look = report.look_at(domain.name) if report else None
    return {
        "name": domain.name,
        "host": domain.host,
        "uuid": domain.uuid,
        "checksum": domain.checksum,
        "origin": domain.versions[-1].origin if domain.versions else None,
        "customizable": look.customizable if look else None,
        "way": look.way.value if look and look.way else None,
        "reason": look.reason if look else None,
    }


def request(asked: Request) -> dict[str, Any]:
    """Return a request, with the vm or image that it is about and, when it is done, the vm."""
    return {
        "name": asked.name,
        "image": getattr(asked.spec, "image", None),
        **shown.of_request(asked),
        "vm": shown.of_domain(asked.vm) if asked.vm else None,
    }
