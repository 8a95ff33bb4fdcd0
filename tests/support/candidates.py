# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to choose from, as placement sees them: 8 GiB of memory, 100 GiB of disk, an image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from maglica.client_worker.placement.candidates import Candidate, Holdings
from maglica.client_worker.placement.choose import place
from maglica.client_worker.placement.pools import GIB
from maglica.model.request import CloneMode, DomainSummary, HostReport, PoolSummary
from maglica.verbs.clone import CloneSpec

IMAGE = DomainSummary(
    name="deb",
    uuid="00000000-0000-0000-0000-000000000001",
    active=False,
    may_be_image=True,
    made=False,
    vcpus=1,
    memory_mib=1024,
    disk_bytes=4 * GIB,
)
RUNNING = replace(IMAGE, active=True)
SPEC = CloneSpec(name="vm0", image="deb")


def vm(memory_mib: int) -> DomainSummary:
    return DomainSummary("other", "u", True, True, True, 1, memory_mib)


OFF = replace(vm(512), active=False)


def host(name: str, *domains: DomainSummary, **changes: Any) -> Candidate:
    """A candidate with 8 GiB of memory and 100 GiB of disk free; changes are of both."""
    own = ("alive", "weight", "reserved", "features", "version")
    kept = {k: changes.pop(k) for k in own if k in changes}
    said: dict[str, Any] = {
        "memory_total_mib": 8192,
        "memory_free_mib": 8192,
        "domains": domains or (IMAGE,),
        "pools": (PoolSummary("default", 200 * GIB, 100 * GIB),),
        "networks": ("default",),
    }
    report = HostReport(**{**said, **changes})
    return Candidate(name, Holdings.of(report), **{"alive": True, **kept})


def chosen(spec: CloneSpec, *hosts: Candidate) -> str:
    return place(spec, {candidate.name: candidate for candidate in hosts}).host


FULL = replace(SPEC, clone_mode=CloneMode.FULL)
