# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clones under way take of a host, until its report shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from maglica.client_worker.known.reservations import SETTLE_SECONDS
from maglica.disk.room import OVERLAY_BYTES
from maglica.model.request import PoolSummary, State
from support.reports import GIB, base, clone, image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell


def test_clones_under_way_are_reserved_until_a_report_shows_them(cell: Cell) -> None:
    cell.hello()
    first, second = cell.clone("vm0"), cell.clone("vm1")
    # The base is counted once.
    assert cell.reserved() == (1024, 2.2, {image().name})
    assert cell.plan("vm2")[1]["placements"][0].load == 3 * 512 / 16384
    assert cell.plan("vm1")[1]["placements"][0].load == 2 * 512 / 16384
    cell.hello("kvm0", report(image(), made(first, active=False), bases=(base(),)))
    assert cell.reserved() == (1024, 0.1, {image().name})
    cell.result(first, state="done", vm=vm(first))
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert cell.reserved() == (512, 0.1, {image().name})
    # The result came before a report that is older than it.
    cell.result(second, state="done", vm=vm(second))
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert cell.reserved() == (512, 0.1, {image().name})
    cell.now += SETTLE_SECONDS + 1
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert cell.reserved() == (0, 0.0, set())
    assert cell.clone("vm1").state is State.QUEUED


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_clone_that_was_not_made_frees_its_reservation(cell: Cell, state: str) -> None:
    cell.hello()
    request = cell.clone("vm0")
    cell.result(request, state=state, failure={"code": "no_room", "text": "full"})
    assert cell.reserved() == (0, 0.0, set())
    assert cell.clone("vm0").id != request.id


def test_reservations_survive_a_restart(cell: Cell) -> None:
    cell.hello()
    cell.clone("vm0")
    done = cell.clone("vm1")
    cell.result(done, state="done", vm=vm(done))
    before = cell.reserved()
    cell.engine.stop()
    cell.reopen()
    assert cell.reserved() == before == (1024, 2.2, {image().name})
    assert "name_taken" in str(cell.ask("submit", **clone("vm1")))


def test_disk_is_reserved_in_the_pool_with_most_room(cell: Cell) -> None:
    pools = (PoolSummary("a", 9 * GIB, 5 * GIB), PoolSummary("b", 9 * GIB, 4 * GIB))
    copied = 2 * GIB - OVERLAY_BYTES
    cell.hello("kvm0", report(pools=pools, bases=(base(allocated_bytes=copied),)))
    for name in ("vm0", "vm1", "vm2"):
        cell.clone(name, clone_mode="full")
    found = cell.context.hosts.candidates["kvm0"].reserved.pool_bytes
    assert found == {"a": 4 * GIB, "b": 2 * GIB}
    cell.clone("vm3", clone_mode="full", pool="b")
    kind, body = cell.ask("submit", **clone("vm4", clone_mode="full"))
    assert (kind, body["code"]) == ("error", "no_room")
    assert "pool a has 1.0 GiB free, 2.0 GiB needed" in body["text"]


def test_a_larger_disk_is_reserved_in_a_pool_that_it_fits_into(cell: Cell) -> None:
    pools = (PoolSummary("a", 9 * GIB, 5 * GIB), PoolSummary("b", 20 * GIB, 4 * GIB))
    cell.hello("kvm0", report(pools=pools, bases=(base(),)))
    cell.clone("vm0", disk_size_mib=10 << 10)
    found = cell.context.hosts.candidates["kvm0"].reserved.pool_bytes
    assert found == {"b": OVERLAY_BYTES}
    kind, body = cell.ask("submit", **clone("vm1", disk_size_mib=21 << 10))
    assert (kind, body["code"]) == ("error", "no_room")
    assert "pool b has 20.0 GiB in all, less than a disk of 21.0 GiB" in body["text"]
