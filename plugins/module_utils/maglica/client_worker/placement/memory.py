# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule of memory: what may be committed on a host, and how much a host bears already.

Memory is counted as it is committed, by the definitions of what runs or is about to: guests take it
bit by bit, so that what is free now says little.
"""

from __future__ import annotations

from dataclasses import replace

from ...model import errors
from ...model.memory_limit import MemoryLimit
from ...verbs.clone import CloneSpec
from .candidates import Candidate, Holdings

# More than any host bears, and within what an answer can tell: a host may say that it has next to
# no memory, and vms with very much.
MAX_LOAD = 1e9


def check_memory(candidate: Candidate, more_mib: int) -> None:
    """Raise NoRoom, with the figures, unless so much more memory may be committed on a host.

    A worker that has just started does not tell how much there is.
    """
    total, limit = _total(candidate), candidate.limit
    if candidate.holdings is None or not total or not more_mib:
        return
    left = limit.of(total) - candidate.holdings.committed_mib - candidate.reserved.committed_mib
    if more_mib > left:
        raise errors.NoRoom(
            f"{more_mib} MiB of memory needed, {max(left, 0)} of {limit.of(total)} MiB are left"
            f" ({_figures(total, limit)})"
        )


def check_size(candidate: Candidate, memory_mib: int) -> None:
    """Raise NoRoom, with the figures, if a vm of so much memory could never be started there."""
    total, limit = _total(candidate), candidate.limit
    if total and memory_mib > limit.of(total):
        raise errors.NoRoom(
            f"{memory_mib} MiB of memory asked for, {limit.of(total)} MiB may be committed there"
            f" ({_figures(total, limit)}); ask for less, or raise the limit in the client worker's"
            " configuration"
        )


def _total(candidate: Candidate) -> int:
    """Return a host's memory in MiB; 0 where its worker has not told it yet."""
    return candidate.holdings.report.memory_total_mib if candidate.holdings else 0


def _figures(total: int, limit: MemoryLimit) -> str:
    return (
        f"{total} MiB less memory_reserve {limit.reserve_mib} MiB, times memory_overcommit"
        f" {limit.overcommit:g}"
    )


def start(candidate: Candidate, memory_mib: int) -> Candidate:
    """Return the host as it is when a vm of it is started. Raises NoRoom."""
    check_memory(candidate, memory_mib)
    committed = candidate.reserved.committed_mib + memory_mib
    return replace(candidate, reserved=replace(candidate.reserved, committed_mib=committed))


def memory_of(spec: CloneSpec, holdings: Holdings | None) -> int:
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
    size = max(candidate.holdings.report.memory_total_mib, 1) * candidate.weight
    return min(assigned / size, MAX_LOAD)
