# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two acts on guests: prepare a base once, and give all clones of a batch their identities."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Callable

from ...errors import GuestUnreadable, MaglicaError
from .appliance import MAX_DRIVES, Appliance, Drive, launched, moved
from .filesystem import SHADOW, ApplianceDied, apply
from .inspect import examine
from .model import Edit, GuestFacts
from .plan import AUTHORIZED_KEYS
from .prepare import clean, lay_out
from .system import find_system, holding

# A replay of a big journal and an inspection under emulation take minutes at worst. Less than the
# silence after which the worker takes a job for hung, so that the cause can be told.
PREPARE_SECONDS = 400
# A clone takes a second; whatever takes so much longer hangs.
CUSTOMIZE_SECONDS = 120

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guest:
    """A clone of the base: its disks in the order of the definition, and what to edit in it."""

    key: str
    drives: tuple[Drive, ...]
    edits: tuple[Edit, ...]


def prepare_base(
    drives: Sequence[Drive], use_kvm: bool, alive: Callable[[], None] = lambda: None
) -> GuestFacts:
    """Take the image's identity off its base and return what clones need to know of the guest.

    Mounting for writing replays the journals of file systems that were not unmounted cleanly.
    Raises GuestUnreadable or GuestUnsupported.
    """
    with launched(drives, use_kvm) as appliance, appliance.within(PREPARE_SECONDS):
        alive()
        system = find_system(appliance)
        with appliance.mounted(system.mounts, PREPARE_SECONDS) as filesystem:
            findings = examine(filesystem, system)
            edits, facts = lay_out(findings.facts)
            apply((*clean(findings), *edits), filesystem)
    paths = (*facts.laid_out, AUTHORIZED_KEYS, SHADOW)
    return replace(facts, mounts=holding(facts.mounts, paths))


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
        rest = [guest for guest in rest if guest.key not in results]
    return results


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
                    return {guest.key: error}
                first_drive += len(guest.drives)
                alive()
    except GuestUnreadable as error:
        # The appliance did not start, or could not write back what was changed.
        return {guest.key: results.get(guest.key) or error for guest in group}
    return results


def _edit(
    appliance: Appliance, guest: Guest, facts: GuestFacts, first_drive: int
) -> MaglicaError | None:
    begun = time.monotonic()
    mounts = moved(facts.mounts, first_drive)
    try:
        with appliance.mounted(mounts, CUSTOMIZE_SECONDS) as filesystem:
            apply(guest.edits, filesystem, facts.laid_out)
    except ApplianceDied:
        raise
    except MaglicaError as error:
        return error
    log.info("guest customized: key=%s seconds=%.2f", guest.key, time.monotonic() - begun)
    return None
