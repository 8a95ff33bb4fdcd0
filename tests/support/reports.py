# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts report, and the clone that a client submits and the vm that it makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from maglica.model.moment import Moment
from maglica.model.reported import ReportedDomain
from maglica.model.request import (
    BaseSummary,
    Customize,
    DomainSummary,
    HostReport,
    LookSummary,
    PoolSummary,
    Request,
    new_request_id,
)
from maglica.model.vm import Domain, vm_uuid
from maglica.verbs.clone import CloneSpec

IMAGE = "debian12.original"
GIB = 1 << 30


def image(**changes: Any) -> DomainSummary:
    """An original image of 2 GiB as a host reports it."""
    facts: dict[str, Any] = {
        "name": IMAGE,
        "uuid": "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11",
        "active": False,
        "may_be_image": True,
        "made": False,
        "vcpus": 1,
        "memory_mib": 512,
        "disk_bytes": 2 * GIB,
    }
    return DomainSummary(**{**facts, **changes})


def base(image_name: str = IMAGE, **changes: Any) -> BaseSummary:
    """A base of the present version of an image."""
    facts: dict[str, Any] = {
        "id": "0a1b2c3d",
        "image": image_name,
        "version": "0123456789ab",
        "pool": "default",
        "allocated_bytes": GIB,
        "created": Moment(1),
        "current": True,
        "areas": True,
        "vms": 0,
    }
    return BaseSummary(**{**facts, **changes})


def look(image_name: str = IMAGE) -> LookSummary:
    """A look at the present version of an image."""
    return LookSummary(image_name, "0123456789ab", True, None, True, Customize.OFFLINE)


def report(*domains: DomainSummary, **changes: Any) -> HostReport:
    """The report of a host with 16 GiB of memory, 100 GiB of disk and these domains."""
    facts: dict[str, Any] = {
        "cpus": 8,
        "memory_total_mib": 16384,
        "memory_free_mib": 16384,
        "domains": domains or (image(),),
        "pools": (PoolSummary("default", 200 * GIB, 100 * GIB),),
        "networks": ("default",),
    }
    return HostReport(**{**facts, **changes})


def showing(said: HostReport, shown: Iterable[ReportedDomain]) -> HostReport:
    """That report with all of those domains among its own."""
    known = {each.uuid for each in said.domains}
    more = (
        image(name=each.name, uuid=each.uuid, active=each.active, made=bool(each.made))
        for each in shown
        if each.uuid not in known
    )
    return replace(said, domains=(*said.domains, *more))


def vm(request: Request) -> Domain:
    """The vm that a clone request makes."""
    uuid = vm_uuid(request.id)
    return Domain(request.name, uuid, request.host or "", "running", active=True, image=IMAGE)


def made(request: Request, **changes: Any) -> DomainSummary:
    """That vm as a host reports it."""
    facts = {"name": request.name, "uuid": vm_uuid(request.id), "active": True, "made": True}
    return replace(image(), **{**facts, **changes})


def clone(name: str, request_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """The body of a submit."""
    spec = CloneSpec(name=name, **{"image": IMAGE, **fields})
    return {"id": request_id or new_request_id(), "kind": "clone", "spec": spec}
