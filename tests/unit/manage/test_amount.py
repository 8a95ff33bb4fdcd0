# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much is over, and when that is worth another line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.manage.amount import News, words
from maglica.model.request import Phase, Request, State
from maglica.verbs.prepare import PrepareSpec

MIB = 1 << 20
RUNNING = Request("r", PrepareSpec("deb", "a"), State.RUNNING, "a", phase="fetch")


def counting(done: int | None, total: int | None) -> Request:
    return replace(RUNNING, done=done, total=total)


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (None, None, ""),
        (0, 400 * MIB, "0.0 MiB of 400 MiB"),
        (120 * MIB, 400 * MIB, "120 MiB of 400 MiB"),
        (512 * MIB, 1229 * MIB, "512 MiB of 1.2 GiB"),
        (3 << 40, None, "3.0 TiB"),
        (7 * MIB, 0, "7.0 MiB"),
    ],
)
def test_words(done: int | None, total: int | None, text: str) -> None:
    assert words(counting(done, total)) == text


def test_what_is_over_has_no_amount() -> None:
    assert words(replace(counting(5, 5), state=State.DONE)) == ""


def test_each_tenth_is_news() -> None:
    news = News()
    told = [done for done in range(1001) if news.has(counting(done, 1000))]
    assert told == list(range(0, 1001, 100))


def test_of_an_unknown_whole_each_doubling_is_news() -> None:
    news = News()
    told = [done for done in range(1, 5000) if news.has(counting(done, None))]
    assert told == [1 << power for power in range(13)]


def test_what_changes_otherwise_is_news_once() -> None:
    news = News()
    fetched = (Phase("fetch", 1.0),)
    versions = [
        replace(RUNNING, state=State.QUEUED, phase=None),
        RUNNING,
        replace(RUNNING, cancelling=True),
        replace(RUNNING, phase="check", phases=fetched),
        replace(RUNNING, state=State.DONE, phase=None, phases=fetched),
    ]
    for version in versions:
        assert (news.has(version), news.has(replace(version, version=9))) == (True, False)


def test_each_request_has_its_own_news() -> None:
    news = News()
    other = replace(RUNNING, id="s", host="b")
    assert [news.has(each) for each in (RUNNING, other, RUNNING, other)] == [
        True,
        True,
        False,
        False,
    ]
