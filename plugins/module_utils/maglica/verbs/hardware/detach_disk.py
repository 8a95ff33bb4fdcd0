# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a disk away from a vm that was added to it, and keep it or remove it."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.checks import boolean
from ...model.errors import NotOwn, VmProtected
from ...model.vm import Domain
from ..verb import Change, Interrupted, OnVm, Option, Verb, vm_record
from .disks import DISK_NAME, FEATURE, WantsDisks, attached


@dataclass(frozen=True)
class DetachDiskSpec(OnVm):
    """A vm that shall have no disk of that name. ``keep``: its volume stays, for another day."""

    verb = "detach_disk"
    disk: str
    keep: bool = False


def _change(wanted: WantsDisks, existing: Domain) -> tuple[Change, ...]:
    found = attached(existing)
    changes = []
    for disk in wanted.disks:
        if disk.present or not (disk.name in found or disk.name in existing.kept_disks):
            continue
        if disk.name in found and found[disk.name].target == disk.name:
            raise NotOwn(
                f"disk {disk.name} of vm {existing.name} on host {existing.host} was made with the"
                " vm, and goes with it alone"
            )
        if disk.name not in found and disk.keep:
            continue
        if existing.protected and not disk.keep:
            raise VmProtected.of(f"remove disk {disk.name} of", existing.name, existing.host)
        key, state = f"disk {disk.name}", "attached" if disk.name in found else "kept"
        spec = DetachDiskSpec(existing.name, existing.uuid, existing.host, disk.name, disk.keep)
        after = {key: {"state": "kept"} if disk.keep else None}
        changes.append(Change(spec, after, before={key: {"state": state}}))
    return tuple(changes)


DETACH_DISK = Verb(
    spec=DetachDiskSpec,
    record=vm_record(DetachDiskSpec, disk=DISK_NAME, keep=boolean),
    help="take a disk away that was added to a vm, and remove it",
    # Once its volume is announced to go it goes.
    act="detach a disk from",
    interrupted=Interrupted.FINISHED,
    options=(
        Option("disk", "disk", "its name", "text", "DISK"),
        Option("keep", "--keep", "detach it only, with what is on it", "switch", is_manner=True),
    ),
    change=_change,
    wants=lambda said: {"disks": [{"name": said["disk"], "keep": said["keep"], "present": False}]},
    feature=FEATURE,
    # Another host's vm may run with it.
    unique=True,
)
