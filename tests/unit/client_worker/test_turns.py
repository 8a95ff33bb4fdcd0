# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports wait for their turn: few are with their hosts at once, and those that wait say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.state import WAITS
from maglica.host_worker.daemon.scheduler import Limits
from maglica.model.plain import plain
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.add_image import AddImageSpec
from maglica.verbs.remove_image import RemoveImageSpec
from maglica.verbs.verb import SLOW_JOBS
from maglica.wire import features
from support.reports import clone, report

if TYPE_CHECKING:
    from maglica.client_worker.transactions import Outcome

    from .conftest import Cell


@pytest.fixture
def two(cell: Cell) -> Cell:
    """A client worker that lets two import at once, with two hosts."""
    cell.context.slow_at_once = 2
    cell.hello("kvm0")
    cell.hello("kvm1")
    return cell


def entry(name: str, host: str = "kvm0") -> dict[str, Any]:
    spec = AddImageSpec(name, host, path=f"/srv/{name}.img")
    return {"id": new_request_id(), "kind": "add_image", "spec": spec}


def removal(name: str, host: str = "kvm0") -> dict[str, Any]:
    spec = RemoveImageSpec(name, host, "11111111-1111-8111-8111-111111111111")
    return {"id": new_request_id(), "kind": "remove_image", "spec": spec}


def published(outcome: Outcome) -> list[str]:
    """Return the names of what is told to hosts."""
    told = [message.body.get("requests", ()) for _topic, message in outcome.publications]
    return [request["spec"]["image"] for requests in told for request in requests]


def states(cell: Cell) -> list[tuple[str, str | None]]:
    """Return how the open requests stand, by their names."""
    open_requests = sorted(cell.context.requests.open.values(), key=lambda each: each.name)
    return [(request.state.value, request.phase) for request in open_requests]


def of(cell: Cell, name: str) -> Request:
    return next(each for each in cell.context.requests.open.values() if each.name == name)


SENT, WAITING = ("sent", None), ("queued", WAITS)


def test_others_wait_and_say_so(two: Cell) -> None:
    asked = [entry(name, host) for name, host in zip("abcd", ("kvm0", "kvm0", "kvm1", "kvm1"))]
    outcome = two.send("submit", requests=asked)
    assert published(outcome) == ["a", "b"]
    assert states(two) == [SENT, SENT, WAITING, WAITING]
    # Nor are they told to a host in another way.
    assert two.hello("kvm1")["requests"] == ()
    two.engine.subscribed("kvm1")
    two.now += 5
    assert published(two.engine.handle([])) in ([], ["a", "b"], ["b", "a"])
    assert of(two, "c").state is State.QUEUED


def test_the_same_image_again_holds_no_second_turn(two: Cell) -> None:
    """As by a play that was run again and again while its first request went on."""
    first = entry("golden")
    for asked in (first, entry("golden"), entry("golden")):
        two.send("submit", requests=[asked])
    assert published(two.send("submit", requests=[entry("other", "kvm1")])) == ["other"]
    assert Counter(states(two)) == {SENT: 2, WAITING: 2}
    two.result(two.context.requests.open[first["id"]], state="done")
    assert Counter(states(two)) == {SENT: 2, WAITING: 1}
    two.result(of(two, "other"), state="done")
    # On another host it is other work.
    assert published(two.send("submit", requests=[entry("golden", "kvm1")])) == ["golden"]


def test_what_is_quick_does_not_wait(two: Cell) -> None:
    two.send("submit", requests=[entry(name) for name in "abc"])
    assert len(two.send("submit", **clone("vm0")).publications) == 1


def test_who_ends_makes_room_for_the_next(two: Cell) -> None:
    two.send("submit", requests=[entry(name) for name in "abcd"])
    two.result(of(two, "a"), state="done")
    assert states(two) == [SENT, SENT, WAITING]
    assert of(two, "c").state is State.SENT
    two.send("ack", host="kvm0", id=of(two, "b").id)
    two.result(of(two, "b"), state="failed", failure={"code": "no_room", "text": "full"})
    two.result(of(two, "c"), state="done")
    assert states(two) == [SENT]


def test_a_restart_keeps_the_turns(two: Cell) -> None:
    two.send("submit", requests=[entry(name) for name in "abc"])
    two.send("ack", host="kvm0", id=of(two, "a").id)
    two.reopen()
    two.context.slow_at_once = 2
    two.hello("kvm0", **{of(two, "a").id: "running"})
    two.engine.handle([])
    assert states(two) == [("running", None), SENT, WAITING]


def test_a_host_that_is_down_holds_no_turn(two: Cell) -> None:
    two.send("submit", requests=[entry(name) for name in "ab"])
    two.send("submit", requests=[entry("c", "kvm1"), entry("d")])
    assert states(two) == [SENT, SENT, WAITING, WAITING]
    two.now += 16
    two.hello("kvm1")
    two.engine.tick()
    assert not two.context.hosts.alive("kvm0")
    assert published(two.engine.handle([])) == ["c"]
    # It has its own back as soon as it is there again.
    assert states(two) == [SENT, SENT, SENT, WAITING]


