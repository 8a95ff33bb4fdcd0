# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clones under way on one host will take of it, as far as its report can't show it yet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from .. import placement
from ..model import CloneSpec, Request, vm_uuid
from ..placement import Holdings, Reserved

# A report may be a little older than a result that came before it: so long what the result said
# (a vm made, a vm removed) stands against a report that does not know it.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class _Reservation:
    """``ended``: the monotonic time when the vm was made."""

    request: Request
    spec: CloneSpec
    uuid: str
    memory_mib: int = 0
    pool: str | None = None
    pool_bytes: int = 0
    base: str | None = None
    committed_mib: int = 0
    ended: float | None = None


class Reservations:
    """The reservations on one host, with running totals."""

    def __init__(self) -> None:
        self._entries: dict[str, _Reservation] = {}
        self._memory_mib = 0
        self._committed_mib = 0
        self._pools: Counter[str] = Counter()
        self._bases: Counter[str] = Counter()

    def total(self) -> Reserved:
        """Return what all of them take together."""
        return Reserved(
            self._memory_mib, dict(self._pools), frozenset(self._bases), self._committed_mib
        )

    def add(self, request: Request, holdings: Holdings | None) -> None:
        """Reserve for a clone request, as its host's last report (``holdings``) makes necessary."""
        if isinstance(request.spec, CloneSpec):
            self.drop(request.id)
            entry = _Reservation(request, request.spec, vm_uuid(request.id))
            self._put(self._counted(entry, holdings))

    def drop(self, request_id: str) -> None:
        """Free what was reserved for this request, if anything was."""
        entry = self._entries.pop(request_id, None)
        if entry is not None:
            self._add_up(entry, -1)

    def made(self, request_id: str, now: float) -> None:
        """Keep the reservation of a vm that is made until a report shows the vm."""
        if request_id in self._entries:
            self._entries[request_id] = replace(self._entries[request_id], ended=now)

    def gone(self, uuid: str) -> list[str]:
        """Free what was reserved for the vm of that UUID, which was removed; return its name."""
        found = [entry for entry in self._entries.values() if entry.uuid == uuid]
        for entry in found:
            self.drop(entry.request.id)
        return [entry.spec.name for entry in found]

    def settle(self, holdings: Holdings, now: float) -> list[str]:
        """Count anew against a new report; return the names of vms that it took over."""
        entries, self._entries = self._entries, {}
        self._memory_mib = 0
        self._committed_mib = 0
        self._pools.clear()
        self._bases.clear()
        settled = []
        for entry in entries.values():
            shown = entry.uuid in holdings.by_uuid
            if entry.ended is not None and (shown or now - entry.ended > SETTLE_SECONDS):
                settled.append(entry.spec.name)
            else:
                self._put(self._counted(entry, holdings))
        return settled

    def _counted(self, entry: _Reservation, holdings: Holdings | None) -> _Reservation:
        reserved = self.total()
        need = placement.need(entry.spec, holdings, reserved.bases)
        domain = holdings.by_uuid.get(entry.uuid) if holdings else None
        memory = 0 if domain and domain.active else need.memory_mib
        committed = 0 if domain else placement.memory(entry.spec, holdings)
        entry = replace(
            entry, memory_mib=memory, committed_mib=committed, pool=None, pool_bytes=0, base=None
        )
        pools = holdings.report.pools if holdings else ()
        room = placement.roomiest(pools, reserved, entry.spec.pool)
        if room is None or domain is not None:
            return entry
        size = need.disk_bytes + need.base_bytes
        return replace(entry, pool=room[0].name, pool_bytes=size, base=entry.spec.image)

    def _put(self, entry: _Reservation) -> None:
        self._entries[entry.request.id] = entry
        self._add_up(entry, 1)

    def _add_up(self, entry: _Reservation, sign: int) -> None:
        self._memory_mib += sign * entry.memory_mib
        self._committed_mib += sign * entry.committed_mib
        if entry.pool is not None:
            self._pools[entry.pool] += sign * entry.pool_bytes
        if entry.base is not None:
            self._bases[entry.base] += sign
            if not self._bases[entry.base]:
                del self._bases[entry.base]
