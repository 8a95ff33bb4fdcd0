# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement as tables: what hosts said in, a host or an error's text out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from maglica.client_worker.placement import choose
from maglica.client_worker.placement.choose import (
    Candidate,
    Holdings,
    Reserved,
    need,
    place,
    place_all,
)
from maglica.client_worker.placement.pools import GIB, roomiest
from maglica.disk.room import MIB, OVERLAY_BYTES
from maglica.model.errors import MaglicaError, NoRoom
from maglica.model.memory_limit import MemoryLimit
from maglica.model.request import (
    BaseSummary,
    CloneMode,
    DomainSummary,
    HostReport,
    Nic,
    PoolSummary,
)
from maglica.model.text import MAX_NAMED
from maglica.verbs.clone import CloneSpec
from support.client_worker import base

IMAGE = DomainSummary(
    name="deb",
    uuid="00000000-0000-0000-0000-000000000001",
    active=False,
    may_be_image=True,
    made=False,
    vcpus=1,
    memory_mib=1024,
    disk_bytes=4 * GIB,
)
RUNNING = replace(IMAGE, active=True)
SPEC = CloneSpec(name="vm0", image="deb")


def vm(memory_mib: int) -> DomainSummary:
    return DomainSummary("other", "u", True, True, True, 1, memory_mib)


OFF = replace(vm(512), active=False)


def host(name: str, *domains: DomainSummary, **changes: Any) -> Candidate:
    """A candidate with 8 GiB of memory and 100 GiB of disk free; changes are of both."""
    kept = {k: changes.pop(k) for k in ("alive", "weight", "reserved") if k in changes}
    said: dict[str, Any] = {
        "memory_total_mib": 8192,
        "memory_free_mib": 8192,
        "domains": domains or (IMAGE,),
        "pools": (PoolSummary("default", 200 * GIB, 100 * GIB),),
        "networks": ("default",),
    }
    report = HostReport(**{**said, **changes})
    return Candidate(name, Holdings.of(report), **{"alive": True, **kept})


def chosen(spec: CloneSpec, *hosts: Candidate) -> str:
    return place(spec, {candidate.name: candidate for candidate in hosts}).host


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ((host("a"), host("b")), "a"),
        ((host("b"), host("a")), "a"),
        ((host("a", IMAGE, vm(1024)), host("b")), "b"),
        ((host("a", memory_total_mib=16384), host("b")), "a"),
        ((host("a"), host("b", weight=2.0)), "b"),
        ((host("a", IMAGE, vm(1024)), host("b", weight=0.5)), "a"),
        ((host("a", reserved=Reserved(assigned_mib=512)), host("b")), "b"),
        # A vm that is off can be started at any time.
        ((host("a", IMAGE, OFF), host("b")), "b"),
        ((host("a", RUNNING), host("b", IMAGE, vm(4096))), "b"),
        ((host("a", alive=False), host("b", IMAGE, vm(4096))), "b"),
        ((Candidate("a"), host("b")), "b"),
        ((host("a", problem="libvirtd does not answer"), host("b")), "b"),
        # What is committed counts, and not what is free now.
        ((host("a", memory_free_mib=0), host("b", IMAGE, vm(4096))), "a"),
        ((host("a", weight=9.0, memory_total_mib=1535), host("b", IMAGE, vm(4096))), "b"),
        ((host("a", vm(1)), host("b", IMAGE, vm(4096))), "b"),
    ],
)
def test_the_lowest_load_for_its_weight(hosts: tuple[Candidate, ...], expected: str) -> None:
    assert chosen(SPEC, *hosts) == expected


