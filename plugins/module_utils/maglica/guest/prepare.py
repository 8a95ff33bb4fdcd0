# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one look at an image's guest, and with that the preparation of the base that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Callable

from ..model.errors import GuestUnsupported
from ..model.request import Customize
from ..model.text import told
from . import growth, inspect, os_release
from .accounts import SHADOW
from .appliance.appliance import Appliance, Drive, launched_to_read
from .areas.plan import located, new_fill, usable
from .areas.writes import Piece, confirmed, hits
from .base_plan import clean, lay_out
from .clone_plan import AUTHORIZED_KEYS
from .cloud_init import base as seed_base
from .cloud_init import inspect as cloud_init_inspect
from .cloud_init.base import SeedBase
from .cloud_init.facts import SeedFacts
from .cloud_init.inspect import CloudInit
from .cloud_init.way import way
from .edits import apply
from .facts import GuestFacts, Seen
from .filesystem import Filesystem
from .inspect import Findings, OperatingSystem
from .network import stacks
from .system import find_system, holding, with_inodes

# An inspection under emulation takes minutes at worst, and so does the replay of a big journal.
# Less than the silence after which the worker takes a job for hung, so that the cause can be told.
PREPARE_SECONDS = 240

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What was seen, and the way for whose clones the disks are a base now: None, for no one's.

    ``facts`` are what clones need to know that are customized offline.
    """

    seen: Seen
    way: Customize | None = None
    facts: GuestFacts | None = None


@dataclass(frozen=True)
class Inside:
    """What was seen, and what preparing a base needs, for each of the ways that there are."""

    seen: Seen
    findings: Findings | None
    seed: SeedBase | None


def prepare_base(
    drives: Sequence[Drive],
    asked: Customize | None,
    use_kvm: bool,
    alive: Callable[[], None] = lambda: None,
) -> Prepared:
    """Look at the guest on these disks, and take its identity off them as ``asked``, if it can be.

    None: only look. Offline, files that clones write are laid out as areas where the guest's disks
    allow that; ``placed`` finds these. Mounting for writing replays the journals of file systems
    that were not unmounted cleanly. Raises GuestUnreadable or GuestUnsupported for a guest of which
    nothing can be told, NoVerdict where that may be otherwise the next time, NoRoom, StorageFailed.
    """
    with launched_to_read(drives, use_kvm) as appliance:
        alive()
        with appliance.within(PREPARE_SECONDS):
            system = find_system(appliance)
        alive()
        with appliance.mounted(system.mounts, PREPARE_SECONDS) as filesystem:
            inside = examine(filesystem, system)
            try:
                made = _made(filesystem, inside, system, _way(asked, inside.seen))
            except GuestUnsupported as error:
                made = Prepared(_without(inside.seen, _way(asked, inside.seen), told(error)))
            areas = () if made.facts is None else made.facts.areas
            numbers = {area.path: filesystem.inode(area.path) for area in areas}
        if made.facts is not None:
            made = replace(made, facts=_finished(appliance, made.facts, numbers))
    return made


def examine(filesystem: Filesystem, system: OperatingSystem) -> Inside:
    """Read what there is to know, for all ways. Raises GuestUnreadable."""
    findings, offline = None, None
    try:
        findings = inspect.examine(filesystem, system)
    except GuestUnsupported as error:
        offline = told(error)
    cloud = cloud_init_inspect.examine(filesystem)
    seed, problem = None, cloud.problem
    if problem is None and system.seed:
        problem = f"would read {system.seed:.100}, a seed of the image's own, before a clone's"
    if problem is None:
        try:
            seed = seed_base.examine(filesystem)
        except GuestUnsupported as error:
            problem = told(f"would not undo what its clones would share: {error}")
    root = next(mount.device for mount in system.mounts if mount.mountpoint == "/")
    seen = Seen(
        system.distro,
        _release(filesystem) or system.version,
        _stack(filesystem, findings, cloud),
        growth.layout(root, system.root_kind),
        problem,
        offline,
        None if seed is None else _facts_of(seed, cloud, root, system),
        seed is not None and not seed.edits,
    )
    return Inside(seen, findings, seed)


def _facts_of(seed: SeedBase, cloud: CloudInit, root: str, system: OperatingSystem) -> SeedFacts:
    return SeedFacts(
        ssh_host_keys=seed.ssh_host_keys,
        default_user=cloud.default_user,
        loses_routes6=cloud.loses_routes6,
        root_device=root,
        root_kind=system.root_kind,
        grows=cloud.grows,
    )


def _release(filesystem: Filesystem) -> str:
    try:
        return os_release.read(filesystem).version
    except GuestUnsupported:
        return ""


def _stack(filesystem: Filesystem, findings: Findings | None, cloud: CloudInit) -> str:
    """Return what configures the guest's network, as far as that can be told."""
    if findings is not None:
        return findings.facts.network
    try:
        return " and ".join(stacks.named(filesystem)) or "".join(cloud.renderers[:1])
    except GuestUnsupported:
        return ""


def _way(asked: Customize | None, seen: Seen) -> Customize | None:
    try:
        return None if asked is None else way(asked, seen.cloud_init, seen.offline).way
    except GuestUnsupported:
        return None


def _made(
    filesystem: Filesystem, inside: Inside, system: OperatingSystem, chosen: Customize | None
) -> Prepared:
    """Take the guest's identity off its disks. Raises GuestUnsupported where that can't be done."""
    facts = None
    if chosen is Customize.CLOUD_INIT and inside.seed is not None:
        apply(inside.seed.edits, filesystem, inside.seed.filled)
    elif chosen is Customize.OFFLINE and inside.findings is not None:
        edits, facts = lay_out(inside.findings, new_fill() if system.is_plain else "")
        # fstab(5) is there: filled, it keeps its owner, mode and label.
        apply((*clean(inside.findings), *edits), filesystem, (growth.FSTAB,))
    return Prepared(inside.seen, chosen, facts)


def _without(seen: Seen, failed: Customize | None, problem: str) -> Seen:
    """Return what was seen where it came out later that a way can't be gone."""
    if failed is Customize.CLOUD_INIT:
        text = f"would leave what its clones would share: {problem}"
        return replace(seen, cloud_init=text, seed=None, is_clean=False)
    return replace(seen, offline=problem)


def _finished(appliance: Appliance, facts: GuestFacts, numbers: dict[str, int]) -> GuestFacts:
    """Return the facts with all that is known of the areas while the guest is not mounted."""
    if facts.areas:
        with appliance.within(PREPARE_SECONDS):
            facts = replace(facts, areas=with_inodes(appliance, facts, numbers))
    paths = (*facts.laid_out, AUTHORIZED_KEYS, SHADOW)
    return replace(facts, mounts=holding(facts.mounts, paths))


def placed(
    facts: GuestFacts,
    drives: Sequence[Drive],
    map_of: Callable[[str], Sequence[Piece]],
    alive: Callable[[], None] = lambda: None,
) -> GuestFacts:
    """Return the facts with the places that the areas have on the base's disks.

    ``map_of`` tells what of the disk at a path lies in its file. Without areas, if these can't be
    found. Raises StorageFailed.
    """
    if not facts.areas:
        return facts
    maps = [map_of(drive.path) for drive in drives]
    found = usable(confirmed(drives, maps, located(facts, hits(drives, maps, facts.fill, alive))))
    log.info("areas found: %d of %d", len(found), len(facts.areas))
    return replace(facts, areas=found)
