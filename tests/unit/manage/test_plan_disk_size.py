# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for a vm whose first disk shall have a size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model.errors import DiskSizeUnsupported
from maglica.model.request import Request, State
from maglica.model.vm import Disk, Domain
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.table import Presence

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
UUID = "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11"
GIB = 1 << 30


VM = Domain(NAME, UUID, HOST, "running", True, made=True, image=IMAGE)


def planned(*disks: Disk, there: bool = True, size: int | None = 20480, **fields: object) -> Plan:
    vm = replace(VM, disks=disks)
    wanted = want(NAME, image=IMAGE, disk_size_mib=size, **fields)
    return decide(wanted, Found((vm,) if there else ()), None)


def disk(capacity: int | None, target: str = "vda") -> Disk:
    return Disk(target, capacity_bytes=capacity)


def test_a_new_vm_gets_it_and_the_diff_shows_it() -> None:
    plan = planned(there=False)
    (spec,) = plan.steps
    assert isinstance(spec, CloneSpec)
    assert (spec.disk_size_mib, spec.disk_size) == (20480, 20 * GIB)
    assert plan.after["disk_size_mib"] == 20480
    assert "disk_size_mib" not in planned(there=False, size=None).after


@pytest.mark.parametrize(
    ("disks", "size"),
    [
        ((disk(20 * GIB),), 20480),
        ((disk(2 * GIB),), None),
        # Of a disk that was not made for the vm, such as its drive for CDs, no size is known.
        ((disk(None, "sda"), disk(20 * GIB), disk(GIB, "vdb")), 20480),
        ((disk(None),), 20480),
        ((), 20480),
    ],
)
def test_a_vm_that_has_it_is_left_alone(disks: tuple[Disk, ...], size: int | None) -> None:
    plan = planned(*disks, size=size)
    assert (plan.steps, plan.changed) == ((), False)


@pytest.mark.parametrize("state", [s for s in Presence if s is not Presence.ABSENT])
def test_a_vm_with_another_one_is_an_error(state: Presence) -> None:
    text = (
        "^the first disk of vm vm0.example.jp on host kvm0.example.jp has 2 GiB, not 20 GiB, and is"
        " not known to be its own: leave disk_size out or say what is there$"
    )
    with pytest.raises(DiskSizeUnsupported, match=text):
        planned(disk(2 * GIB), disk(20 * GIB, "vdb"), state=state)


def test_a_smaller_one_of_its_own_grows_and_a_larger_one_is_an_error() -> None:
    own = Disk("vda", capacity_bytes=2 * GIB, name="vda")
    plan = planned(own)
    assert plan.steps == (GrowDiskSpec(NAME, UUID, HOST, "vda", 20480),)
    assert (plan.before["disk vda"], plan.after["disk vda"]) == (
        {"size_mib": 2048},
        {"size_mib": 20480},
    )
    # What is said of it among the disks counts more.
    plan = planned(own, disks=[{"name": "vda", "size_mib": 30720}])
    assert plan.steps == (GrowDiskSpec(NAME, UUID, HOST, "vda", 30720),)
    with pytest.raises(DiskSizeUnsupported, match="has 40 GiB, and can't be made smaller, to 20"):
        planned(Disk("vda", capacity_bytes=40 * GIB, name="vda"))


def test_a_vm_with_another_one_can_be_removed() -> None:
    plan = planned(disk(2 * GIB), state=Presence.ABSENT)
    assert [step.verb for step in plan.steps] == ["remove"]


@pytest.mark.parametrize("disks", [(disk(None),), (disk(None, "sda"), disk(None)), ()])
def test_of_an_adopted_vm_it_is_never_passed_over(disks: tuple[Disk, ...]) -> None:
    adopted = replace(VM, made=False, image=None, adopted=True, disks=disks)
    with pytest.raises(DiskSizeUnsupported, match="is not known to be its own: leave"):
        decide(want(NAME, disk_size_mib=20480), Found((adopted,)), None)


def test_its_drive_for_cds_is_no_first_disk() -> None:
    drive, own = Disk("sda", "cdrom"), Disk("vda", capacity_bytes=2 * GIB, name="vda")
    assert planned(drive, own).steps == (GrowDiskSpec(NAME, UUID, HOST, "vda", 20480),)


def test_a_further_disk_of_one_that_is_just_being_made_is_no_first_disk() -> None:
    further = [{"name": "data", "size_mib": 40960}]
    wanted = want(NAME, image=IMAGE, disk_size_mib=20480, disks=further)
    pending = Request("id", wanted.clone, state=State.RUNNING, host=HOST)
    joined = decide(want(NAME, image=IMAGE, disk_size_mib=20480), Found(()), pending)
    assert (joined.ours, joined.steps) == (True, ())
