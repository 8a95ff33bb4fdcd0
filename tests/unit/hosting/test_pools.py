# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pools get a folder: none of others', and none whose disk may not be mounted."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from maglica.hosting import pool, pools
from maglica.hosting.pool import PoolDefinition
from maglica.hosting.present import Change, Hosting, Kind, State

THEIRS = "0f6f9b0c-55a3-4d1e-9f6e-1a7c9b0c55a3"


class FakeHosting:
    def __init__(self) -> None:
        self.built: list[bool] = []

    def apply(self, kind: Kind, name: str, change: Change, build: bool) -> None:
        self.built.append(build)


@pytest.mark.parametrize(
    ("uuid", "started_before", "is_built"),
    [("", False, True), (THEIRS, False, False), ("", True, False)],
)
def test_only_own_pools_that_are_new_get_a_folder(
    tmp_path: Path, uuid: str, started_before: bool, is_built: bool
) -> None:
    made = PoolDefinition("a", "dir", str(tmp_path / "not mounted"))
    after = State(pool.xml(made), True, True)
    hosting = FakeHosting()
    before = State(after.xml, autostart=started_before)
    pools.apply(cast(Hosting, hosting), made, Change(before, after, uuid or made.uuid))
    assert hosting.built == [is_built]
