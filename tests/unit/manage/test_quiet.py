# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of hosts that pick nothing up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.manage.outcome import failure_of
from maglica.manage.tally import Quiet, unheard
from maglica.model.errors import PeerSilent
from maglica.model.moment import Moment
from maglica.model.request import HostReport, HostStatus, Request, State
from maglica.verbs.clone import CloneSpec

SENT = Request("r", CloneSpec("vm0", "deb"), State.SENT, "kvm0")
ALIVE = HostStatus("kvm0", True, Moment(1000), 1.0, HostReport())
TWICE = replace(ALIVE, report=HostReport(problem="two speak"))


@pytest.mark.parametrize(
    ("request_", "status", "now", "why"),
    [
        (SENT, ALIVE, 1042.0, "its last sign was 42 s ago"),
        # Its clock may be ahead.
        (SENT, ALIVE, 900.0, "its last sign was 0 s ago"),
        (SENT, None, 1042.0, "has not said anything yet"),
        (SENT, replace(ALIVE, seen=None), 1042.0, "is maglica-host-worker.service set up"),
        (replace(SENT, state=State.QUEUED), ALIVE, 1005.0, None),
        (replace(SENT, state=State.QUEUED), replace(ALIVE, alive=False), 1005.0, "5 s ago"),
        (replace(SENT, state=State.QUEUED), ALIVE, 1042.0, "42 s ago"),
        (replace(SENT, state=State.QUEUED), TWICE, 1005.0, "can't take it: two speak"),
        (SENT, replace(TWICE, alive=False), 1042.0, "its last sign was 42 s ago"),
    ],
)
def test_why(request_: Request, status: HostStatus | None, now: float, why: str | None) -> None:
    told = unheard(request_, status, now)
    assert told is None if why is None else why in (told or "")


class Client:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def host(self, name: str) -> HostStatus | None:
        self.asked.append(name)
        if name == "lost":
            raise PeerSilent("x")
        return ALIVE


def test_each_host_is_named_once() -> None:
    said: list[str] = []
    client = Client()
    quiet = Quiet(client, said.append)
    others = [
        replace(SENT, state=State.RUNNING, host="b"),
        replace(SENT, state=State.QUEUED, phase="wait", host="c"),
        replace(SENT, host=None),
        replace(SENT, host="lost"),
    ]
    quiet(others)
    assert said == []
    quiet([SENT, replace(SENT, id="s")])
    quiet([SENT])
    assert client.asked == ["lost", "kvm0"]
    (line,) = said
    assert line.startswith("request r waits: host kvm0 has not picked it up, and its last sign was")


def test_the_end_of_the_wait_says_it_too() -> None:
    error = failure_of(SENT, 8, unheard(SENT, ALIVE, 1042.0))
    assert str(error) == (
        "request r (clone of vm vm0) is not done after 8 s: host kvm0 has not picked it up, and its"
        " last sign was 42 s ago: look there at `systemctl status maglica-host-worker`; it stays"
        " queued: run this again to go on waiting"
    )
    assert "is still sent on host kvm0 after 8 s; it goes on" in str(failure_of(SENT, 8))
