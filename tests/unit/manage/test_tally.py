# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said while many requests go on."""

from __future__ import annotations

from dataclasses import replace

from maglica.manage.tally import PAUSE, Tally, line
from maglica.model.request import Failure, Request, State
from maglica.verbs.clone import CloneSpec


def request(number: int, state: State = State.SENT, phase: str | None = None) -> Request:
    spec = CloneSpec(f"vm{number}", "deb")
    return Request(str(number), spec, state, phase=phase)


def test_line() -> None:
    requests = [request(0), request(1), request(2, State.RUNNING, "copy"), request(3, State.DONE)]
    assert line(requests) == "1 of 4 done, 2 waiting, 1 copy"
    requests[0] = request(0, State.FAILED)
    requests[1] = request(1, State.CANCELLED)
    assert line(requests) == "1 of 4 done, 1 failed, 1 cancelled, 1 copy"
    assert line([]) == "0 of 0 done"


def test_news_are_told_now_and_then_and_the_end_always() -> None:
    said: list[str] = []
    now = [100.0]
    tally = Tally(said.append, lambda: now[0])
    requests = [request(number) for number in range(100)]
    tally.expect(requests)
    for number in range(50):
        tally(request(number, State.RUNNING, "copy"))
    assert said == ["0 of 100 done, 100 waiting"]
    now[0] += PAUSE
    tally(request(0, State.DONE))
    failure = Failure("no_room", "cannot clone vm1 on host kvm0: no room")
    tally(replace(request(1, State.FAILED), failure=failure))
    assert said[1:] == [
        "1 of 100 done, 50 waiting, 49 copy",
        "vm1: clone: cannot clone vm1 on host kvm0: no room",
    ]
    for number in range(2, 100):
        tally(request(number, State.DONE))
    assert said[3:] == ["99 of 100 done, 1 failed"]
    # A second round counts on.
    tally.expect([request(200)])
    now[0] += PAUSE
    tally(request(200, State.DONE))
    assert said[-1] == "100 of 101 done, 1 failed"
