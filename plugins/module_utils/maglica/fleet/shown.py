# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet showed, as plain data: the inventory plugin and the info modules show it so.

The inventory's variables are the keys of a vm, an image or a host with ``maglica_`` before them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from ..libvirtd.hosts import Host, Unreachable
from ..model.image import ImageVersion
from ..model.moment import Moment
from ..model.vm import Disk, Domain, Interface
from .snapshot import AskedHost, Snapshot


def vm(domain: Domain) -> dict[str, Any]:
    """Return a vm; what is not known is None, a list that has nothing is empty."""
    return {
        **_common(domain),
        "host": domain.host,
        "uuid": domain.uuid,
        "state": domain.state,
        "adopted": domain.adopted,
        "image": domain.image,
        "image_version": domain.image_version,
        "request": domain.request,
        "clone_mode": domain.clone_mode,
        "customize": domain.customize,
        "customize_reason": domain.customize_reason,
        "base": domain.base,
        "created": _time(domain.created),
        "who": domain.who,
        "address": domain.address,
        "ssh_host_keys": list(domain.ssh_host_keys),
        "foreign_disks": list(domain.foreign_disks),
        "autostart": domain.autostart,
        "description": domain.description,
        "protected": domain.protected,
        "kept_disks": list(domain.kept_disks),
        "boot_order": list(domain.boot_order),
        "graphics": [asdict(graphics) for graphics in domain.graphics],
        "console": domain.console and asdict(domain.console),
        "report_age_s": _age(domain.reported),
    }


def alone(domain: Domain) -> dict[str, Any]:
    """Return a domain as a filter's expression sees it: a vm, or one copy of an image."""
    shown = {"kind": "image" if domain.is_image else "vm", **vm(domain)}
    if not domain.is_image:
        return shown
    return {**shown, "size_bytes": _size(domain), "checksum": domain.checksum}


def images(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the images; one that several hosts have is one entry, with a copy for each."""
    dependents: dict[str | None, list[Domain]] = {}
    for domain in snapshot.vms:
        dependents.setdefault(domain.image, []).append(domain)
    by_name = groupby(snapshot.images, key=lambda domain: domain.name)
    return [_image(list(copies), dependents.get(name, ())) for name, copies in by_name]


def _image(copies: Sequence[Domain], dependents: Iterable[Domain]) -> dict[str, Any]:
    first = copies[0]
    return {
        **_common(first),
        "state": first.state,
        "hosts": [domain.host for domain in copies],
        "copies": [
            {
                "host": domain.host,
                "uuid": domain.uuid,
                "size_bytes": _size(domain),
                "checksum": domain.checksum,
                "made": domain.made,
                "versions": [_version(version) for version in reversed(domain.versions)],
                "report_age_s": _age(domain.reported),
            }
            for domain in copies
        ],
        "size_bytes": _size(first),
        "checksum": first.checksum,
        "origin": first.versions[-1].origin if first.versions else None,
        "dependents": list(map(_dependent, dependents)),
        # Of its oldest report.
        "report_age_s": _age(min(filter(None, (copy.reported for copy in copies)), default=None)),
    }


def _version(version: ImageVersion) -> dict[str, Any]:
    return {
        "checksum": version.checksum,
        "origin": version.origin,
        "format": version.format,
        "size_bytes": version.size_bytes,
        "request": version.request or None,
        "created": _time(version.created),
    }


def _dependent(vm: Domain) -> dict[str, Any]:
    return {
        "name": vm.name,
        "host": vm.host,
        "clone_mode": vm.clone_mode,
        "image_version": vm.image_version,
        "base": vm.base,
    }


def host(asked: AskedHost, found: Host | None) -> dict[str, Any]:
    """Return a host; ``found`` is None when it is unreachable."""
    shown = found or Host(name=asked.name, uri=asked.uri, seconds=0.0)
    return {**_host(shown), "reachable": found is not None, "weight": asked.weight}


def unreachable(hosts: Iterable[Unreachable]) -> list[dict[str, str]]:
    """Return the hosts that gave no answer, each with the reason."""
    return [{"host": entry.host, "text": entry.text} for entry in hosts]


def only_wanted(snapshot: Snapshot, want: Callable[[Domain], bool]) -> Snapshot:
    """Return the snapshot with those domains only for which ``want`` is true."""
    return replace(
        snapshot,
        vms=tuple(filter(want, snapshot.vms)),
        images=tuple(filter(want, snapshot.images)),
    )


def _common(domain: Domain) -> dict[str, Any]:
    shown = {
        "name": domain.name,
        "vcpus": domain.vcpus,
        "memory_mib": domain.memory_mib,
        "interfaces": [interface(nic) for nic in domain.interfaces],
        "disks": [_disk(disk) for disk in domain.disks],
        "tags": list(domain.tags),
    }
    return shown if domain.xml is None else {**shown, "xml": domain.xml}


def interface(nic: Interface) -> dict[str, Any]:
    """Return an interface of a vm."""
    return {
        "mac": nic.mac,
        "network": nic.network,
        "addresses": list(nic.addresses),
        "bridge": nic.bridge,
        "model": nic.model,
        "link": nic.link,
        "filter": nic.filter,
        "vlan": list(nic.vlan),
        "virtualport": nic.virtualport,
    }


def _disk(disk: Disk) -> dict[str, Any]:
    # dataclasses.asdict would copy each value deeply.
    return {
        "target": disk.target,
        "device": disk.device,
        "format": disk.format,
        "source": disk.source,
        "capacity_bytes": disk.capacity_bytes,
        "allocation_bytes": disk.allocation_bytes,
        "name": disk.name,
        "pool": disk.pool,
        "bus": disk.bus,
        "serial": disk.serial,
        "cache": disk.cache,
        "discard": disk.discard,
    }


def _host(found: Host) -> dict[str, Any]:
    return {
        "name": found.name,
        "uri": found.uri,
        "hostname": found.hostname,
        "cpus": found.cpus,
        "memory_total_mib": found.memory_total_mib,
        "memory_free_mib": found.memory_free_mib,
        "libvirt_version": found.libvirt_version,
        "hypervisor_version": found.hypervisor_version,
        "worker_version": found.worker_version,
        "pools": [asdict(pool) for pool in found.pools],
        "networks": list(found.networks),
        "seconds": None if found.seconds is None else round(found.seconds, 3),
        "report_age_s": _age(found.reported),
    }


def _size(domain: Domain) -> int | None:
    sizes = [disk.capacity_bytes for disk in domain.disks if disk.device == "disk"]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _time(moment: Moment | None) -> str | None:
    return None if moment is None else moment.iso


def _age(reported: Moment | None) -> float | None:
    """Return how many seconds old a report is now."""
    return None if reported is None else round(max(time.time() - reported, 0.0), 1)
