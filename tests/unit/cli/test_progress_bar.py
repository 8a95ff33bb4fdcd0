# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bar on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from maglica.cli import progress_bar
from maglica.cli.console import Console
from maglica.cli.follow import Follow
from maglica.cli.progress_bar import Bar
from maglica.model.request import Phase, Request, State
from maglica.verbs.prepare import PrepareSpec

MIB = 1 << 20
FETCH = Request("r", PrepareSpec("deb", "a"), State.RUNNING, "a", phase="fetch")
HALF = "[##########..........]  50 %  200 MiB of 400 MiB"


class Terminal(io.StringIO):
    """A terminal of 80 columns; ``screen`` has its lines as they are seen."""

    def isatty(self) -> bool:
        return True

    @property
    def screen(self) -> list[str]:
        lines = []
        for line in self.getvalue().split("\n"):
            rest = line.split("\x1b[K")[-1]
            assert "\r" not in rest, "what was there was not taken away"
            lines.append(rest)
        return lines


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def drawn(now: list[float]) -> Bar:
    return Bar(Terminal(), lambda: now[0])


def count(drawn: Bar, now: list[float], *counts: tuple[float, int], total: int | None) -> str:
    """Let a request say how many MiB were over when; return what is shown."""
    for seconds, done in counts:
        now[0] = 1000.0 + seconds
        drawn.take(replace(FETCH, done=done * MIB, total=total and total * MIB))
    return drawn.text()


def test_rate_and_rest_by_the_newest_counts(drawn: Bar, now: list[float]) -> None:
    assert count(drawn, now, (0, 200), total=400) == f"fetch  {HALF}"
    shown = count(drawn, now, (0, 0), (4, 200), total=400)
    assert shown == f"fetch  {HALF}  50.0 MiB/s  0:04 left"
    # A network that has become slow shows as that.
    slow = [(4 + n, 200 + n) for n in range(1, 11)]
    assert count(drawn, now, *slow, total=400).endswith("210 MiB of 400 MiB  1.0 MiB/s  3:10 left")


def test_a_phase_that_begins_has_no_rate_yet(drawn: Bar, now: list[float]) -> None:
    count(drawn, now, (0, 0), (1, 400), total=400)
    drawn.take(replace(FETCH, phase="write", done=0, total=MIB))
    assert drawn.text() == f"write  [{'.' * 20}]   0 %  0.0 MiB of 1.0 MiB"


def test_a_file_that_is_fetched_from_its_beginning(drawn: Bar, now: list[float]) -> None:
    shown = count(drawn, now, (0, 300), (1, 0), (2, 10), total=400)
    assert shown.endswith("10.0 MiB of 400 MiB  10.0 MiB/s  0:39 left")


@pytest.mark.parametrize("total", [None, 0])
def test_how_large_it_is_nobody_knows(drawn: Bar, now: list[float], total: int | None) -> None:
    assert count(drawn, now, (0, 0), (2, 20), total=total) == "fetch  20.0 MiB  10.0 MiB/s"


def test_more_than_was_announced(drawn: Bar, now: list[float]) -> None:
    assert "100 %  500 MiB of 400 MiB" in count(drawn, now, (0, 500), total=400)


def test_hours_and_what_nobody_can_tell(drawn: Bar, now: list[float]) -> None:
    assert count(drawn, now, (0, 0), (1, 1), total=4001).endswith("  1:06:40 left")
    assert count(drawn, now, (1000, 2), total=1 << 30).endswith("MiB/s")


def test_several_hosts_are_one_bar_and_the_slowest_counts(drawn: Bar, now: list[float]) -> None:
    other = replace(FETCH, id="s", host="b")
    for seconds, fast, slow in ((0, 0, 0), (10, 300, 100)):
        now[0] = 1000.0 + seconds
        drawn.take(replace(FETCH, done=fast * MIB, total=400 * MIB))
        drawn.take(replace(other, done=slow * MIB, total=400 * MIB))
    half = HALF.replace("200", "400").replace("of 400", "of 800")
    assert drawn.text() == f"fetch on 2 hosts  {half}  40.0 MiB/s  0:30 left"
    drawn.take(replace(FETCH, state=State.DONE))
    assert drawn.text().startswith("fetch  [#####......")


def test_no_line_is_longer_than_the_terminal_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_bar, "_width", lambda _out: 30)
    terminal = Terminal()
    drawn = Bar(terminal)
    drawn.take(replace(FETCH, done=200 * MIB, total=400 * MIB))
    drawn.draw()
    assert terminal.screen == [f"fetch  {HALF}"[:29]]


def test_what_is_said_stands_above_and_the_bar_goes_with_the_end() -> None:
    terminal = Terminal()
    follow = Follow(Console(io.StringIO(), terminal, as_json=False))
    shown = []
    with follow.followed():
        for version in (
            replace(FETCH, state=State.QUEUED, phase=None),
            FETCH,
            replace(FETCH, done=100 * MIB, total=400 * MIB),
            replace(FETCH, done=200 * MIB, total=400 * MIB),
            replace(FETCH, phase="check", phases=(Phase("fetch", 2.0),)),
            replace(FETCH, state=State.DONE, phase=None, phases=(Phase("fetch", 2.0),)),
        ):
            follow(version)
            shown.append(terminal.screen[-1])
    assert [line.partition("]")[0] for line in shown] == [
        *("", "", "fetch  [#####...............", "fetch  [##########.........."),
        *("", ""),
    ]
    assert terminal.screen == [
        "request r: prepare deb on a",
        *("  queued", "  running", "  fetch …", "  fetch: 2.0 s", "  check …", ""),
    ]


def test_an_interrupted_command_takes_its_bar_away() -> None:
    terminal = Terminal()
    follow = Follow(Console(io.StringIO(), terminal, as_json=False))
    with pytest.raises(KeyboardInterrupt), follow.followed():
        follow(replace(FETCH, done=100 * MIB, total=400 * MIB))
        raise KeyboardInterrupt
    assert not any("#" in line for line in terminal.screen)
    assert "maglica request wait r" in terminal.screen[-2]


def test_elsewhere_each_tenth_is_a_line() -> None:
    said = io.StringIO()
    follow = Follow(Console(io.StringIO(), said, as_json=False))
    follow(FETCH)
    for done in range(1, 401):
        follow(replace(FETCH, done=done * MIB, total=400 * MIB))
    lines = said.getvalue().splitlines()
    assert lines[3:] == [
        f"  fetch … {40.0 * n:.{int(n < 3)}f} MiB of 400 MiB" for n in range(1, 11)
    ]


def test_lines_of_several_requests_name_their_hosts() -> None:
    said = io.StringIO()
    follow = Follow(Console(io.StringIO(), said, as_json=False))
    other = replace(FETCH, id="s", host="b")
    for request in (FETCH, other):
        follow(replace(request, phase=None))
    follow(FETCH)
    follow(replace(other, done=MIB, total=MIB))
    assert said.getvalue().splitlines()[-3:] == [
        "  b: running",
        "  a: fetch …",
        "  b: fetch …",
    ]