def test_load_counts_active_promised_and_own_memory() -> None:
    candidate = host("a", IMAGE, vm(1024), weight=2.0, reserved=Reserved(assigned_mib=2048))
    assert place(SPEC, {"a": candidate}).load == (1024 + 2048 + 1024) / (8192 * 2)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"a": 1.0, "b": 1.0}, {"a": 10, "b": 10}),
        ({"a": 1.0, "b": 3.0}, {"a": 5, "b": 15}),
        ({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 5, "b": 5, "c": 10}),
    ],
)
def test_twenty_in_a_row_spread_by_weight(
    weights: dict[str, float], expected: dict[str, int]
) -> None:
    reserved = dict.fromkeys(weights, 0)
    counts: Counter[str] = Counter()
    for number in range(20):
        hosts = [
            host(
                name,
                memory_total_mib=65536,
                memory_free_mib=65536,
                weight=weight,
                reserved=Reserved(assigned_mib=reserved[name]),
            )
            for name, weight in weights.items()
        ]
        name = chosen(replace(SPEC, name=f"vm{number}"), *hosts)
        counts[name] += 1
        reserved[name] += IMAGE.memory_mib
    assert counts == expected


ACT = "cannot clone vm0 from deb"
POOL = PoolSummary("default", 9 * GIB, 3 * GIB)
LIMIT = "8192 MiB less memory_reserve 512 MiB, times memory_overcommit 1"
ROOM = OVERLAY_BYTES
FULL = replace(SPEC, clone_mode=CloneMode.FULL)


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
            f"{ACT}: host a: its host worker does not answer;"
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
            SPEC,
            (host("a", pools=(POOL,)), host("b", alive=False)),
            "no_room",
            f"{ACT}: host a: pool default has 3.0 GiB free, 4.1 GiB needed;"
            " host b: its host worker does not answer",
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
            replace(SPEC, host="z"),
            (host("a"),),
            "host_unknown",
            f"{ACT}: no host z is known",
        ),
        (
            replace(SPEC, host="a"),
            (host("a", alive=False), host("b")),
            "host_down",
            f"{ACT} on host a: its host worker does not answer",
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


@pytest.mark.parametrize(
    ("spec", "bases", "counted", "expected"),
    [
        (SPEC, (), frozenset(), (1024, ROOM, 4 * GIB + ROOM)),
        (SPEC, (base("deb"),), frozenset(), (1024, ROOM, 0)),
        (SPEC, (base("deb", current=None),), frozenset(), (1024, ROOM, 0)),
        (SPEC, (base("deb", current=False),), frozenset(), (1024, ROOM, 4 * GIB + ROOM)),
        (SPEC, (), frozenset({"deb"}), (1024, ROOM, 0)),
        (FULL, (), frozenset(), (1024, 4 * GIB + ROOM, 4 * GIB + ROOM)),
        # Of a base that is there it is known what a copy of it takes.
        (FULL, (base("deb"),), frozenset(), (1024, GIB + ROOM, 0)),
        (replace(SPEC, memory_mib=2048), (base("deb"),), frozenset(), (2048, ROOM, 0)),
        (replace(SPEC, start=False), (base("deb"),), frozenset(), (0, ROOM, 0)),
    ],
)
def test_need(
    spec: CloneSpec,
    bases: tuple[BaseSummary, ...],
    counted: frozenset[str],
    expected: tuple[int, int, int],
) -> None:
    found = need(spec, Holdings.of(HostReport(domains=(IMAGE,), bases=bases)), counted)
    assert (found.committed_mib, found.disk_bytes, found.base_bytes) == expected


def test_an_overlay_of_a_large_image_takes_no_more_than_one_of_a_small_one() -> None:
    large = replace(IMAGE, disk_bytes=3 << 40)
    found = need(SPEC, Holdings.of(HostReport(domains=(large,), bases=(base("deb"),))), frozenset())
    assert found.disk_bytes == ROOM


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (MemoryLimit(), 7),
        (MemoryLimit(reserve_mib=0), 8),
        (MemoryLimit(2.0), 15),
        (MemoryLimit(0.5, 4096), 2),
        (MemoryLimit(1.0, 9000), 0),
    ],
)
def test_memory_is_committed_to_the_limit_and_no_further(limit: MemoryLimit, expected: int) -> None:
    candidates = {"a": replace(host("a"), limit=limit)}
    specs = [replace(SPEC, name=f"vm{number}") for number in range(expected)]
    choices = place_all(specs, candidates)
    assert [choice.host for choice in choices] == ["a"] * expected
    with pytest.raises(NoRoom, match="of memory needed"):
        place_all([*specs, replace(SPEC, name="more")], candidates)
    # One that is not started takes no memory.
    place_all([*specs, replace(SPEC, name="more", start=False)], candidates)


