# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which host a clone is made: what the hosts said last in, a host or an error out.

A host is suitable when it is alive, holds the image inactive, knows the networks asked for, has as
many processors as the vm, and has the memory and, in one pool, the disk space, both less what is
under way there. Of the suitable hosts the one with the lowest load for its weight is chosen, then
the first by name.

Each rule is a file beside this one. Disk space is what a clone takes when it is made.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...disk.room import OVERLAY_BYTES
from ...model import errors
from ...model.request import CloneMode
from ...model.text import some
from ...verbs.clone import CloneSpec
from . import disk_size, image, networks, peer, pools, processors, reachable, versions
from .candidates import Candidate, Choice, Holdings, Need, Reserved
from .memory import check_memory, load, memory_of


def place(
    spec: CloneSpec, candidates: Mapping[str, Candidate], second: str | None = None
) -> Choice:
    """Choose the host for ``spec`` among ``candidates`` (by name), but for ``second``, its peer.

    Raises HostUnknown, HostDown, NotReady, VersionTooOld, ImageUnknown, ImageRunning,
    DiskSizeUnsupported, NetworkUnknown, PoolUnknown, NoRoom or MessageInvalid; its text has the
    reason for each host that has the image.
    """
    if spec.host is not None:
        if spec.host not in candidates:
            raise errors.HostUnknown(f"{_act(spec)}: no host {spec.host} is known")
        try:
            return _weigh(spec, candidates[spec.host], second)
        except errors.MaglicaError as error:
            raise type(error)(f"{_act(spec)} on host {spec.host}: {error}") from None
    # Only as many hosts are looked at closely as it takes: there may be a thousand.
    holders = [
        (load(candidate, memory_of(spec, candidate.holdings)), candidate.name)
        for candidate in candidates.values()
        if candidate.holdings is not None and spec.image in candidate.holdings.by_name
    ]
    heapq.heapify(holders)
    refusals = []
    while holders:
        _load, name = heapq.heappop(holders)
        try:
            return _weigh(spec, candidates[name], second)
        except errors.MaglicaError as error:
            refusals.append((name, error))
    raise _refusal(spec, refusals, candidates)


def place_all(
    specs: Sequence[CloneSpec],
    candidates: Mapping[str, Candidate],
    peers: Mapping[str, str] | None = None,
) -> tuple[Choice, ...]:
    """Choose the hosts for all of ``specs`` together, in their order: each counts those before it.
    ``peers`` are those of the requests that have one, by the vm's name.

    Those that name a host get their place first, then the largest, so that what can go anywhere
    takes nothing from what can't. Raises what ``place`` raises for the first that does not fit.
    """
    candidates = dict(candidates)
    sizes = _sizes(specs, candidates)
    choices: dict[int, Choice] = {}
    for index in sorted(range(len(specs)), key=lambda at: (specs[at].host is None, -sizes[at])):
        spec = specs[index]
        try:
            choice = place(spec, candidates, (peers or {}).get(spec.name))
        except errors.MaglicaError as error:
            if choices:
                text = f"{error} (item {len(choices) + 1} of the list; those before it fit)"
                raise type(error)(text) from None
            raise
        choices[index] = choice
        candidates[choice.host] = _occupied(candidates[choice.host], spec, choice)
    return tuple(choices[index] for index in range(len(specs)))


def _sizes(specs: Sequence[CloneSpec], candidates: Mapping[str, Candidate]) -> list[int]:
    """Return each spec's memory in MiB, the most where hosts' images differ."""
    of_image = {
        name: max(
            (
                candidate.holdings.by_name[name].memory_mib
                for candidate in candidates.values()
                if candidate.holdings is not None and name in candidate.holdings.by_name
            ),
            default=0,
        )
        for name in {spec.image for spec in specs if not spec.memory_mib}
    }
    return [spec.memory_mib or of_image[spec.image] for spec in specs]


def _occupied(candidate: Candidate, spec: CloneSpec, choice: Choice) -> Candidate:
    """Return the host as it is with that clone under way there."""
    before, taken = candidate.reserved, choice.need
    pool_bytes = dict(before.pool_bytes)
    size = taken.disk_bytes + taken.base_bytes
    pool_bytes[choice.pool] = pool_bytes.get(choice.pool, 0) + size
    committed = before.committed_mib + taken.committed_mib
    assigned = before.assigned_mib + memory_of(spec, candidate.holdings)
    reserved = Reserved(committed, pool_bytes, before.bases | {spec.image}, assigned)
    return replace(candidate, reserved=reserved)


def need(spec: CloneSpec, holdings: Holdings | None, counted: frozenset[str]) -> Need:
    """Return what ``spec`` takes on a host; ``counted`` are images whose base is reserved there."""
    original = holdings.by_name.get(spec.image) if holdings else None
    copied = original.disk_bytes if original else 0
    base = holdings.report.base_of(spec.image, spec.customize) if holdings else None
    has_base = base is not None or spec.image in counted
    disk = OVERLAY_BYTES
    if spec.clone_mode is CloneMode.FULL:
        # Of an image that Maglica made a base may have little of its own, or nothing.
        images = holdings.report.images if holdings else ()
        is_made = any(each.name == spec.image and each.made for each in images)
        disk += copied if base is None or is_made else base.allocated_bytes
    return Need(
        memory_of(spec, holdings) if spec.start else 0,
        disk,
        0 if has_base else copied + OVERLAY_BYTES,
        spec.pool,
    )


def _weigh(spec: CloneSpec, candidate: Candidate, second: str | None) -> Choice:
    """Ask each rule in turn; return the place on this host. Raises what the first rule raises."""
    peer.check(candidate, second)
    holdings, reserved = reachable.check(candidate), candidate.reserved
    versions.check(spec, candidate)
    image.check(spec, holdings)
    disk_size.check(spec, holdings)
    networks.check(spec, holdings)
    processors.check(spec.vcpus, holdings)
    taken = need(spec, holdings, reserved.bases)
    check_memory(candidate, taken.committed_mib)
    needed = taken.disk_bytes + taken.base_bytes
    there, under_way = holdings.report.pools, reserved.pool_bytes
    pool = pools.choose(there, under_way, needed, taken.pool, spec.disk_size)
    pools.check_further(spec.disks, there, pool)
    return Choice(candidate.name, load(candidate, memory_of(spec, holdings)), pool, taken)


# When hosts refuse for several reasons, the error is the one nearest to success.
_NEAREST = (
    errors.NoRoom,
    errors.PoolUnknown,
    errors.NetworkUnknown,
    errors.NetworkUnsupported,
    errors.DiskSizeUnsupported,
    errors.VersionTooOld,
    errors.NotReady,
    errors.HostDown,
    errors.ImageRunning,
    errors.MessageInvalid,
    errors.ImageUnknown,
)


def _refusal(
    spec: CloneSpec,
    refusals: list[tuple[str, errors.MaglicaError]],
    candidates: Mapping[str, Candidate],
) -> errors.MaglicaError:
    if not refusals:
        unheard = sorted(name for name, host in candidates.items() if host.holdings is None)
        hint = f" (not reported yet: {some(unheard)})" if unheard else ""
        return errors.ImageUnknown(
            f"{_act(spec)}: no host has an original image {spec.image}{hint}"
        )
    refusals.sort(key=lambda refusal: (_NEAREST.index(type(refusal[1])), refusal[0]))
    reasons = [f"host {name}: {error}" for name, error in refusals]
    return type(refusals[0][1])(f"{_act(spec)}: {some(reasons, '; ')}")


def _act(spec: CloneSpec) -> str:
    return f"cannot clone {spec.name} from {spec.image}"
