# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives all clones of a batch their identities, from outside."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from ..model.errors import GuestUnreadable, MaglicaError, NoRoom, StorageFailed
from .appliance.appliance import MAX_DRIVES, Appliance, Drive, launched, moved
from .areas.plan import patches
from .areas.writes import DiskPatches, Writer, is_untouched
from .edits import Edit, SetUser, apply
from .facts import GuestFacts, Mount
from .filesystem import ApplianceDied

# A clone takes a second; whatever takes so much longer hangs.
CUSTOMIZE_SECONDS = 120

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guest:
    """A clone of the base: its disks in the order of the definition, and what to edit in it."""

    key: str
    drives: tuple[Drive, ...]
    edits: tuple[Edit, ...]


def write_areas(
    guests: Sequence[Guest], facts: GuestFacts, base: Sequence[Drive], writer: Writer
) -> dict[str, MaglicaError | None]:
    """Make the edits of those guests that can do without an appliance; return results by key.

    ``base`` are the base's disks. A guest that is missing in the results is as it was, or has been
    written to in areas only, and can be customized in an appliance.
    """
    if not facts.areas or not is_untouched(base, facts):
        return {}
    begun = time.monotonic()
    writes: dict[str, list[DiskPatches]] = {}
    for guest in guests:
        planned = patches(facts, guest.edits)
        if isinstance(planned, str):
            log.info("guest needs an appliance: key=%s: %s", guest.key, planned)
        else:
            writes[guest.key] = [
                DiskPatches(drive, [patch for patch in planned if patch.drive == number])
                for number, drive in enumerate(guest.drives)
                if any(patch.drive == number for patch in planned)
            ]
    results = writer.write(writes)
    for key, problem in results.items():
        if problem:
            log.warning("guest needs an appliance: key=%s: %s", key, problem)
        else:
            log.info("guest customized by areas: key=%s", key)
    log.info("areas written: guests=%d seconds=%.3f", len(results), time.monotonic() - begun)
    return dict.fromkeys(key for key, problem in results.items() if not problem)


def customize(
    guests: Sequence[Guest],
    facts: GuestFacts,
    use_kvm: bool,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, MaglicaError | None]:
    """Make each guest's edits; return, by key, None or why that guest failed.

    One appliance serves all guests, unless the guest's volume manager would confuse its copies. A
    fresh one takes over the rest when an appliance ends. ``alive`` is called after each step.
    """
    results: dict[str, MaglicaError | None] = {}
    rest = list(guests)
    while rest:
        group = rest[: _group_size(rest[0], facts)]
        results.update(_in_one_appliance(group, facts, use_kvm, alive))
        _fail_all_without_room(guests, results)
        rest = [guest for guest in rest if guest.key not in results]
    return results


def _fail_all_without_room(
    guests: Sequence[Guest], results: dict[str, MaglicaError | None]
) -> None:
    """Spare the guests on a file system that was full for one of them an appliance each."""
    full = {
        device: error
        for guest in guests
        if isinstance(error := results.get(guest.key), NoRoom)
        for device in _devices(guest)
    }
    for guest in guests if full else ():
        for device in full.keys() & _devices(guest):
            results.setdefault(guest.key, full[device])


def _devices(guest: Guest) -> set[int]:
    """Return the file systems, by their devices' numbers, that a guest's disks lie on."""
    return {Path(drive.path).stat().st_dev for drive in guest.drives}


def _group_size(guest: Guest, facts: GuestFacts) -> int:
    return max(1, MAX_DRIVES // len(guest.drives)) if facts.shared else 1


def _in_one_appliance(
    group: Sequence[Guest], facts: GuestFacts, use_kvm: bool, alive: Callable[[], None]
) -> dict[str, MaglicaError | None]:
    """Edit the guests one after the other.

    When the appliance ends before its time, only the guest that it had mounted has a result: what
    it did before may not have reached the disks, and is done again.
    """
    results: dict[str, MaglicaError | None] = {}
    drives = [drive for guest in group for drive in guest.drives]
    first_drive = 0
    try:
        with launched(drives, use_kvm) as appliance:
            alive()
            for guest in group:
                try:
                    results[guest.key] = _edit(appliance, guest, facts, first_drive)
                except ApplianceDied as error:
                    return {guest.key: appliance.failure or error}
                first_drive += len(guest.drives)
                alive()
    except (GuestUnreadable, NoRoom, StorageFailed) as error:
        # The appliance did not start, or could not write back what was changed.
        return {guest.key: results.get(guest.key) or error for guest in group}
    return results


def _needed_mounts(guest: Guest, facts: GuestFacts) -> Sequence[Mount]:
    """Return what is mounted for a guest's edits: more where these are about a user."""
    if not any(isinstance(edit, SetUser) for edit in guest.edits):
        return facts.mounts
    mounts = {*facts.mounts, *facts.user_mounts}
    return sorted(mounts, key=lambda mount: mount.mountpoint)


def _edit(
    appliance: Appliance, guest: Guest, facts: GuestFacts, first_drive: int
) -> MaglicaError | None:
    begun = time.monotonic()
    mounts = moved(_needed_mounts(guest, facts), first_drive)
    try:
        with appliance.mounted(mounts, CUSTOMIZE_SECONDS) as filesystem:
            apply(guest.edits, filesystem, facts.laid_out)
    except ApplianceDied:
        raise
    except MaglicaError as error:
        return error
    log.info("guest customized: key=%s seconds=%.2f", guest.key, time.monotonic() - begun)
    return None
