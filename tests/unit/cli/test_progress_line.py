# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How requests get on, in one line of a terminal, and in a few lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from maglica.cli import progress_line
from maglica.cli.console import Console
from maglica.cli.follow import Follow
from maglica.cli.progress_line import Line
from maglica.model.request import Failure, Phase, Request, State
from maglica.verbs.prepare import PrepareSpec
from support.cli_runs import HOST0
from support.fake_client import FakeClient

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
def drawn(now: list[float]) -> Line:
    return Line(Terminal(), lambda: now[0])


def count(drawn: Line, now: list[float], *counts: tuple[float, int], total: int | None) -> str:
    """Let a request say how many MiB were over when; return what is shown."""
    for seconds, done in counts:
        now[0] = 1000.0 + seconds
        drawn.take(replace(FETCH, done=done * MIB, total=total and total * MIB))
    return drawn.text()


def test_rate_and_rest_by_the_newest_counts(drawn: Line, now: list[float]) -> None:
    assert count(drawn, now, (0, 200), total=400) == f"deb: fetch  {HALF}"
    shown = count(drawn, now, (0, 0), (4, 200), total=400)
    assert shown == f"deb: fetch  {HALF}  50.0 MiB/s  0:04 left"
    # A network that has become slow shows as that.
    slow = [(4 + n, 200 + n) for n in range(1, 11)]
    assert count(drawn, now, *slow, total=400).endswith("210 MiB of 400 MiB  1.0 MiB/s  3:10 left")


def test_a_phase_that_begins_has_no_rate_yet(drawn: Line, now: list[float]) -> None:
    count(drawn, now, (0, 0), (1, 400), total=400)
    drawn.take(replace(FETCH, phase="write", done=0, total=MIB))
    assert drawn.text() == f"deb: write  [{'.' * 20}]   0 %  0.0 MiB of 1.0 MiB"


def test_a_file_that_is_fetched_from_its_beginning(drawn: Line, now: list[float]) -> None:
    shown = count(drawn, now, (0, 300), (1, 0), (2, 10), total=400)
    assert shown.endswith("10.0 MiB of 400 MiB  10.0 MiB/s  0:39 left")


@pytest.mark.parametrize("total", [None, 0])
def test_how_large_it_is_nobody_knows(drawn: Line, now: list[float], total: int | None) -> None:
    assert count(drawn, now, (0, 0), (2, 20), total=total) == "deb: fetch  20.0 MiB  10.0 MiB/s"


def test_more_than_was_announced(drawn: Line, now: list[float]) -> None:
    assert "100 %  500 MiB of 400 MiB" in count(drawn, now, (0, 500), total=400)


def test_hours_and_what_nobody_can_tell(drawn: Line, now: list[float]) -> None:
    assert count(drawn, now, (0, 0), (1, 1), total=4001).endswith("  1:06:40 left")
    assert count(drawn, now, (1000, 2), total=1 << 30).endswith("MiB/s")


def test_several_hosts_are_one_bar_and_the_slowest_counts(drawn: Line, now: list[float]) -> None:
    other = replace(FETCH, id="s", host="b")
    for seconds, fast, slow in ((0, 0, 0), (10, 300, 100)):
        now[0] = 1000.0 + seconds
        drawn.take(replace(FETCH, done=fast * MIB, total=400 * MIB))
        drawn.take(replace(other, done=slow * MIB, total=400 * MIB))
    half = HALF.replace("200", "400").replace("of 400", "of 800")
    assert drawn.text() == f"0 of 2 done, 2 fetch  {half}  40.0 MiB/s  0:30 left"
    drawn.take(replace(FETCH, state=State.DONE))
    assert drawn.text().startswith("1 of 2 done, 1 fetch  [#####......")


