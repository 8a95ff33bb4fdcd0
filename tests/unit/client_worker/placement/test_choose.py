# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host is chosen: what hosts said in, a host out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from maglica.client_worker.placement import choose
from maglica.client_worker.placement.candidates import Candidate, Reserved
from maglica.client_worker.placement.choose import place, place_all
from maglica.client_worker.placement.memory import load
from maglica.client_worker.placement.pools import GIB
from maglica.model.errors import ImageRunning, MaglicaError, MessageInvalid
from support.candidates import IMAGE, OFF, RUNNING, SPEC, chosen, host, vm


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


@pytest.mark.parametrize(
    ("disk_size_mib", "expected"), [(None, "a"), (4096, "a"), (4095, "b"), (1, "c")]
)
def test_a_disk_is_not_smaller_than_the_image_s(disk_size_mib: int | None, expected: str) -> None:
    """The hosts' images of one name may differ, and of one of them it may not be known."""
    hosts = (
        host("a", replace(IMAGE, first_disk_bytes=4 << 30)),
        host("b", replace(IMAGE, first_disk_bytes=1 << 30)),
        host("c"),
    )
    assert chosen(replace(SPEC, disk_size_mib=disk_size_mib), *hosts) == expected


@pytest.mark.parametrize(("vcpus", "expected"), [(None, "a"), (2, "a"), (4, "b"), (5, "c")])
def test_a_vm_has_no_more_vcpus_than_its_host_has_cpus(vcpus: int | None, expected: str) -> None:
    """An image may have more, and of a host it may not be known."""
    hosts = (
        host("a", replace(IMAGE, vcpus=8), cpus=2),
        host("b", cpus=4),
        host("c", IMAGE, vm(1024)),
    )
    assert chosen(replace(SPEC, vcpus=vcpus), *hosts) == expected


def test_a_peer_is_a_second_host() -> None:
    hosts = {"a": host("a"), "b": host("b", IMAGE, vm(4096))}
    assert place(SPEC, hosts).host == "a"
    assert place(SPEC, hosts, "a").host == "b"
    specs = [replace(SPEC, name=f"vm{number}") for number in range(3)]
    choices = place_all(specs, hosts, {"vm0": "a", "vm2": "b"})
    assert [choice.host for choice in choices] == ["b", "a", "a"]
    for spec, before in ((SPEC, ": host a"), (replace(SPEC, host="a"), " on host a")):
        with pytest.raises(MessageInvalid) as refused:
            place(spec, {"a": hosts["a"]}, "a")
        assert str(refused.value) == (
            f"cannot clone vm0 from deb{before}: it is the request's peer, which must be a second"
            " host"
        )
    # What other hosts lack is nearer to what would do.
    with pytest.raises(ImageRunning):
        place(SPEC, {"a": hosts["a"], "c": host("c", RUNNING)}, "a")


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
        " (3512 MiB less memory_reserve 512 MiB, times memory_overcommit 1)"
        " (item 3 of the list; those before it fit)"
    )
    with pytest.raises(MaglicaError, match=r"no host has an original image deb$"):
        place_all(specs, {})
    assert place_all([], hosts) == ()


def test_the_work_grows_with_specs_times_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()
    original = load

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
