# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from maglica.fleet.cache import VERSION, dump, load, merge
from maglica.fleet.snapshot import AskedHost, Snapshot
from maglica.libvirtd.hosts import Host, Unreachable
from maglica.model.image import ImageVersion
from maglica.model.moment import Moment
from maglica.model.reported import PoolState
from maglica.model.vm import Disk, Domain, Graphics, Interface, SerialConsole

VM = Domain(
    name="vm0",
    uuid="u",
    host="kvm0",
    state="running",
    active=True,
    made=True,
    image="debian",
    created=Moment(1.5),
    vcpus=2,
    interfaces=(Interface("52:54:00:00:00:01", "default", ("192.0.2.1",)),),
    disks=(Disk("vda", capacity_bytes=1 << 30),),
    tags=("web",),
    asked=("pool:0123456789abcdef",),
    ssh_host_keys=("ssh-ed25519 AAAA",),
    kept_disks=("data",),
    boot_order=("cdrom", "disk"),
    graphics=(Graphics("vnc", "127.0.0.1", 5900),),
    console=SerialConsole("pty", "/dev/pts/3"),
    address="192.0.2.1",
    reported=Moment(3.5),
)
IMAGE = Domain(
    name="debian",
    uuid="u2",
    host="kvm0",
    state="stopped",
    active=False,
    made=True,
    is_image=True,
    versions=(ImageVersion("sha256:0a", created=Moment(2.5)), ImageVersion()),
)
FULL = Snapshot(
    vms=(VM,),
    images=(IMAGE,),
    hosts=(
        Host("kvm0", "test:///default", 0.1, 2, pools=(PoolState("p", True, 2, 1),)),
        Host("kvm1", None, None, reported=Moment(3)),
    ),
    unreachable=(Unreachable("kvm1", "refused"),),
    problems=("x is odd",),
    asked=(AskedHost("kvm0", "test:///default", 2.0), AskedHost("kvm1")),
)


def test_round_trip_through_json() -> None:
    assert load(json.loads(json.dumps(dump(FULL)))) == FULL
    assert load(json.loads(json.dumps(dump(Snapshot())))) == Snapshot()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"version": VERSION},
        {**dump(FULL), "version": VERSION + 1},
        {**dump(FULL), "vms": [{"name": "vm0"}]},
        {**dump(FULL), "vms": [{**dump(FULL)["vms"][0], "surprise": 1}]},
        {**dump(FULL), "vms": 5},
        {**dump(FULL), "hosts": [None]},
    ],
)
def test_anything_else_is_no_snapshot(data: object) -> None:
    assert load(data) is None


def test_merge_fills_in_for_hosts_that_are_missing_now() -> None:
    other = replace(VM, name="vm1", host="kvm1")
    old = Snapshot(vms=(VM, other), images=(IMAGE, replace(IMAGE, host="kvm1")))
    new = Snapshot(vms=(replace(VM, name="vm2"),), unreachable=(Unreachable("kvm1", "refused"),))
    merged = merge(new, old)
    assert [(vm.name, vm.host) for vm in merged.vms] == [("vm1", "kvm1"), ("vm2", "kvm0")]
    assert [image.host for image in merged.images] == ["kvm1"]
    assert merged.unreachable == new.unreachable
