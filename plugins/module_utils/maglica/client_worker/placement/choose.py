# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which host a clone is made: what the hosts said last in, a host or an error out.

A host is suitable when it is alive, holds the image inactive, knows the networks asked for and has
the memory and, in one pool, the disk space, both less what is under way there. Of the suitable
hosts the one with the lowest load for its weight is chosen, then the first by name.

Memory is counted as it is committed, by the definitions of what runs or is about to: guests take it
bit by bit, so that what is free now says little. Disk space is what a clone takes when it is made.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...disk.room import OVERLAY_BYTES
from ...model import errors
from ...model.memory_limit import DEFAULT, MemoryLimit
from ...model.request import CloneMode, DomainSummary, HostReport
from ...model.text import some
from ...verbs.clone import CloneSpec
from . import pools


@dataclass(frozen=True)
class Holdings:
    """A host's report, indexed once so that each placement needs look-ups only.

    ``committed_mib`` is the memory of the domains that run, ``assigned_mib`` also that of Maglica's
    vms that are off.
    """

    report: HostReport
    by_name: Mapping[str, DomainSummary]
    by_uuid: Mapping[str, DomainSummary]
    committed_mib: int
    assigned_mib: int

    @classmethod
    def of(cls, report: HostReport) -> Holdings:
        domains = report.domains
        return cls(
            report,
            {domain.name: domain for domain in domains},
            {domain.uuid: domain for domain in domains},
            sum(domain.memory_mib for domain in domains if domain.active),
            sum(domain.memory_mib for domain in domains if domain.active or domain.made),
        )


@dataclass(frozen=True)
class Need:
    """What one clone takes on a host. ``committed_mib``: if it is started; ``base_bytes``: for the
    base, where it is still to be made; ``pool``: the pool it must be in, if one was named.
    """

    committed_mib: int
    disk_bytes: int
    base_bytes: int
    pool: str | None = None


@dataclass(frozen=True)
class Reserved:
    """What is under way on a host will take beyond its report: by pool, and the images whose base
    that counts; ``committed_mib`` and ``assigned_mib`` as in Holdings.
    """

    committed_mib: int = 0
    pool_bytes: Mapping[str, int] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    assigned_mib: int = 0


@dataclass(frozen=True)
class Candidate:
    """A host as placement sees it; ``holdings`` is None until its worker has reported once."""

    name: str
    holdings: Holdings | None = None
    alive: bool = False
    weight: float = 1.0
    reserved: Reserved = field(default_factory=Reserved)
    limit: MemoryLimit = DEFAULT


@dataclass(frozen=True)
class Choice:
    """The host for a clone, the load that it will then have, and the pool that has room for it."""

    host: str
    load: float
    pool: str
    need: Need


def place(spec: CloneSpec, candidates: Mapping[str, Candidate]) -> Choice:
    """Choose the host for ``spec`` among ``candidates`` (by name).

    Raises HostUnknown, HostDown, ImageUnknown, ImageRunning, NetworkUnknown, PoolUnknown or NoRoom;
    its text has the reason for each host that has the image.
    """
    if spec.host is not None:
        if spec.host not in candidates:
            raise errors.HostUnknown(f"{_act(spec)}: no host {spec.host} is known")
        try:
            return _weigh(spec, candidates[spec.host])
        except errors.MaglicaError as error:
            raise type(error)(f"{_act(spec)} on host {spec.host}: {error}") from None
    # Only as many hosts are looked at closely as it takes: there may be a thousand.
    holders = [
        (load(candidate, memory(spec, candidate.holdings)), candidate.name)
        for candidate in candidates.values()
        if candidate.holdings is not None and spec.image in candidate.holdings.by_name
    ]
    heapq.heapify(holders)
    refusals = []
    while holders:
        _load, name = heapq.heappop(holders)
        try:
            return _weigh(spec, candidates[name])
        except errors.MaglicaError as error:
            refusals.append((name, error))
    raise _refusal(spec, refusals, candidates)


def place_all(
    specs: Sequence[CloneSpec], candidates: Mapping[str, Candidate]
) -> tuple[Choice, ...]:
    """Choose the hosts for all of ``specs`` together, in their order: each counts those before it.

    Those that name a host get their place first, then the largest, so that what can go anywhere
    takes nothing from what can't. Raises what ``place`` raises for the first that does not fit.
    """
    candidates = dict(candidates)
    sizes = _sizes(specs, candidates)
    choices: dict[int, Choice] = {}
    for index in sorted(range(len(specs)), key=lambda at: (specs[at].host is None, -sizes[at])):
        spec = specs[index]
        try:
            choice = place(spec, candidates)
        except errors.MaglicaError as error:
            if choices:
                text = f"{error}, after {len(choices)} others of the list"
                raise type(error)(text) from None
            raise
        choices[index] = choice
        candidates[choice.host] = _occupied(candidates[choice.host], spec, choice)
    return tuple(choices[index] for index in range(len(specs)))


def _sizes(specs: Sequence[CloneSpec], candidates: Mapping[str, Candidate]) -> list[int]:
    """Return each spec's memory in MiB, the most where hosts' images differ."""
    of_image = {
        image: max(
            (
                candidate.holdings.by_name[image].memory_mib
                for candidate in candidates.values()
                if candidate.holdings is not None and image in candidate.holdings.by_name
            ),
            default=0,
        )
        for image in {spec.image for spec in specs if not spec.memory_mib}
    }
    return [spec.memory_mib or of_image[spec.image] for spec in specs]


