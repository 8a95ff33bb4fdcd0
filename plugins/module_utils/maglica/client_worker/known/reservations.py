# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clones and starts under way on one host will take of it, as far as its report can't show
it yet.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from ...model.request import Request
from ...model.vm import vm_uuid
from ...verbs import table
from ...verbs.clone import CloneSpec
from ...verbs.verb import OnVm, Takes
from ..placement import choose
from ..placement import pools as placement_pools
from ..placement.candidates import Holdings, Reserved
from ..placement.memory import memory_of
from .news import SETTLE_SECONDS


@dataclass(frozen=True)
class _Reservation:
    """``memory_mib`` is what the vm has when it runs, ``resized_mib`` what it was given since it
    was made; ``ended``: the monotonic time when the request was done.
    """

    request: Request
    uuid: str
    memory_mib: int = 0
    committed_mib: int = 0
    assigned_mib: int = 0
    pool: str | None = None
    pool_bytes: int = 0
    base: str | None = None
    ended: float | None = None
    resized_mib: int | None = None

    def is_shown(self, holdings: Holdings) -> bool:
        """Tell whether a report shows what the request has done."""
        domain = holdings.by_uuid.get(self.uuid)
        return domain is not None and (domain.active or not self._shall_run)

    @property
    def _shall_run(self) -> bool:
        spec = self.request.spec
        return spec.start if isinstance(spec, CloneSpec) else True


class Reservations:
    """The reservations on one host, with running totals."""

    def __init__(self) -> None:
        self._entries: dict[str, _Reservation] = {}
        self._committed_mib = 0
        self._assigned_mib = 0
        self._pools: Counter[str] = Counter()
        self._bases: Counter[str] = Counter()

    def total(self) -> Reserved:
        """Return what all of them take together."""
        pools, bases = dict(self._pools), frozenset(self._bases)
        return Reserved(self._committed_mib, pools, bases, self._assigned_mib)

    def add(self, request: Request, holdings: Holdings | None, memory_mib: int = 0) -> None:
        """Reserve for a clone or a start, as its host's last report (``holdings``) makes necessary.

        ``memory_mib`` is what a vm that is started will have, if that is known to be more than its
        report says.
        """
        self.drop(request.id)
        if isinstance(request.spec, CloneSpec):
            self._put(self._counted(_Reservation(request, vm_uuid(request.id)), holdings))
        elif isinstance(request.spec, OnVm) and table.of(request).takes is Takes.MEMORY:
            entry = _Reservation(request, request.spec.uuid, memory_mib)
            self._put(self._counted(entry, holdings))

    def drop(self, request_id: str) -> bool:
        """Free what was reserved for this request; tell whether anything was."""
        entry = self._entries.pop(request_id, None)
        if entry is not None:
            self._add_up(entry, -1)
        return entry is not None

    def made(self, request_id: str, now: float) -> None:
        """Keep the reservation of a vm that is made, or started, until a report shows it so."""
        if request_id in self._entries:
            self._entries[request_id] = replace(self._entries[request_id], ended=now)

    def stopped(self, uuid: str, holdings: Holdings) -> list[Request]:
        """Free what was reserved for a vm that was started and has been stopped since; return the
        request of one that was just made.
        """
        has_it = uuid in holdings.by_uuid
        found = [each for each in self._of(uuid) if has_it and each.ended is not None]
        for entry in found:
            self.drop(entry.request.id)
        return _made(found)

    def gone(self, uuid: str) -> list[Request]:
        """Free what was reserved for the vm of that UUID, which was removed; return the request of
        one that was just made.
        """
        found = self._of(uuid)
        for entry in found:
            self.drop(entry.request.id)
        return _made(found)

    def settle(self, holdings: Holdings, now: float) -> list[Request]:
        """Count anew against a new report; return the requests whose vms it took over."""
        entries, self._entries = self._entries, {}
        self._committed_mib = self._assigned_mib = 0
        self._pools.clear()
        self._bases.clear()
        settled = []
        for entry in entries.values():
            done = entry.ended is not None
            if done and (entry.is_shown(holdings) or now - (entry.ended or 0) > SETTLE_SECONDS):
                settled.append(entry)
            else:
                self._put(self._counted(entry, holdings))
        return _made(settled)

    def memory_mib(self, uuid: str) -> int:
        """Return the memory that a vm will have which was just made, 0 if none was."""
        return max((entry.memory_mib for entry in self._of(uuid)), default=0)

    def resized(self, uuid: str, memory_mib: int) -> None:
        """Take in the memory that a vm was given which was just made, and is off."""
        for entry in self._of(uuid):
            if not entry.committed_mib:
                self.drop(entry.request.id)
                assigned = memory_mib if entry.assigned_mib else 0
                new = replace(entry, memory_mib=memory_mib, resized_mib=memory_mib)
                self._put(replace(new, assigned_mib=assigned))

    def commits(self, uuid: str) -> bool:
        """Tell whether memory is reserved for a vm that is about to run."""
        return any(entry.committed_mib for entry in self._of(uuid))

    def _of(self, uuid: str) -> list[_Reservation]:
        return [entry for entry in self._entries.values() if entry.uuid == uuid]

    def _counted(self, entry: _Reservation, holdings: Holdings | None) -> _Reservation:
        entry = replace(entry, committed_mib=0, assigned_mib=0, pool=None, pool_bytes=0, base=None)
        spec = entry.request.spec
        if isinstance(spec, CloneSpec):
            return self._counted_clone(entry, spec, holdings)
        domain = holdings.by_uuid.get(entry.uuid) if holdings else None
        known = domain.memory_mib if domain else self.memory_mib(entry.uuid)
        entry = replace(entry, memory_mib=max(known, entry.memory_mib))
        if self.commits(entry.uuid) or (domain is not None and domain.active):
            return entry
        is_assigned = domain is None or domain.made
        return replace(
            entry,
            committed_mib=entry.memory_mib,
            assigned_mib=0 if is_assigned else entry.memory_mib,
        )

    def _counted_clone(
        self, entry: _Reservation, spec: CloneSpec, holdings: Holdings | None
    ) -> _Reservation:
        reserved = self.total()
        need = choose.need(spec, holdings, reserved.bases)
        domain = holdings.by_uuid.get(entry.uuid) if holdings else None
        memory = memory_of(spec, holdings) if entry.resized_mib is None else entry.resized_mib
        entry = replace(
            entry,
            memory_mib=memory,
            committed_mib=0 if domain and domain.active else need.committed_mib,
            assigned_mib=0 if domain else memory,
        )
        pools = holdings.report.pools if holdings else ()
        under_way = reserved.pool_bytes
        room = placement_pools.roomiest(pools, under_way, spec.pool, spec.disk_size)
        if room is None or domain is not None:
            return entry
        size = need.disk_bytes + need.base_bytes
        return replace(entry, pool=room[0].name, pool_bytes=size, base=spec.image)

    def _put(self, entry: _Reservation) -> None:
        self._entries[entry.request.id] = entry
        self._add_up(entry, 1)

    def _add_up(self, entry: _Reservation, sign: int) -> None:
        self._committed_mib += sign * entry.committed_mib
        self._assigned_mib += sign * entry.assigned_mib
        if entry.pool is not None:
            self._pools[entry.pool] += sign * entry.pool_bytes
        if entry.base is not None:
            self._bases[entry.base] += sign
            if not self._bases[entry.base]:
                del self._bases[entry.base]


def _made(entries: list[_Reservation]) -> list[Request]:
    return [entry.request for entry in entries if table.of(entry.request).makes_vm]