def test_a_start_counts_what_it_commits() -> None:
    one = choose.start(host("a", IMAGE, vm(4096)), 3584)
    assert one.reserved.committed_mib == 3584
    with pytest.raises(NoRoom, match="1 MiB of memory needed, 0 of 7680 MiB are left"):
        choose.start(one, 1)
    # What commits nothing is right also where too much is committed.
    crowded = host("a", IMAGE, vm(9000))
    assert choose.start(crowded, 0) == crowded
    # A worker that has just started does not tell what there is.
    new = Candidate("a", Holdings.of(HostReport(problem="its worker has just started")))
    assert choose.start(new, 512).reserved.committed_mib == 512


POOLS = (
    PoolSummary("b", 9, 5),
    PoolSummary("a", 9, 5),
    PoolSummary("c", 9, 7),
    PoolSummary("d", 9, 9, "nfs"),
)


@pytest.mark.parametrize(
    ("pools", "taken", "named", "expected"),
    [
        ((), {}, None, None),
        (POOLS, {}, None, ("c", 7)),
        (POOLS, {"c": 3}, None, ("a", 5)),
        (POOLS, {"b": 6}, "b", ("b", -1)),
        (POOLS, {}, "d", None),
    ],
)
def test_roomiest(
    pools: tuple[PoolSummary, ...],
    taken: dict[str, int],
    named: str | None,
    expected: tuple[str, int] | None,
) -> None:
    found = roomiest(pools, taken, named)
    assert (found and (found[0].name, found[1])) == expected


def test_all_are_placed_each_counting_those_before_it() -> None:
    hosts = {name: host(name) for name in ("a", "b")}
    specs = [replace(SPEC, name=f"vm{number}") for number in range(6)]
    choices = place_all(specs, hosts)
    assert [choice.host for choice in choices] == ["a", "b", "a", "b", "a", "b"]
    assert [choice.load for choice in choices] == [1 / 8, 1 / 8, 2 / 8, 2 / 8, 3 / 8, 3 / 8]
    # The base is made once a host.
    assert [choice.need.base_bytes // GIB for choice in choices] == [4, 4, 0, 0, 0, 0]
    assert hosts == {name: host(name) for name in ("a", "b")}


def test_those_that_name_a_host_come_first_then_the_largest() -> None:
    hosts = {name: host(name, memory_total_mib=4608) for name in ("a", "b")}
    small = [replace(SPEC, name=f"small{number}", memory_mib=1024) for number in range(2)]
    large = replace(SPEC, name="large", memory_mib=4096)
    pinned = replace(SPEC, name="pinned", memory_mib=2048, host="a")
    choices = place_all([*small, large, pinned], hosts)
    assert [choice.host for choice in choices] == ["a", "a", "b", "a"]


def test_all_or_none_names_the_one_that_has_no_place() -> None:
    hosts = {"a": host("a", memory_total_mib=3512)}
    specs = [replace(SPEC, name=f"vm{number}") for number in range(5)]
    with pytest.raises(MaglicaError) as refused:
        place_all(specs, hosts)
    assert refused.value.code == "no_room"
    assert str(refused.value) == (
        "cannot clone vm2 from deb: host a: 1024 MiB of memory needed, 952 of 3000 MiB are left"
        " (3512 MiB less memory_reserve 512 MiB, times memory_overcommit 1),"
        " after 2 others of the list"
    )
    with pytest.raises(MaglicaError, match=r"no host has an original image deb$"):
        place_all(specs, {})
    assert place_all([], hosts) == ()


def test_the_work_grows_with_specs_times_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()
    original = choose.load

    def count(*args: Any) -> float:
        counted["load"] += 1
        return original(*args)

    monkeypatch.setattr(choose, "load", count)
    hosts = {f"h{number:02}": host(f"h{number:02}") for number in range(20)}
    for size in (10, 20, 40):
        counted.clear()
        place_all([replace(SPEC, name=f"vm{number}") for number in range(size)], hosts)
        # Each host once, and the one that is chosen once more.
        assert counted["load"] == size * (len(hosts) + 1)
