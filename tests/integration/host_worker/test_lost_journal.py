# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client worker's journal is lost with requests in all states; all processes are real."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.lost_journal import run


@pytest.mark.parametrize("restored", [True, False], ids=["backup", "empty"])
def test_nothing_is_lost_and_nothing_made_twice(tmp_path: Path, restored: bool) -> None:
    outcome = run(tmp_path, requests=24, seed=23, restored=restored)
    assert (outcome.lost, outcome.double, outcome.unlisted) == (0, 0, 0), outcome
    # Some had ended, some were under way, some had not come to their host.
    assert len(outcome.states) >= 3
