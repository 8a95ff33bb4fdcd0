# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the hosts' workers, who is told, and how two with one key are noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.known.workers import KEPT, Workers
from maglica.model.request import State
from maglica.model.worker import Worker
from maglica.verbs.start import StartSpec
from maglica.wire import features
from support.reports import image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell

A, B = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
KNOWN = [features.WORKERS]


def hello(cell: Cell, instance: str | None, version: str = "0.1.0", **body: Any) -> dict[str, Any]:
    worker = {} if instance is None else {"worker": {"version": version, "instance": instance}}
    told = {"report": report(), "requests": [], "features": KNOWN, **worker, **body}
    kind, welcome = cell.ask("hello", host="kvm0", **told)
    assert kind == "welcome", welcome
    return welcome


def versions(cell: Cell, *known: str) -> list[Any]:
    """Return what both lists of hosts say, as a peer that knows these features is told."""
    told = []
    for asked in ("hosts", "domains"):
        ((_peer, answer),) = cell.send(asked, features=list(known)).replies
        told.append(answer.body["hosts"][0].get("worker_version", "nothing"))
    return told


def test_its_version_is_shown_to_those_who_know_of_it(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    hello(cell, None)
    assert versions(cell, *KNOWN) == [None, "nothing"]
    assert features.WORKERS in hello(cell, A)["features"]
    assert versions(cell, *KNOWN) == ["0.1.0", "0.1.0"]
    assert versions(cell) == ["nothing", "nothing"]
    # It can't say so before it has heard that it may.
    hello(cell, None)
    assert versions(cell, *KNOWN) == ["0.1.0", "0.1.0"]
    hello(cell, B, "0.2.0+3f2a1b9c0d1e")
    assert versions(cell, *KNOWN) == ["0.2.0+3f2a1b9c0d1e"] * 2
    assert caplog.text.count("host kvm0 has version") == 2


def test_one_that_does_not_know_of_it_has_none(cell: Cell) -> None:
    hello(cell, A)
    hello(cell, None, features=[])
    assert versions(cell, *KNOWN) == [None, "nothing"]


HERE, THERE = "192.0.2.1", "192.0.2.2"
ADVICE = (
    "speak with the key of host kvm0, and nothing is asked of either: on the one that is not kvm0"
    " remove host_worker.key and host_worker.pub, and run maglica.cloud.deploy for it under a name"
    " of its own"
)


class Met:
    """Workers that are heard one after the other, some seconds apart."""

    def __init__(self) -> None:
        self.workers = Workers(15.0)
        self.now = 100.0

    def hear(self, *instances: str, apart: float = 5.0, address: str = HERE) -> str | None:
        for instance in instances:
            self.now += apart
            self.workers.meet("kvm0", Worker("0.1.0", instance), address, self.now)
        return self.workers.conflict("kvm0")

    def rest(self, seconds: float) -> str | None:
        self.now += seconds
        list(self.workers.sweep(self.now))
        return self.workers.conflict("kvm0")


@pytest.mark.parametrize(
    "heard",
    [
        "a",
        "aaaa",
        "aaabbb",
        # Started again and again, whenever that is.
        "abcdefg",
        "".join(map(chr, range(1000, 1000 + 3 * KEPT))),
    ],
)
@pytest.mark.parametrize("apart", [0.0, 1.0, 14.0, 16.0, 86400.0])
def test_a_worker_that_is_started_anew_is_no_second_one(heard: str, apart: float) -> None:
    assert Met().hear(*heard, apart=apart) is None


@pytest.mark.parametrize(
    "heard",
    [
        "aba",
        "aaabba",
        # One is started anew again and again, the other stays.
        "abcda",
        "a" + "bcdefghijklmno"[: KEPT - 2] + "a",
    ],
)
@pytest.mark.parametrize("apart", [0.0, 1.0, 86400.0])
def test_one_that_comes_back_after_another_is(heard: str, apart: float) -> None:
    assert Met().hear(*heard, apart=apart) == f"two processes at {HERE} {ADVICE}"


def test_both_are_named_as_far_as_that_is_known() -> None:
    for first, second, named in (
        (THERE, HERE, f"{HERE} and {THERE}"),
        ("", HERE, f"two processes at {HERE}"),
        ("", "", "two machines"),
    ):
        met = Met()
        met.hear("a", address=first)
        met.hear("b", address=second)
        assert met.hear("a", address=first) == f"{named} {ADVICE}"


def test_it_is_over_when_only_one_is_left_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    met = Met()
    met.hear("a", "b", "a", "b", "a")
    assert caplog.text.count("speak with the key") == 1
    # While both speak it stays so, however seldom one of them does.
    for heard in ("a", "a", "b", "b", "b", "a"):
        assert met.hear(heard) is not None
    assert met.hear("a", "a", "a") is not None
    assert met.hear("a") is None
    assert caplog.text.count("host kvm0 is one machine again") == 1
    # Also if neither speaks, and whoever then comes is no second one by itself.
    assert met.hear("b", "a") is not None
    assert met.rest(15.0) is not None
    assert met.rest(0.5) is None
    assert met.hear("c", "c", "d") is None


def test_nothing_counts_while_two_have_the_key(
    cell: Cell, caplog: pytest.LogCaptureFixture
) -> None:
    said = report(image())
    hello(cell, A, report=said)
    vm0 = cell.clone("vm0")
    cell.result(vm0, state="done", vm=vm(vm0))
    sent = cell.clone("vm1")
    hello(cell, A, report=report(image(), made(vm0)))
    hello(cell, B, report=report(image(), made(vm0)))
    assert cell.context.requests.get(sent.id).state is State.SENT
    worker = {"version": "0.1.0", "instance": A}
    told = {"host": "kvm0", "report": report(), "requests": [], "features": KNOWN}
    kind, body = cell.ask("hello", **told, worker=worker)
    assert (kind, body["code"]) == ("error", "access_denied")
    assert body["text"] == f"two machines {ADVICE}"
    assert f"ERROR    {Workers.__module__}" in caplog.text

    # Who has just come is told nothing but that it may say who it is.
    _kind, welcome = cell.ask("hello", **told)
    assert (welcome["requests"], welcome["everything"]) == ((), True)
    assert features.WORKERS in welcome["features"]

    # What it says of requests has to wait, and nothing new is asked.
    for message, more in (
        ("ack", {}),
        ("progress", {"phase": "copy", "phases": []}),
        ("result", {"state": "failed", "failure": {"code": "error", "text": "not here"}}),
    ):
        kind, body = cell.ask(message, host="kvm0", id=sent.id, **more)
        assert (kind, body["code"]) == ("error", "access_denied"), message
    start = StartSpec("vm0", vm(vm0).uuid, "kvm0")
    clone = {"name": "vm2", "image": "debian12.original"}
    for asked, spec in (("clone", clone), ("start", start)):
        kind, body = cell.ask("submit", requests=[{"id": A, "kind": asked, "spec": spec}])
        assert (kind, body["code"]) == ("error", "host_down"), body
        assert ADVICE in body["text"]
    ((_peer, answer),) = cell.send("hosts").replies
    (host,) = answer.body["hosts"]
    assert host["alive"] and host["report"]["problem"] == f"two machines {ADVICE}"
    assert len(host["report"]["domains"]) == 2
    ((_peer, answer),) = cell.send("domains").replies
    assert answer.body["hosts"][0]["problems"] == [f"two machines {ADVICE}"]
    cell.engine.subscribed("kvm0")
    for _turn in range(15):
        cell.now += 1.0
        cell.engine.tick()
        said = cell.send("hello", **told, worker=worker)
        assert [answer.type for _peer, answer in said.replies] == ["error"]
        assert said.publications == []
        assert cell.context.hosts.alive("kvm0")

    # One goes away: what is open goes on.
    cell.now += 0.5
    cell.engine.tick()
    ((_where, published),) = cell.engine.handle([]).publications
    assert [request["id"] for request in published.body["requests"]] == [sent.id]
    hello(cell, A, report=report(image()))
    cell.result(sent, state="done", vm=vm(sent))
    assert cell.clone("vm3").host == "kvm0"
