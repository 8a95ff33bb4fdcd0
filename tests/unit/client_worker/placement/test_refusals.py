# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no host is chosen: what hosts said in, an error's text out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.client_worker.placement.candidates import Candidate, Reserved
from maglica.client_worker.placement.pools import GIB
from maglica.disk.room import MIB
from maglica.model.errors import MaglicaError
from maglica.model.request import Nic, PoolSummary
from maglica.model.text import MAX_NAMED
from maglica.verbs.clone import CloneSpec
from support.candidates import FULL, IMAGE, RUNNING, SPEC, chosen, host, vm
from support.reports import base

SILENT = "its host worker does not answer; look there at `systemctl status maglica-host-worker`"
ACT = "cannot clone vm0 from deb"
POOL = PoolSummary("default", 9 * GIB, 3 * GIB)
LIMIT = "8192 MiB less memory_reserve 512 MiB, times memory_overcommit 1"


@pytest.mark.parametrize(
    ("spec", "hosts", "code", "text"),
    [
        (SPEC, (), "image_unknown", f"{ACT}: no host has an original image deb"),
        (
            SPEC,
            (Candidate("b"), Candidate("a")),
            "image_unknown",
            f"{ACT}: no host has an original image deb (not reported yet: a, b)",
        ),
        (
            SPEC,
            (host("a", replace(IMAGE, made=True)),),
            "image_unknown",
            f"{ACT}: host a: deb is a vm made by Maglica, no original image",
        ),
        (
            SPEC,
            (host("a", replace(IMAGE, may_be_image=False)),),
            "image_unknown",
            f"{ACT}: host a: deb is transient or excluded by the host's image_pattern, no"
            " original image",
        ),
        (
            SPEC,
            (host("a", RUNNING), host("b", RUNNING)),
            "image_running",
            f"{ACT}: host a: the original image deb is running; shut it down first;"
            " host b: the original image deb is running; shut it down first",
        ),
        (
            SPEC,
            (host("a", alive=False), host("b", RUNNING)),
            "host_down",
            f"{ACT}: host a: {SILENT};"
            " host b: the original image deb is running; shut it down first",
        ),
        (
            SPEC,
            (host("a", problem="libvirtd does not answer"),),
            "host_down",
            f"{ACT}: host a: libvirtd does not answer",
        ),
        (
            SPEC,
            (host("a", IMAGE, vm(6000), reserved=Reserved(1000)),),
            "no_room",
            f"{ACT}: host a: 1024 MiB of memory needed, 680 of 7680 MiB are left ({LIMIT})",
        ),
        (
            replace(SPEC, disk_size_mib=2048),
            (host("a", replace(IMAGE, first_disk_bytes=4 * GIB)), host("b", RUNNING)),
            "disk_size_unsupported",
            f"{ACT}: host a: the first disk of the image has 4 GiB, and can't be made smaller, to"
            " 2 GiB: disk_size must be at least 4096 MiB;"
            " host b: the original image deb is running; shut it down first",
        ),
        (
            replace(SPEC, disk_size_mib=300 << 10),
            (host("a"), host("b", pools=(POOL,))),
            "no_room",
            f"{ACT}: host a: pool default has 200.0 GiB in all, less than a disk of 300.0 GiB;"
            " host b: pool default has 9.0 GiB in all, less than a disk of 300.0 GiB",
        ),
        (
            SPEC,
            (host("a", pools=(POOL,)), host("b", alive=False)),
            "no_room",
            f"{ACT}: host a: pool default has 3.0 GiB free, 4.1 GiB needed; host b: {SILENT}",
        ),
        (
            FULL,
            (host("a", pools=(POOL,), bases=(base("deb", allocated_bytes=5 * GIB),)),),
            "no_room",
            f"{ACT}: host a: pool default has 3.0 GiB free, 5.1 GiB needed",
        ),
        (
            SPEC,
            (host("a", bases=(base("deb"),), reserved=Reserved(0, {"default": 100 * GIB - MIB})),),
            "no_room",
            f"{ACT}: host a: pool default has 1 MiB free, 64 MiB needed",
        ),
        (
            replace(SPEC, vcpus=9),
            (host("a", cpus=8), host("b", cpus=1)),
            "no_room",
            f"{ACT}: host a: 9 vCPUs asked for: with its 8 CPUs a vm can have 8 at most;"
            " host b: 9 vCPUs asked for: with its 1 CPUs a vm can have 1 at most",
        ),
        (
            SPEC,
            (host("a", pools=()),),
            "pool_unknown",
            f"{ACT}: host a: there is no storage pool that can hold disks",
        ),
        (
            replace(SPEC, pool="fast"),
            (host("a"),),
            "pool_unknown",
            f"{ACT}: host a: there is no storage pool fast that can hold disks",
        ),
        (
            replace(SPEC, pool="fast"),
            (host("a", pools=(PoolSummary("fast", 9 * GIB, 9 * GIB, "nfs4"), POOL)),),
            "pool_unknown",
            f"{ACT}: host a: storage pool fast is on nfs4, which other hosts may see too: vms need"
            " one that is the host's own",
        ),
        (
            replace(SPEC, interfaces=(Nic("default"), Nic("dmz"))),
            (host("a"),),
            "network_unknown",
            f"{ACT}: host a: there is no network dmz",
        ),
        (
            replace(SPEC, interfaces=(Nic(bridge="br0"), Nic(bridge="br9"))),
            (host("a", net_devices=("br0", "eth0")),),
            "network_unknown",
            f"{ACT}: host a: there is no bridge br9",
        ),
        (
            replace(SPEC, host="z"),
            (host("a"),),
            "host_unknown",
            f"{ACT}: no host z is known",
        ),
        (
            replace(SPEC, host="a"),
            (host("a", alive=False), host("b")),
            "host_down",
            f"{ACT} on host a: {SILENT}",
        ),
        (
            replace(SPEC, host="a"),
            (Candidate("a"), host("b")),
            "host_down",
            f"{ACT} on host a: its host worker has not reported yet",
        ),
        (
            replace(SPEC, host="a"),
            (host("a", vm(1)), host("b")),
            "image_unknown",
            f"{ACT} on host a: there is no original image deb",
        ),
        (
            replace(SPEC, host="a", memory_mib=9000),
            (host("a"), host("b", memory_total_mib=16384)),
            "no_room",
            f"{ACT} on host a: 9000 MiB of memory needed, 7680 of 7680 MiB are left ({LIMIT})",
        ),
    ],
)
def test_refusals(spec: CloneSpec, hosts: tuple[Candidate, ...], code: str, text: str) -> None:
    with pytest.raises(MaglicaError) as caught:
        chosen(spec, *hosts)
    assert (caught.value.code, str(caught.value)) == (code, text)


def test_a_refusal_by_many_hosts_stays_readable() -> None:
    hosts = [host(f"h{number:03}", RUNNING) for number in range(MAX_NAMED + 92)]
    with pytest.raises(MaglicaError) as caught:
        chosen(SPEC, *hosts)
    assert str(caught.value).endswith("; and 92 more")
    assert len(str(caught.value)) < 1000
