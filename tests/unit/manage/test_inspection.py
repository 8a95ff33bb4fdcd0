# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are asked to look, and what they report then is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from maglica.manage import inspection
from maglica.manage.inspection import inspect
from maglica.model.request import Failure, HostStatus, LookSummary, Request, State
from support.reports import IMAGE, report


class Client:
    """Hosts whose looks are reported a while after their requests have ended.

    ``fails`` are those that can't look, ``dies`` is one that is gone then.
    """

    def __init__(self, *names: str, fails: str = "", dies: str = "", late: int = 2) -> None:
        self._names = names
        self._fails = fails
        self._dies = dies
        self._late = late
        self.asked: list[Request] = []

    def hosts(self) -> tuple[HostStatus, ...]:
        self._late -= 1
        looked = [each for each in self.asked if self._late < 0 and each.host != self._dies]
        return tuple(
            HostStatus(
                name,
                name != self._dies,
                1.0,
                1.0,
                report(
                    looks=tuple(
                        LookSummary(each.name, "v", True, None, True)
                        for each in looked
                        if each.host == name and name not in self._fails
                    )
                ),
            )
            for name in self._names
        )

    def submit_all(self, requests: Sequence[Request]) -> tuple[Request, ...]:
        self.asked = [replace(each, host=each.spec.host) for each in requests]
        return tuple(self.asked)

    def wait_all(self, ids: Sequence[str], _timeout: float, *_told: object) -> dict:
        failure = Failure("guest_unreadable", f"cannot inspect image {IMAGE}: no system")
        ends = {True: {"state": State.FAILED, "failure": failure}, False: {"state": State.DONE}}
        return {each.id: replace(each, **ends[each.host in self._fails]) for each in self.asked}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often the next report was waited for; a pause takes no time."""
    made: list[float] = []
    monkeypatch.setattr(inspection.time, "sleep", made.append)
    return made


def test_what_was_found_is_waited_for(pauses: list[float]) -> None:
    client = Client("a", "b")
    told: list[Request] = []
    hosts, errors = inspect(client, [("a", IMAGE), ("b", IMAGE)], 10, told.append)
    assert [(each.kind, each.spec.host) for each in client.asked] == [
        ("inspect", "a"),
        ("inspect", "b"),
    ]
    assert [status.report.look_at(IMAGE) is not None for status in hosts] == [True, True]
    assert (errors, len(pauses), told) == ([], 2, client.asked)


def test_a_host_that_can_not_look_and_one_that_dies(pauses: list[float]) -> None:
    client = Client("a", "b", "c", fails="b", dies="c", late=0)
    _hosts, errors = inspect(client, [(host, IMAGE) for host in "abc"], 10)
    assert [str(error) for error in errors] == [f"cannot inspect image {IMAGE}: no system"]
    assert pauses == []


def test_a_report_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 100, 4))
    monkeypatch.setattr(inspection.time, "monotonic", lambda: float(next(times)))
    hosts, errors = inspect(Client("a", late=1000), [("a", IMAGE)], 10)
    assert (hosts[0].report.looks, errors) == ((), [])


def test_nothing_to_ask() -> None:
    assert inspect(Client("a"), [], 10)[1] == []
