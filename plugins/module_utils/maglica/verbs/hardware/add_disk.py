# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add a disk to a vm: a blank one, or one that was detached and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...model.checks import boolean
from ...model.errors import NameInvalid
from ...model.plain import lean, plain
from ...model.vm import Domain
from ..verb import (
    ALLOW_RESTART,
    ENDING,
    FORCE,
    SHUTDOWN_TIMEOUT,
    Change,
    Interrupted,
    OnVm,
    Option,
    Verb,
    restarting,
    vm_record,
    words,
)
from .disks import (
    FEATURE,
    Bus,
    Cache,
    Discard,
    NewDisk,
    WantsDisks,
    attached,
    check_all_new,
    new_disk,
)


@dataclass(frozen=True)
class AddDiskSpec(OnVm):
    """A vm that shall have this disk."""

    verb = "add_disk"
    disk: NewDisk
    allow_restart: bool = False
    force: bool = False
    stop_timeout: int = 120


def _change(wanted: WantsDisks, existing: Domain) -> tuple[Change, ...]:
    found = attached(existing)
    changes = []
    for disk in wanted.disks:
        if not disk.present or disk.name in found:
            continue
        if disk.is_there:
            raise NameInvalid(
                f"vm {existing.name} on host {existing.host} has no disk {disk.name} of its own"
                " attached, so that there is none to grow"
            )
        if disk.name not in existing.kept_disks:
            check_all_new([disk])
        pinned = (existing.name, existing.uuid, existing.host)
        spec = AddDiskSpec(*pinned, disk.new, *restarting(wanted, existing, can_wait=False))
        key = f"disk {disk.name}"
        changes.append(Change(spec, {key: shown(disk.new)}, before={key: None}))
    return tuple(changes)


def shown(disk: NewDisk) -> dict[str, Any]:
    """Return a disk as a diff shows it."""
    told: dict[str, Any] = lean(disk)
    del told["name"]
    return {"bus": plain(disk.bus), **told}


ADD_DISK = Verb(
    spec=AddDiskSpec,
    record=vm_record(AddDiskSpec, disk=new_disk, allow_restart=boolean, **ENDING),
    help="add a disk to a vm, a blank one or one that was detached and kept",
    act="add a disk to",
    interrupted=Interrupted.AGAIN,
    options=(
        Option("disk", "disk", "its name", "text", "DISK"),
        Option("size_mib", "--size", "in MiB or such as 20GiB", "size", "SIZE"),
        Option("pool", "--pool", "the storage pool (default: the one with most room)", "text"),
        Option("bus", "--bus", "default: virtio", "text", choices=words(Bus)),
        Option("cache", "--cache", "how the host caches it", "text", choices=words(Cache)),
        Option(
            "discard",
            "--discard",
            "what becomes of what the guest discards",
            "text",
            choices=words(Discard),
        ),
        Option("serial", "--serial", "what its guest finds it by (default: its name)", "text"),
        ALLOW_RESTART,
        FORCE,
        SHUTDOWN_TIMEOUT,
    ),
    change=_change,
    wants=lambda said: {
        "disks": [{("name" if key == "disk" else key): value for key, value in said.items()}]
    },
    feature=FEATURE,
)
