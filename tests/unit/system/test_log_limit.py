# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import logging

import pytest
from maglica.system.log_limit import SECONDS, LogLimit


def test_of_each_cause_one_line_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    limit = LogLimit(logging.getLogger("strangers"), lambda: now[0])
    for number in range(1000):
        limit.warning("key", f"key {number}")
    limit.warning("port", "port 1")
    now[0] += SECONDS
    limit.warning("key", "key 1000")
    now[0] += SECONDS
    limit.warning("key", "100 %s")
    limit.warning("port", "port 2")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "key 0"),
        ("WARNING", "port 1"),
        ("WARNING", "key 1000 (after 999 others like it that are not logged)"),
        ("WARNING", "100 %s"),
        ("WARNING", "port 2"),
    ]
