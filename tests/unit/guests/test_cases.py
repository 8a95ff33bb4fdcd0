# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests that are booted are few, and leave no pair out."""

from __future__ import annotations

import itertools

from guests.cases import CASES, CLOUD
from guests.disk import FILESYSTEMS
from guests.recipes import SUITES, Guest

FACTORS = {
    "release": tuple(SUITES),
    "filesystem": FILESYSTEMS,
    "firmware": ("bios", "uefi"),
    "way": ("cloud-init", "offline"),
}


def test_each_pair_meets_in_one_of_at_most_eight() -> None:
    assert len({case.name for case in CASES}) == len(CASES) <= 8
    met = set()
    for case in CASES:
        values = (case.guest.release, case.guest.filesystem, case.firmware, case.way)
        met |= set(itertools.combinations(zip(FACTORS, values), 2))
    wanted = {
        pair
        for one, other in itertools.combinations(FACTORS, 2)
        for pair in itertools.product(
            ((one, value) for value in FACTORS[one]), ((other, value) for value in FACTORS[other])
        )
    }
    assert wanted <= met, wanted - met


def test_a_disk_is_made_anew_for_all_that_it_depends_on() -> None:
    others = (
        Guest(13, "ext4"),
        Guest(12, "xfs"),
        Guest(12, "ext4", "ifupdown"),
        Guest(12, "ext4", is_template=True),
    )
    assert len({guest.digest for guest in (CLOUD, *others)}) == len(others) + 1
    # The root is shared by all file systems.
    assert Guest(12, "xfs").root.digest == CLOUD.root.digest
