# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for the further disks of a vm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet.snapshot import Found
from maglica.manage.plan import Plan, decide
from maglica.manage.wanted import want
from maglica.model.errors import (
    DiskSizeUnsupported,
    LibvirtFailed,
    NameInvalid,
    NotOwn,
    StorageFailed,
    VmProtected,
)
from maglica.model.request import Request, State
from maglica.model.vm import Disk, Domain
from maglica.verbs.clone import CloneSpec
from maglica.verbs.hardware.add_disk import AddDiskSpec
from maglica.verbs.hardware.detach_disk import DetachDiskSpec
from maglica.verbs.hardware.disks import Bus, NewDisk
from maglica.verbs.hardware.grow_disk import GrowDiskSpec
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.table import Presence

NAME, IMAGE, HOST = "vm0.example.jp", "debian12.original", "kvm0.example.jp"
UUID = "5e0c9b1e-3a3b-5d0a-9a37-5a2c6f1d9a11"
PINNED = (NAME, UUID, HOST)
GIB = 1 << 30
VDA = Disk("vda", capacity_bytes=2 * GIB, name="vda", pool="default", bus="virtio")
DATA = Disk("vdb", capacity_bytes=GIB, name="data", pool="default", bus="virtio", serial="data")


def planned(
    *asked: dict[str, Any], kept: tuple[str, ...] = (), is_protected: bool = False, **fields: Any
) -> Plan:
    vm = Domain(NAME, UUID, HOST, "running", True, made=True, image=IMAGE, disks=(VDA, DATA))
    seen = replace(vm, kept_disks=kept, protected=is_protected)
    return decide(want(NAME, disks=asked, **fields), Found((seen,)), None)


def test_what_is_there_is_left_alone() -> None:
    plan = planned(
        {"name": "data", "size_mib": 1024, "pool": "default", "bus": "virtio", "serial": "data"},
        {"name": "other", "present": False},
        {"name": "old", "present": False, "keep": True},
        kept=("old",),
    )
    assert (plan.steps, plan.changed) == ((), False)


def test_each_disk_that_is_lacking_is_a_step_and_shown() -> None:
    plan = planned(
        {"name": "new", "size_mib": 512, "bus": "scsi"},
        {"name": "old"},
        {"name": "data", "size_mib": 2048},
        {"name": "vda", "size_mib": 4096},
        kept=("old",),
        allow_restart=True,
        force=True,
    )
    assert plan.steps == (
        GrowDiskSpec(*PINNED, "data", 2048),
        GrowDiskSpec(*PINNED, "vda", 4096),
        AddDiskSpec(*PINNED, NewDisk("new", 512, bus=Bus.SCSI), True, True, 120),
        AddDiskSpec(*PINNED, NewDisk("old"), True, True, 120),
    )
    assert {key: value for key, value in plan.before.items() if key.startswith("disk ")} == {
        "disk data": {"size_mib": 1024},
        "disk vda": {"size_mib": 2048},
        "disk new": None,
        "disk old": None,
    }
    assert plan.after["disk new"] == {"size_mib": 512, "bus": "scsi"}
    assert plan.after["disk data"] == {"size_mib": 2048}


def test_what_goes() -> None:
    plan = planned(
        {"name": "data", "present": False, "keep": True},
        {"name": "old", "present": False},
        kept=("old",),
    )
    assert plan.steps == (
        DetachDiskSpec(*PINNED, "data", keep=True),
        DetachDiskSpec(*PINNED, "old"),
    )
    assert (plan.before["disk data"], plan.after["disk data"]) == (
        {"state": "attached"},
        {"state": "kept"},
    )
    assert (plan.before["disk old"], plan.after["disk old"]) == ({"state": "kept"}, None)


@pytest.mark.parametrize("name", ["data", "old"])
def test_of_a_protected_vm_none_goes(name: str) -> None:
    refusal = f"^cannot remove disk {name} of {NAME} on host {HOST}: it is protected; protected=fa"
    gone = {"name": name, "present": False}
    with pytest.raises(VmProtected, match=refusal):
        planned(gone, kept=("old",), is_protected=True)
    # Both at once would be no protection.
    with pytest.raises(VmProtected, match=refusal):
        planned(gone, kept=("old",), is_protected=True, protected=False)
    kept = planned({**gone, "keep": True}, kept=("old",), is_protected=True)
    assert kept.steps == ((DetachDiskSpec(*PINNED, name, keep=True),) if name == "data" else ())