def test_a_host_that_can_not_work_holds_no_turn(two: Cell) -> None:
    """Its worker lives, and tries again and again, for days if nobody mends its libvirtd."""
    two.send("submit", requests=[entry(name) for name in "ab"])
    for name in "ab":
        two.send("ack", host="kvm0", id=of(two, name).id)
    two.send("submit", requests=[entry("c", "kvm1"), entry("d")])
    held = {of(two, name).id: "running" for name in "ab"}
    two.hello("kvm0", replace(report(), problem="libvirtd does not answer"), **held)
    assert two.context.hosts.alive("kvm0")
    two.engine.handle([])
    assert states(two) == [("running", None), ("running", None), SENT, WAITING]
    two.hello("kvm0", **held)
    two.result(of(two, "c"), state="done")
    assert states(two)[-1] == WAITING
    two.result(of(two, "a"), state="done")
    assert of(two, "d").state is State.SENT


def test_one_that_waits_can_be_cancelled(two: Cell) -> None:
    two.send("submit", requests=[entry(name) for name in "abc"])
    _kind, body = two.ask("cancel", id=of(two, "c").id)
    assert body["request"].state is State.CANCELLED
    assert states(two) == [SENT, SENT]


def test_a_host_has_no_more_turns_than_it_works_at(cell: Cell) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    assert Limits().slow_jobs == SLOW_JOBS == 2
    assert published(cell.send("submit", requests=[entry(name) for name in "abcd"])) == ["a", "b"]
    assert published(cell.send("submit", requests=[entry("e", "kvm1")])) == ["e"]
    cell.result(of(cell, "a"), state="done")
    assert states(cell) == [SENT, SENT, WAITING, SENT]


def test_a_host_that_says_to_be_at_many_takes_no_turn_of_others(cell: Cell) -> None:
    """As one that makes them up, which a client worker with a new journal can't tell."""
    cell.hello("kvm0")
    cell.hello("kvm1")
    for name in "abcde":
        spec = AddImageSpec(name, "kvm0", path=f"/srv/{name}.img")
        told = plain(Request(new_request_id(), spec, State.RUNNING, "kvm0", "alice"))
        told = features.known_to((), told)
        assert cell.ask("ack", host="kvm0", id=told["id"], request=told)[0] == "ok"
    asked = [entry("good", "kvm1"), entry("more")]
    assert published(cell.send("submit", requests=asked)) == ["good"]


@pytest.fixture
def behind(two: Cell) -> Cell:
    """An image is to be made, once one of others is there, and then to be removed."""
    two.send("submit", requests=[entry("a"), entry("b", "kvm1"), entry("golden")])
    two.send("submit", requests=[removal("golden"), removal("golden", "kvm1"), removal("other")])
    return two


def kinds(cell: Cell, name: str) -> list[tuple[str, str, str | None]]:
    """Return how the requests about an image on kvm0 stand, the oldest first."""
    mine = [each for each in cell.context.requests.of_host("kvm0") if each.name == name]
    return [(each.kind, each.state.value, each.phase) for each in mine]


def test_a_removal_does_not_overtake_the_import_before_it(behind: Cell) -> None:
    assert kinds(behind, "golden") == [("add_image", *WAITING), ("remove_image", *WAITING)]
    # On another host, and of another image, there is nothing to wait for.
    assert kinds(behind, "other") == [("remove_image", *SENT)]
    assert [each.state.value for each in behind.context.requests.of_host("kvm1")] == ["sent"] * 2
    assert [each.name for each in behind.hello("kvm0")["requests"]] == ["a", "other"]
    assert kinds(behind, "golden")[1] == ("remove_image", *WAITING)
    done = of(behind, "a")
    outcome = behind.send("result", host="kvm0", id=done.id, state="done")
    assert published(outcome) == ["golden", "golden"]
    assert kinds(behind, "golden") == [("add_image", *SENT), ("remove_image", *SENT)]
    # Nor does another import overtake the removal.
    behind.result(of(behind, "b"), state="done")
    behind.send("submit", requests=[entry("golden"), removal("golden")])
    assert [each[1] for each in kinds(behind, "golden")] == ["sent", "sent", "queued", "queued"]


def test_a_removal_waits_over_a_restart(behind: Cell) -> None:
    behind.reopen()
    behind.context.slow_at_once = 2
    behind.hello("kvm1")
    behind.hello("kvm0")
    assert kinds(behind, "golden") == [("add_image", *WAITING), ("remove_image", *WAITING)]
    behind.result(of(behind, "a"), state="done")
    assert kinds(behind, "golden") == [("add_image", *SENT), ("remove_image", *SENT)]


def test_a_removal_that_nothing_is_before_goes_after_a_restart(two: Cell) -> None:
    two.now += 10
    two.hello("kvm1")
    two.send("submit", requests=[removal("golden")])
    two.context.requests.begin()
    (asked,) = two.context.requests.of_host("kvm0")
    two.context.requests.change(asked, state=State.QUEUED)
    two.context.requests.commit()
    two.reopen()
    two.hello("kvm0")
    assert kinds(two, "golden") == [("remove_image", *SENT)]


def test_a_removal_goes_when_what_it_waits_for_is_cancelled(behind: Cell) -> None:
    adding, removing = (
        each for each in behind.context.requests.of_host("kvm0") if each.name == "golden"
    )
    outcome = behind.send("cancel", ids=[adding.id])
    assert published(outcome) == ["golden"]
    assert kinds(behind, "golden") == [("remove_image", *SENT)]
    assert behind.context.requests.open[removing.id].state is State.SENT


def test_a_removal_that_waits_can_be_cancelled(behind: Cell) -> None:
    _adding, removing = (
        each for each in behind.context.requests.of_host("kvm0") if each.name == "golden"
    )
    _kind, body = behind.ask("cancel", id=removing.id)
    assert body["request"].state is State.CANCELLED
    behind.result(of(behind, "a"), state="done")
    assert kinds(behind, "golden") == [("add_image", *SENT)]
