# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions, failures of the journal, waits and upkeep, by a moved clock."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker import transactions
from maglica.client_worker.dispatch import Incoming
from maglica.model.errors import JournalFailed
from maglica.model.request import Request, new_request_id
from maglica.verbs.start import StartSpec
from maglica.wire.frames import Message, encode, topic
from support.reports import clone, image, report

if TYPE_CHECKING:
    from .conftest import Cell


def fail(*_args: Any) -> None:
    raise JournalFailed("journal x: database or disk is full")


def published(outcome: transactions.Outcome) -> list[str]:
    """Return the names of the requests that are published."""
    assert {message.type for _where, message in outcome.publications} <= {"requests"}
    return [
        each["spec"]["name"]
        for _where, message in outcome.publications
        for each in message.body["requests"]
    ]


def test_many_messages_are_one_commit(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello()
    commits = []
    commit = cell.journal.commit
    monkeypatch.setattr(cell.journal, "commit", lambda: commits.append(commit()))
    outcome = cell.handle(*[("submit", clone(f"vm{number}")) for number in range(20)])
    assert len(commits) == 1
    assert [message.type for _peer, message in outcome.replies] == ["requests"] * 20
    assert len(published(outcome)) == 20


def test_what_a_host_gets_at_once_is_one_message(cell: Cell) -> None:
    """What comes to it one after the other would be two jobs, of which each starts an appliance."""
    for host in ("kvm0", "kvm1"):
        cell.hello(host)
    names = [f"vm{number}" for number in range(32)]
    asked = [
        clone(name, host=f"kvm{number % 2}", memory_mib=16) for number, name in enumerate(names)
    ]
    outcome = cell.handle(("submit", {"requests": asked}))
    assert [where for where, _message in outcome.publications] == [topic("kvm0"), topic("kvm1")]
    assert published(outcome) == names[::2] + names[1::2]


def test_what_was_not_taken_with_others_is_published_by_itself(cell: Cell) -> None:
    """A host that can't read one of them takes none."""
    cell.hello()
    names = [f"vm{number}" for number in range(3)]
    asked = [clone(name, memory_mib=16) for name in names]
    assert len(cell.handle(("submit", {"requests": asked})).publications) == 1
    cell.now += 2.0
    outcome = cell.engine.handle([])
    assert sorted(published(outcome)) == names
    assert len(outcome.publications) == 3


def test_what_was_published_once_is_never_again_with_others(cell: Cell) -> None:
    """Not with a cancel, a subscription or a restart: its host may be unable to read it."""
    cell.hello()
    sent = cell.clone("vm0", memory_mib=16)
    asked = ("cancel", {"ids": [sent.id]}), ("submit", clone("vm1", memory_mib=16))
    outcome = cell.handle(*asked)
    kinds = [message.type for _where, message in outcome.publications]
    assert kinds == ["requests", "cancel", "requests"]
    cell.engine.subscribed("kvm0")
    assert len(cell.engine.handle([]).publications) == 3
    cell.reopen()
    cell.hello()
    cell.now += 2.0
    requests = [m for _where, m in cell.engine.handle([]).publications if m.type == "requests"]
    assert [len(message.body["requests"]) for message in requests] == [1, 1]


def test_what_a_failed_commit_held_back_goes_together(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello()
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "update", fail)
        cell.handle(*[("submit", clone(f"vm{number}")) for number in range(3)])
    cell.now += transactions.PAUSE_SECONDS
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "commit", fail)
        assert cell.engine.handle([]).publications == []
    cell.now += 5.0
    assert len(cell.engine.handle([]).publications) == 1


def test_what_does_not_fit_into_one_message_goes_into_more(cell: Cell) -> None:
    cell.hello()
    keys = [f"ssh-ed25519 {'A' * 4000}{number}" for number in range(16)]
    names = [f"vm{number}" for number in range(40)]
    outcome = cell.handle(
        *[("submit", clone(name, memory_mib=16, ssh_authorized_keys=keys)) for name in names]
    )
    assert len(outcome.publications) == 3
    assert published(outcome) == names
    for _where, message in outcome.publications:
        encode(message)