def test_no_line_is_longer_than_the_terminal_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "_width", lambda _out: 30)
    terminal = Terminal()
    drawn = Line(terminal)
    drawn.take(replace(FETCH, done=200 * MIB, total=400 * MIB))
    drawn.draw()
    assert terminal.screen == [f"deb: fetch  {HALF}"[:29]]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("データベース", "データベー"),
        ("xデータベース", "xデータベ"),
        # Half-width letters, and letters with marks upon them, have a cell each.
        ("ﾃﾞｰﾀﾍﾞｰｽ12345", "ﾃﾞｰﾀﾍﾞｰｽ12"),
        ("e\u0301" * 12, "e\u0301" * 10),
    ],
)
def test_a_line_is_as_wide_as_its_cells(
    monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.setattr(progress_line, "_width", lambda _out: 11)
    terminal = Terminal()
    drawn = Line(terminal)
    drawn.take(replace(FETCH, spec=PrepareSpec(name, "a")))
    drawn.draw()
    assert terminal.screen == [shown]


def follow(said: io.StringIO, many: bool = False) -> Follow:
    return Follow(Console(io.StringIO(), said, as_json=False), FakeClient([HOST0]), many)


def test_a_request_is_one_line_that_goes_with_its_end() -> None:
    terminal = Terminal()
    shows = follow(terminal)
    shown = []
    with shows.followed():
        for version in (
            replace(FETCH, state=State.QUEUED, phase=None),
            FETCH,
            replace(FETCH, done=100 * MIB, total=400 * MIB),
            replace(FETCH, phase="check", phases=(Phase("fetch", 2.0),)),
            replace(FETCH, phase="check", cancelling=True),
            replace(FETCH, state=State.DONE, phase=None, phases=(Phase("fetch", 2.0),)),
        ):
            shows(version)
            shown.append(terminal.screen[-1])
    assert [line.partition("]")[0] for line in shown] == [
        *("deb: queued on a", "deb: fetch on a", "deb: fetch  [#####..............."),
        *("deb: check on a", "deb: cancelling on a", ""),
    ]
    assert terminal.screen == [""]


def test_of_many_the_line_counts_and_a_failure_stands_above() -> None:
    terminal = Terminal()
    shows = follow(terminal, many=True)
    requests = [replace(FETCH, id=str(number), host=str(number)) for number in range(3)]
    with shows.followed():
        shows.submitted(requests)
        failure = Failure("no_room", "pool default is full")
        shows(replace(requests[1], state=State.FAILED, failure=failure))
        shows(replace(requests[2], state=State.DONE))
        shown = terminal.screen
    assert shown == ["deb: prepare: pool default is full", "1 of 3 done, 1 failed, 1 fetch"]


def test_an_interrupted_command_takes_its_line_away() -> None:
    terminal = Terminal()
    shows = follow(terminal)
    with pytest.raises(KeyboardInterrupt), shows.followed():
        shows(replace(FETCH, done=100 * MIB, total=400 * MIB))
        raise KeyboardInterrupt
    assert not any("#" in line for line in terminal.screen)
    assert "maglica request wait r" in terminal.screen[-2]


def test_elsewhere_each_tenth_is_a_line() -> None:
    said = io.StringIO()
    shows = follow(said)
    shows(FETCH)
    for done in range(1, 401):
        shows(replace(FETCH, done=done * MIB, total=400 * MIB))
    assert said.getvalue().splitlines() == [
        "prepare deb on a: request r",
        *(f"  fetch … {40.0 * n:.{int(n < 3)}f} MiB of 400 MiB" for n in range(1, 11)),
    ]


def test_elsewhere_what_lasts_is_said_once() -> None:
    said = io.StringIO()
    shows = follow(said)
    shows(FETCH)
    for _time in range(3):
        shows.quiet([FETCH])
    shows(replace(FETCH, state=State.DONE, phases=(Phase("fetch", 2.0), Phase("write", 0.5))))
    assert said.getvalue().splitlines() == [
        *("prepare deb on a: request r", "  fetch …", "  fetch 2.0 s, write 0.5 s")
    ]


def test_a_host_that_picks_nothing_up_is_said_once() -> None:
    for said in (io.StringIO(), Terminal()):
        shows = follow(said)
        sent = replace(FETCH, state=State.SENT, phase=None, host=HOST0.host)
        with shows.followed():
            shows(sent)
            for _time in range(3):
                shows.quiet([sent])
        told = [line for line in said.getvalue().splitlines() if "has not picked it up" in line]
        assert len(told) == 1
        assert "look there at `systemctl status maglica-host-worker`" in told[0]


def test_lines_of_several_requests_name_their_hosts() -> None:
    said = io.StringIO()
    shows = follow(said)
    other = replace(FETCH, id="s", host="b")
    for request in (FETCH, other):
        shows(replace(request, phase=None))
    shows(replace(other, done=MIB, total=MIB))
    shows(replace(FETCH, state=State.DONE, phases=(Phase("fetch", 2.0),)))
    assert said.getvalue().splitlines()[2:] == [
        "  b: fetch … 1.0 MiB of 1.0 MiB",
        "  a: fetch 2.0 s",
    ]