REFUSED = [
    (
        {"name": "data", "size_mib": 512},
        DiskSizeUnsupported,
        "has 1 GiB, and can't be made smaller",
    ),
    ({"name": "data", "bus": "scsi"}, StorageFailed, "has bus virtio, not scsi: only its size can"),
    ({"name": "data", "cache": "none"}, StorageFailed, "has cache not said, not none"),
    ({"name": "vda", "present": False}, NotOwn, "was made with the vm, and goes with it alone"),
    ({"name": "new"}, NameInvalid, "^disks.size: missing, and there is no disk new yet$"),
    ({"name": "vdc", "size_mib": 1}, NameInvalid, "is how a disk is named that a vm was made with"),
    ({"name": "a/b", "size_mib": 1}, NameInvalid, r"^disks\[0\].name: 'a/b' is not a valid name"),
    ({"name": "data", "size_mib": 0}, NameInvalid, r"^disks\[0\].size: not a whole number"),
    (
        {"name": "data", "keep": True},
        NameInvalid,
        r"^disks\[0\].keep: only a disk with state=absent is kept: data is to be there$",
    ),
]


@pytest.mark.parametrize(("asked", "error", "text"), REFUSED)
def test_what_can_not_be_is_refused_before_anything_is_done(
    asked: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        planned(asked)


def test_a_vm_does_not_go_with_a_disk_that_is_to_be_kept() -> None:
    keep = {"name": "data", "present": False, "keep": True}
    with pytest.raises(
        NameInvalid, match=r"^cannot remove vm .* and keep its disk data: a disk is"
    ):
        planned(keep, state=Presence.ABSENT)
    for asked in (
        {"name": "data", "present": False},
        {"name": "data", "size_mib": 1024},
        {"name": "old", "present": False, "keep": True},
    ):
        plan = planned(asked, kept=("old",), state=Presence.ABSENT)
        assert plan.steps == (RemoveSpec(*PINNED),)


def test_a_vm_does_not_go_whose_disks_are_not_known_where_one_is_to_be_kept() -> None:
    keep = {"name": "data", "present": False, "keep": True}
    vm = Domain(NAME, UUID, HOST, "running", True, made=True, image=IMAGE, is_cut=True)
    with pytest.raises(LibvirtFailed, match=r"^the disks of vm .* are not known"):
        decide(want(NAME, Presence.ABSENT, disks=[keep]), Found((vm,)), None)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(NameInvalid, match="a disk data stands twice"):
        planned({"name": "data"}, {"name": "data", "present": False})


def test_a_new_vm_is_made_with_them() -> None:
    asked = [{"name": "data", "size_mib": 512}, {"name": "old", "present": False}]
    plan = decide(want(NAME, image=IMAGE, disks=asked), Found(()), None)
    (spec,) = plan.steps
    assert isinstance(spec, CloneSpec)
    assert spec.disks == (NewDisk("data", 512),)
    assert plan.after["disk data"] == {"size_mib": 512, "bus": "virtio"}
    with pytest.raises(NameInvalid, match="there is no disk data yet"):
        decide(want(NAME, image=IMAGE, disks=[{"name": "data"}]), Found(()), None)


def test_what_one_that_is_just_being_made_lacks_comes_later() -> None:
    made = want(NAME, image=IMAGE, disks=[{"name": "data", "size_mib": 512}]).clone
    pending = Request("id", made, State.RUNNING, HOST)
    both = [{"name": "data", "size_mib": 512}, {"name": "more", "size_mib": 1}]
    plan = decide(want(NAME, Presence.PRESENT, image=IMAGE, disks=both), Found(()), pending)
    assert plan.ours
    assert [step.disk.name for step in plan.steps] == ["more"]


@pytest.mark.parametrize("state", ["present", "running", "restarted"])
@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_restart_is_allowed_for_what_takes_one_at_once(state: str, is_allowed: bool) -> None:
    how = {"allow_restart": is_allowed, "force": True, "stop_timeout": 7}
    new = {"name": "new", "size_mib": 512, "bus": "sata"}
    plan = planned(new, state=Presence(state), cdrom={"path": "/a.iso"}, vcpus=4, **how)
    disk, medium, size = plan.steps[:3]
    expected = (True, True, 7) if is_allowed else (False, False, 120)
    # A size waits for the restart that is asked for in any case.
    waiting = (False, False, 120) if state == "restarted" else expected
    for spec, what in ((disk, expected), (medium, expected), (size, waiting)):
        assert (spec.allow_restart, spec.force, spec.stop_timeout) == what
