# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that no pool of a host can have is refused before anything is asked of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.client_worker.placement import pools
from maglica.client_worker.placement.pools import GIB
from maglica.model.errors import MaglicaError, NoRoom, PoolUnknown
from maglica.model.request import PoolSummary
from maglica.verbs import table
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.disks import NewDisk
from support.candidates import SPEC, chosen, host

PINNED = ("vm0", "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11", "kvm0")
SSD, HUGE = NewDisk("data", 1024, "ssd"), NewDisk("data", 4 << 20)
FEATURES = frozenset(table.FEATURES)
# The pool that has most room, and another one.
BOTH = (PoolSummary("default", 200 * GIB, 100 * GIB), PoolSummary("ssd", 100 * GIB, 50 * GIB))
REFUSED = [
    (SSD, PoolUnknown, "there is no storage pool ssd that can hold disks"),
    (HUGE, NoRoom, "pool default has 200.0 GiB in all, less than a disk of 4096.0 GiB"),
]


@pytest.mark.parametrize(("disk", "error", "text"), REFUSED)
def test_one_that_is_added(disk: NewDisk, error: type[MaglicaError], text: str) -> None:
    holdings = host("kvm0").holdings
    spec = AddDiskSpec(*PINNED, disk)
    with pytest.raises(error) as found:
        pools.check_change(spec, holdings, "cannot do it on host kvm0: ")
    assert str(found.value) == f"cannot do it on host kvm0: {text}"
    # One that was kept may say nothing, and a host that has not reported knows best itself.
    pools.check_change(AddDiskSpec(*PINNED, NewDisk("data")), holdings, "")
    pools.check_change(spec, None, "")
    pools.check_change(AddDiskSpec(*PINNED, SSD), host("kvm0", pools=BOTH).holdings, "")


@pytest.mark.parametrize(("disk", "error", "text"), REFUSED)
def test_one_of_a_new_vm(disk: NewDisk, error: type[MaglicaError], text: str) -> None:
    with pytest.raises(error, match=text):
        chosen(replace(SPEC, disks=(disk,)), host("kvm0", features=FEATURES))


def test_a_vm_is_placed_where_its_disks_can_be() -> None:
    kvm0 = host("kvm0", weight=9.0, features=FEATURES)
    hosts = (kvm0, host("kvm1", pools=BOTH, features=FEATURES))
    assert chosen(SPEC, *hosts) == "kvm0"
    assert chosen(replace(SPEC, disks=(SSD,)), *hosts) == "kvm1"
    # One that names no pool is where the others are.
    large = NewDisk("data", 150 * 1024)
    assert chosen(replace(SPEC, disks=(large,), host="kvm1"), *hosts) == "kvm1"
    with pytest.raises(NoRoom):
        chosen(replace(SPEC, disks=(large,), host="kvm1", pool="ssd"), *hosts)
