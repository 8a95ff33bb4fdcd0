# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot as JSON can hold it, for the inventory's cache, and back; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..libvirtd.hosts import Host, Unreachable
from ..model.image import ImageVersion
from ..model.moment import Moment
from ..model.reported import PoolState
from ..model.vm import Disk, Domain, Graphics, Interface, SerialConsole
from .snapshot import AskedHost, Snapshot

# Grows with each change of the values' fields: what an older version wrote is not read.
VERSION = 12


def dump(snapshot: Snapshot) -> dict[str, Any]:
    """Return the snapshot as plain data."""
    return {"version": VERSION, **dataclasses.asdict(snapshot)}


def load(data: object) -> Snapshot | None:
    """Return the snapshot that ``dump`` made ``data`` of; None when it is anything else."""
    if not isinstance(data, Mapping) or data.get("version") != VERSION:
        return None
    try:
        return Snapshot(
            vms=tuple(map(_domain, data["vms"])),
            images=tuple(map(_domain, data["images"])),
            hosts=tuple(map(_host, data["hosts"])),
            unreachable=tuple(Unreachable(**entry) for entry in data["unreachable"]),
            problems=tuple(data["problems"]),
            asked=tuple(AskedHost(**entry) for entry in data["asked"]),
        )
    except (KeyError, TypeError):
        return None


def part(snapshot: Snapshot, host: str) -> Snapshot:
    """Return the domains of one host."""
    return Snapshot(
        vms=tuple(domain for domain in snapshot.vms if domain.host == host),
        images=tuple(domain for domain in snapshot.images if domain.host == host),
    )


def merge(new: Snapshot, old: Snapshot) -> Snapshot:
    """Return ``new`` with what ``old`` knows of the hosts that ``new`` did not reach."""
    missing = {entry.host for entry in new.unreachable}
    domains = ("vms", "images")
    merged = {
        name: tuple(
            sorted(
                (*getattr(new, name), *(d for d in getattr(old, name) if d.host in missing)),
                key=lambda domain: (domain.name, domain.host),
            )
        )
        for name in domains
    }
    return dataclasses.replace(new, **merged)


def _domain(fields: Mapping[str, Any]) -> Domain:
    return Domain(
        **{
            **fields,
            "created": _moment(fields["created"]),
            "reported": _moment(fields["reported"]),
            "interfaces": tuple(map(_interface, fields["interfaces"])),
            "next_interfaces": None
            if fields["next_interfaces"] is None
            else tuple(map(_interface, fields["next_interfaces"])),
            "disks": tuple(Disk(**disk) for disk in fields["disks"]),
            "tags": tuple(fields["tags"]),
            "asked": tuple(fields["asked"]),
            "foreign_disks": tuple(fields["foreign_disks"]),
            "kept_disks": tuple(fields["kept_disks"]),
            "boot_order": tuple(fields["boot_order"]),
            "graphics": tuple(Graphics(**graphics) for graphics in fields["graphics"]),
            "console": fields["console"] and SerialConsole(**fields["console"]),
            "ssh_host_keys": tuple(fields["ssh_host_keys"]),
            "versions": tuple(
                ImageVersion(**{**version, "created": _moment(version["created"])})
                for version in fields["versions"]
            ),
        }
    )


def _interface(fields: Mapping[str, Any]) -> Interface:
    told = {"addresses": tuple(fields["addresses"]), "vlan": tuple(fields["vlan"])}
    return Interface(**{**fields, **told})


def _moment(seconds: float | None) -> Moment | None:
    return None if seconds is None else Moment(seconds)


def _host(fields: Mapping[str, Any]) -> Host:
    return Host(
        **{
            **fields,
            "pools": tuple(PoolState(**pool) for pool in fields["pools"]),
            "networks": tuple(fields["networks"]),
            "reported": _moment(fields["reported"]),
        }
    )
