# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clones under way have written so far.

The client worker keeps room for all of a clone until a report shows its vm. What is on the disk by
then must not be missing from the free space as well, or it would count twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ...disk import files
from ...model.request import HostReport, PoolSummary
from ...model.vm import vm_uuid
from ...verbs import table
from ..journal.bases import MAKING, Base
from ..journal.intents import Effect
from ..journal.journal import Journal

# Bytes by pool.
Written = Counter[str]


def written(journal: Journal, bases: Iterable[Base]) -> dict[str, Written]:
    """Return what the open clone requests have written, by the UUIDs of their vms.

    ``bases`` are those of the journal. Raises JournalFailed.
    """
    making = {base.id: base for base in bases if base.state == MAKING}
    found: dict[str, Written] = {}
    for entry in journal.open():
        if not table.of(entry.request).makes_vm:
            continue
        pools = found.setdefault(vm_uuid(entry.id), Counter())
        for intent in journal.intents(entry.id):
            if intent.kind is Effect.VOLUME:
                pools[intent.data["pool"]] += files.taken(intent.data["path"])
            elif intent.kind is Effect.BASE and intent.data["id"] in making:
                base = making[intent.data["id"]]
                pools[base.pool] += size_of(base)
    return found


def added(report: HostReport, found: Mapping[str, Written]) -> tuple[PoolSummary, ...]:
    """Return the report's pools, where what was written for vms that it does not show is free."""
    shown = {domain.uuid for domain in report.domains}
    missing = sum((pools for uuid, pools in found.items() if uuid not in shown), Written())
    return tuple(
        replace(pool, free_bytes=min(pool.free_bytes + missing[pool.name], pool.capacity_bytes))
        for pool in report.pools
    )


def size_of(base: Base) -> int:
    """Return what a base takes on its disk, in bytes."""
    return sum(files.taken(disk.path) for disk in base.disks) if base.owns else 0
