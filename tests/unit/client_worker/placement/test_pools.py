# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which pool of a host a disk has most room."""

from __future__ import annotations

import pytest
from maglica.client_worker.placement.pools import choose, roomiest
from maglica.model.errors import NoRoom
from maglica.model.request import PoolSummary

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


@pytest.mark.parametrize(("free", "expected"), [(5001, "default"), (5100, "boot")])
def test_one_file_system_read_twice_while_it_was_written_to(free: int, expected: str) -> None:
    found = roomiest(
        (PoolSummary("boot", 9000, free), PoolSummary("default", 9000, 5000)), {}, None
    )
    assert found is not None
    assert found[0].name == expected


@pytest.mark.parametrize(
    ("disk_size", "expected"), [(0, "large"), (9, "large"), (10, "huge"), (11, "huge")]
)
def test_a_pool_that_a_disk_could_never_fill_comes_last(disk_size: int, expected: str) -> None:
    pools = (PoolSummary("large", 9, 9), PoolSummary("huge", 99, 5))
    found = roomiest(pools, {}, None, disk_size)
    assert found is not None
    assert found[0].name == choose(pools, {}, 1, None, disk_size) == expected


@pytest.mark.parametrize("named", ["large", None])
def test_a_disk_that_is_larger_than_any_pool(named: str | None) -> None:
    pools = (PoolSummary("large", 9 << 30, 9 << 30),)
    assert choose(pools, {}, 1, named, 9 << 30) == "large"
    text = r"^pool large has 9\.0 GiB in all, less than a disk of 20\.0 GiB$"
    with pytest.raises(NoRoom, match=text):
        choose(pools, {}, 1, named, 20 << 30)