@pytest.mark.parametrize("step", ["begin", "add", "commit", "find"])
def test_a_failing_journal_accepts_nothing(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    cell.hello()
    bodies = [("submit", clone(f"vm{number}")) for number in range(3)]
    with monkeypatch.context() as broken, caplog.at_level(logging.ERROR):
        broken.setattr(cell.journal, step, fail)
        outcome = cell.handle(*bodies)
        assert [message.body["code"] for _peer, message in outcome.replies] == [
            "journal_failed"
        ] * 3
        assert outcome.publications == []
        assert cell.reserved() == (0, 0.0, set())
        assert cell.context.requests.open == {}
        assert cell.engine.handle([]).publications == []
    assert [record.message for record in caplog.records] == ["journal x: database or disk is full"]
    cell.now += transactions.PAUSE_SECONDS
    outcome = cell.handle(*bodies)
    assert [message.type for _peer, message in outcome.replies] == ["requests"] * 3
    assert sorted(published(outcome)) == ["vm0", "vm1", "vm2"]


def test_what_could_not_be_marked_as_sent_is_not_sent(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is published while it counts as never sent could be cancelled, and yet run."""
    cell.hello()
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "update", fail)
        outcome = cell.handle(*[("submit", clone(f"vm{number}")) for number in range(3)])
        assert outcome.publications == []
        accepted = {
            message.body["requests"][0]["id"]
            for _peer, message in outcome.replies
            if message.type == "requests"
        }
        assert cell.context.requests.open.keys() == accepted
    cell.now += transactions.PAUSE_SECONDS
    outcome = cell.engine.handle([])
    ((_where, message),) = outcome.publications
    assert {each["id"] for each in message.body["requests"]} == accepted


def test_one_that_fails_does_not_hold_up_the_others(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello()
    add = cell.journal.add

    def add_some(request: Any, content: str) -> None:
        if request.name == "big":
            fail()
        add(request, content)

    monkeypatch.setattr(cell.journal, "add", add_some)
    outcome = cell.handle(*[("submit", clone(name)) for name in ("vm0", "big", "vm1")])
    answers = [message.body.get("code", "accepted") for _peer, message in outcome.replies]
    assert answers == ["accepted", "journal_failed", "accepted"]
    cell.reopen()
    assert {request.name for request in cell.context.requests.open.values()} == {"vm0", "vm1"}


def test_a_bug_at_one_message_is_an_error_reply(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cell.hello()
    monkeypatch.setattr("maglica.client_worker.admission.place_all", lambda *_args: 1 / 0)
    outcome = cell.handle(("submit", clone("vm0")), ("hosts", {}))
    assert [message.type for _peer, message in outcome.replies] == ["error", "hosts"]
    assert outcome.replies[0][1].body["text"].endswith("failed at this message; see its log")
    assert "ZeroDivisionError" in caplog.text


def test_a_bug_after_the_commit_takes_nothing_back(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.hello()
    with monkeypatch.context() as broken:
        broken.setattr(cell.context.waits, "answered_by", lambda _changed: 1 / 0)
        assert cell.ask("submit", **clone("vm0"))[0] == "error"
    assert len(cell.context.requests.open) == 1
    assert cell.reserved()[0] == 512


def test_a_waiter_gets_what_the_same_commit_changed(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    waiter = (b"waiter", b"")
    assert cell.send("wait", waiter, id=request.id, version=2, wait_s=30).replies == []
    outcome = cell.send("ack", host="kvm0", id=request.id)
    assert [(envelope, message.type) for envelope, message in outcome.replies] == [
        ((b"peer", b""), "ok"),
        (waiter, "requests"),
    ]
    assert cell.send("wait", waiter, id=request.id, version=3, wait_s=30).replies == []
    cell.now += 30.0
    assert [envelope for envelope, _message in cell.engine.tick().replies] == [waiter]


def test_who_waits_for_what_was_forgotten_is_told_so_the_next_time(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    cell.send("wait", id=request.id, version=9, wait_s=30)
    cell.journal.begin()
    cell.journal._db.change("DELETE FROM requests")
    cell.journal.commit()
    cell.context.requests.open.clear()
    cell.now += 30.0
    assert cell.engine.tick().replies[0][1].body["requests"] == []
    answer = cell.ask("wait", id=request.id, version=9, wait_s=30)
    assert (answer[0], answer[1]["code"]) == ("error", "request_unknown")


def test_a_long_report_that_changes_all_the_time_is_not_written_all_the_time(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def keep(name: str, *_what: Any) -> None:
        written.append(name)
        cell.now += 0.5 if name == "kvm0" else 0.0

    monkeypatch.setattr(cell.journal, "keep_host", keep)
    begun = cell.now
    while cell.now < begun + 60:
        for name in ("kvm0", "kvm1"):
            cell.hello(name, report(image(memory_mib=int(cell.now))))
        cell.engine.tick()
        cell.now += 1.0
    assert 4 <= written.count("kvm0") <= 7
    assert written.count("kvm1") > 20
    # Before it ends it keeps what there is.
    cell.now += 30
    cell.hello("kvm0", report(image(memory_mib=1)))
    before = len(written)
    cell.engine.stop()
    assert "kvm0" in written[before:]


def test_upkeep_goes_on_after_a_failure(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello()
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "keep_host", fail)
        cell.engine.tick()
    assert cell.journal.hosts() == []
    cell.now += transactions.KEEP_SECONDS
    cell.engine.tick()
    assert [name for name, _seen, _report in cell.journal.hosts()] == ["kvm0"]


def test_patience_ends_when_something_is_due(cell: Cell) -> None:
    assert cell.engine.patience() == pytest.approx(transactions.SWEEP_SECONDS)
    cell.hello()
    request = cell.clone("vm0")
    cell.now += 1.95
    assert cell.engine.patience() == pytest.approx(0.05)
    cell.now += 0.1
    assert cell.engine.patience() == 0.0
    assert len(cell.engine.handle([]).publications) == 1
    cell.send("ack", host="kvm0", id=request.id)
    cell.send("wait", id=request.id, version=9, wait_s=1)
    cell.now += 0.9
    assert cell.engine.patience() == pytest.approx(0.1)


def test_more_than_a_welcome_holds_comes_with_the_next(cell: Cell) -> None:
    cell.hello("kvm0", report(image(memory_mib=16, disk_bytes=0), memory_free_mib=1 << 30))
    spec = [StartSpec(f"vm{number}", new_request_id(), "kvm0") for number in range(1200)]
    ids = [new_request_id() for _turn in spec]
    cell.handle(
        *[
            ("submit", {"id": request_id, "kind": "start", "spec": each})
            for request_id, each in zip(ids, spec)
        ]
    )
    first = [request.id for request in cell.hello()["requests"]]
    assert first == ids[:1000]
    rest = cell.hello("kvm0", None, **dict.fromkeys(first, "running"))["requests"]
    assert [request.id for request in rest] == ids[1000:]
    # A host whose list is full may have more than it says: what it acknowledged is not repeated.
    for request in rest:
        cell.send("ack", host="kvm0", id=request.id)
    assert cell.hello("kvm0", None, **dict.fromkeys(first, "running"))["requests"] == ()


def test_a_long_list_comes_in_pages(cell: Cell) -> None:
    cell.hello()
    key = "ssh-ed25519 " + "A" * 8000
    for number in range(200):
        cell.send("submit", **clone(f"vm{number}", ssh_authorized_keys=(key,), memory_mib=16))
    assert pages(cell) == [f"vm{number}" for number in reversed(range(200))]


def test_no_answer_has_more_than_a_hundred_requests(cell: Cell) -> None:
    cell.hello(said=report(image(disk_bytes=0)))
    for number in range(201):
        cell.clone(f"vm{number}", memory_mib=16)
    assert len(cell.ask("list", limit=1000)[1]["requests"]) <= 100
    assert pages(cell) == [f"vm{number}" for number in reversed(range(201))]
    assert not cell.ask("list", limit=1)[1]["more"]
    ids = [request.id for request in cell.context.requests.open.values()]
    watched = [{"id": each, "version": 0} for each in ids]
    found = cell.ask("wait", requests=watched, wait_s=30)[1]
    assert [each.id for each in found["requests"]] == ids[: len(found["requests"])]
    assert (found["more"], len(found["requests"]) <= 100) == (True, True)


def pages(cell: Cell) -> list[str]:
    """Ask for all requests, page by page; return their names."""
    found: list[Request] = []
    more = True
    while more:
        before = {"before": found[-1].id} if found else {}
        page = cell.ask("list", limit=1000, **before)[1]
        found, more = [*found, *page["requests"]], page["more"]
    return [request.name for request in found]


def test_what_is_left_of_a_turn_when_one_fails_is_handled_by_itself(cell: Cell) -> None:
    cell.context.hosts.names = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    left = iter(
        [Incoming((b"peer", b""), None, encode(Message(kind, {}))) for kind in ("hosts", "list")]
    )
    outcome = cell.engine.handle(left)
    assert [answer.type for _peer, answer in outcome.replies] == ["error", "requests"]
    assert list(left) == []