def _occupied(candidate: Candidate, spec: CloneSpec, choice: Choice) -> Candidate:
    """Return the host as it is with that clone under way there."""
    before, taken = candidate.reserved, choice.need
    pool_bytes = dict(before.pool_bytes)
    size = taken.disk_bytes + taken.base_bytes
    pool_bytes[choice.pool] = pool_bytes.get(choice.pool, 0) + size
    committed = before.committed_mib + taken.committed_mib
    assigned = before.assigned_mib + memory(spec, candidate.holdings)
    reserved = Reserved(committed, pool_bytes, before.bases | {spec.image}, assigned)
    return replace(candidate, reserved=reserved)


def check_memory(candidate: Candidate, more_mib: int) -> None:
    """Raise NoRoom, with the figures, unless so much more memory may be committed on a host.

    A worker that has just started does not tell how much there is.
    """
    if candidate.holdings is None or not more_mib:
        return
    total, limit = candidate.holdings.report.memory_total_mib, candidate.limit
    if not total:
        return
    left = limit.of(total) - candidate.holdings.committed_mib - candidate.reserved.committed_mib
    if more_mib > left:
        raise errors.NoRoom(
            f"{more_mib} MiB of memory needed, {max(left, 0)} of {limit.of(total)} MiB are left"
            f" ({total} MiB less memory_reserve {limit.reserve_mib} MiB, times memory_overcommit"
            f" {limit.overcommit:g})"
        )


def start(candidate: Candidate, memory_mib: int) -> Candidate:
    """Return the host as it is when a vm of it is started. Raises NoRoom."""
    check_memory(candidate, memory_mib)
    committed = candidate.reserved.committed_mib + memory_mib
    return replace(candidate, reserved=replace(candidate.reserved, committed_mib=committed))


def need(spec: CloneSpec, holdings: Holdings | None, counted: frozenset[str]) -> Need:
    """Return what ``spec`` takes on a host; ``counted`` are images whose base is reserved there."""
    image = holdings.by_name.get(spec.image) if holdings else None
    copied = image.disk_bytes if image else 0
    base = holdings.report.base_of(spec.image) if holdings else None
    has_base = base is not None or spec.image in counted
    disk = OVERLAY_BYTES
    if spec.clone_mode is CloneMode.FULL:
        disk += base.allocated_bytes if base is not None else copied
    return Need(
        memory(spec, holdings) if spec.start else 0,
        disk,
        0 if has_base else copied + OVERLAY_BYTES,
        spec.pool,
    )


def memory(spec: CloneSpec, holdings: Holdings | None) -> int:
    """Return the memory in MiB of the vm when it runs."""
    image = holdings.by_name.get(spec.image) if holdings else None
    return spec.memory_mib or (image.memory_mib if image else 0)


def load(candidate: Candidate, more_mib: int = 0) -> float:
    """Return the memory of a host's vms, and ``more_mib``, for its size and weight.

    A vm that Maglica made counts when it is off, too, so that those which are made one day and
    started the next are spread.
    """
    if candidate.holdings is None:
        return 0.0
    assigned = candidate.holdings.assigned_mib + candidate.reserved.assigned_mib + more_mib
    return assigned / (max(candidate.holdings.report.memory_total_mib, 1) * candidate.weight)


def _weigh(spec: CloneSpec, candidate: Candidate) -> Choice:
    holdings, reserved = candidate.holdings, candidate.reserved
    if holdings is None:
        raise errors.HostDown("its host worker has not reported yet")
    if not candidate.alive:
        raise errors.HostDown("its host worker does not answer")
    report = holdings.report
    if report.problem:
        raise errors.HostDown(report.problem[:300])
    _check_image(spec.image, holdings)
    for nic in spec.interfaces or ():
        if nic.network is not None and nic.network not in report.networks:
            raise errors.NetworkUnknown(f"there is no network {nic.network}")
    taken = need(spec, holdings, reserved.bases)
    check_memory(candidate, taken.committed_mib)
    needed = taken.disk_bytes + taken.base_bytes
    pool = pools.choose(holdings.report.pools, reserved.pool_bytes, needed, taken.pool)
    return Choice(candidate.name, load(candidate, memory(spec, holdings)), pool, taken)


def _check_image(name: str, holdings: Holdings) -> None:
    image = holdings.by_name.get(name)
    if image is None:
        raise errors.ImageUnknown(f"there is no original image {name}")
    if image.made or not image.may_be_image:
        kind = (
            "a vm made by Maglica"
            if image.made
            else "transient or excluded by the host's image_pattern"
        )
        raise errors.ImageUnknown(f"{name} is {kind}, no original image")
    if image.active:
        raise errors.ImageRunning(f"the original image {name} is running; shut it down first")


# When hosts refuse for several reasons, the error is the one nearest to success.
_NEAREST = (
    errors.NoRoom,
    errors.PoolUnknown,
    errors.NetworkUnknown,
    errors.HostDown,
    errors.ImageRunning,
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
