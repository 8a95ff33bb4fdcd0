# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain as its definition and libvirt's statistics of it show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..model import text
from ..model.vm import Disk, Domain
from .definition import Definition
from .metadata import Made


def described(domain: Domain, found: Definition, statistics: Mapping[str, Any]) -> Domain:
    """Return ``domain`` with what its definition says.

    ``statistics`` are what libvirt tells of the domain: its disks have sizes as far as they are
    there, or else those that they were made with.
    """
    made, image = found.made, found.image
    origin: dict[str, Any] = {}
    if image is not None:
        newest = image.newest
        origin = {"checksum": newest.checksum, "versions": image.shown}
        if image.made:
            origin |= {"request": image.request, "created": newest.created, "who": image.who}
    if made is not None and made.adopted:
        origin |= {
            "adopted": True,
            "request": made.request,
            "created": made.created,
            "who": made.who,
            "tags": made.tags,
            "protected": made.protected,
            "foreign_disks": found.foreign_disks,
        }
    elif made is not None:
        origin |= {
            "image": made.image,
            "image_version": made.image_version or None,
            "request": made.request,
            "created": made.created,
            "who": made.who,
            "clone_mode": made.clone_mode,
            "customize": made.customize,
            "customize_reason": made.customize_reason,
            "base": made.base,
            "asked": made.asked,
            "tags": made.tags,
            "ssh_host_keys": made.ssh_host_keys,
            "protected": made.protected,
        }
    return replace(
        domain,
        made=(made is not None and not made.adopted) or found.is_made_image,
        vcpus=found.vcpus,
        memory_mib=found.memory_mib,
        interfaces=found.interfaces,
        disks=(disks := _disks(found, statistics, domain.active)),
        kept_disks=_kept(made, disks),
        boot_order=found.boot_order,
        **at_host(domain, found),
        # Whoever may define domains has written it.
        description=text.note(found.description) if found.description else None,
        **origin,
    )


def at_host(domain: Domain, running: Definition) -> dict[str, Any]:
    """Return where its host has screen and console of a domain that is active, by its live
    definition.
    """
    if not domain.active:
        return {}
    return {"graphics": running.graphics, "console": running.console}


def _kept(made: Made | None, disks: Sequence[Disk]) -> tuple[str, ...]:
    """Return the names of a vm's further disks that are not attached."""
    if made is None:
        return ()
    attached = {disk.name for disk in disks}
    return tuple(sorted({*made.disk_names.values(), *made.kept} - attached))


def number(statistics: Mapping[str, Any], key: str) -> int | None:
    """Return a number of a domain's statistics; None for a value of any other type."""
    value = statistics.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _disks(found: Definition, statistics: Mapping[str, Any], active: bool) -> tuple[Disk, ...]:
    # See "Domain statistics" of virConnectGetAllDomainStats: block.<num>.<field>. A backing
    # chain's members have the same name and a backingIndex; the first is the disk itself.
    # What the storage holds is "physical" of a running guest, where "allocation" is as far as the
    # guest has written; of one that is off, "physical" is the file's length with its holes.
    held = "physical" if active else "allocation"
    sizes: dict[str, tuple[int | None, int | None]] = {}
    # However many there are said to be, no more are there than values.
    for index in range(min(number(statistics, "block.count") or 0, len(statistics))):
        prefix = f"block.{index}."
        sizes.setdefault(
            statistics.get(prefix + "name", ""),
            (number(statistics, prefix + "capacity"), number(statistics, prefix + held)),
        )
    known = found.made.sizes if found.made else {}
    own = _own(found.made)
    return tuple(
        Disk(
            *(disk.target, disk.device, disk.format, disk.source),
            *sizes.get(disk.target, (known.get(disk.target), None)),
            **own.get(disk.source, {}),
            bus=disk.bus,
            serial=disk.serial,
            cache=disk.cache,
            discard=disk.discard,
        )
        for disk in found.disks
    )


def _own(made: Made | None) -> dict[str | None, dict[str, Any]]:
    """Return name and pool of a vm's own disks by what a definition has as their source."""
    named = made.disks.items() if made else ()
    return {
        source: {"name": name, "pool": each.pool} for name, each in named for source in each.sources
    }
