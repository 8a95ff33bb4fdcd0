# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.system.backoff import Backoff


@pytest.mark.parametrize(
    ("before", "seconds"), [(0, 2.0), (1, 4.0), (2, 8.0), (4, 32.0), (5, 60.0), (10**6, 60.0)]
)
def test_a_pause_doubles_up_to_a_limit(before: int, seconds: float) -> None:
    assert Backoff(2.0, 60.0).pause(before) == seconds
