# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vm takes of a host, and the limit that memory is committed to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.client_worker.placement.candidates import Candidate, Holdings
from maglica.client_worker.placement.choose import need, place_all
from maglica.client_worker.placement.memory import start
from maglica.client_worker.placement.pools import GIB
from maglica.disk.room import OVERLAY_BYTES
from maglica.model.errors import NoRoom
from maglica.model.memory_limit import MemoryLimit
from maglica.model.request import BaseSummary, HostReport, ImageSummary
from maglica.verbs.clone import CloneSpec
from support.candidates import FULL, IMAGE, SPEC, host, vm
from support.reports import base

ROOM = OVERLAY_BYTES


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


def test_a_full_copy_of_an_image_whose_base_has_nothing_of_its_own() -> None:
    made = ImageSummary("deb", "uuid", True, None, None, 1)
    bases = (base("deb", allocated_bytes=0),)
    report = HostReport(domains=(IMAGE,), bases=bases, images=(made,))
    assert need(FULL, Holdings.of(report), frozenset()).disk_bytes == 4 * GIB + ROOM


def test_a_larger_disk_takes_no_more() -> None:
    holdings = Holdings.of(HostReport(domains=(IMAGE,), bases=(base("deb"),)))
    for spec in (SPEC, FULL):
        larger = replace(spec, disk_size_mib=1 << 20)
        assert need(larger, holdings, frozenset()) == need(spec, holdings, frozenset())


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
    one = start(host("a", IMAGE, vm(4096)), 3584)
    assert one.reserved.committed_mib == 3584
    with pytest.raises(NoRoom, match="1 MiB of memory needed, 0 of 7680 MiB are left"):
        start(one, 1)
    # What commits nothing is right also where too much is committed.
    crowded = host("a", IMAGE, vm(9000))
    assert start(crowded, 0) == crowded
    # A worker that has just started does not tell what there is.
    new = Candidate("a", Holdings.of(HostReport(problem="its worker has just started")))
    assert start(new, 512).reserved.committed_mib == 512
