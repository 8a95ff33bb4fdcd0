# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which pool of a host a disk has most room."""

from __future__ import annotations

import pytest
from maglica.client_worker.placement.pools import roomiest
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
