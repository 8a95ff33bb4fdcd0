# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions, failures of the journal, reservations, liveness and upkeep, by a moved clock."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker import transactions as engine_module
from maglica.client_worker.dispatch import Incoming
from maglica.client_worker.reservations import SETTLE_SECONDS
from maglica.disk.room import OVERLAY_BYTES
from maglica.model.errors import JournalFailed
from maglica.model.request import PoolSummary, Request, State, new_request_id, vm_uuid
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.start import StartSpec
from maglica.wire.frames import Message, encode
from support.client_worker import GIB, base, clone, image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell


def fail(*_args: Any) -> None:
    raise JournalFailed("journal x: database or disk is full")


def reserved(cell: Cell, host: str = "kvm0") -> tuple[int, float, set[str]]:
    """Memory in MiB, disk in GiB and bases that are reserved on a host."""
    found = cell.context.hosts.candidates[host].reserved
    return found.committed_mib, round(sum(found.pool_bytes.values()) / GIB, 1), set(found.bases)


def result(cell: Cell, request: Any, **body: Any) -> None:
    kind, answer = cell.ask("result", host=request.host, id=request.id, **body)
    assert kind == "ok", answer


def test_many_messages_are_one_commit(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello()
    commits = []
    commit = cell.journal.commit
    monkeypatch.setattr(cell.journal, "commit", lambda: commits.append(commit()))
    outcome = cell.handle(*[("submit", clone(f"vm{number}")) for number in range(20)])
    assert len(commits) == 1
    assert [message.type for _peer, message in outcome.replies] == ["requests"] * 20
    assert [message.type for _peer, message in outcome.publications] == ["requests"] * 20


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
        assert reserved(cell) == (0, 0.0, set())
        assert cell.context.requests.open == {}
        assert cell.engine.handle([]).publications == []
    assert [record.message for record in caplog.records] == ["journal x: database or disk is full"]
    cell.now += engine_module.PAUSE_SECONDS
    outcome = cell.handle(*bodies)
    assert [message.type for _peer, message in outcome.replies] == ["requests"] * 3
    assert {
        message.body["requests"][0]["spec"]["name"] for _peer, message in outcome.publications
    } == {
        "vm0",
        "vm1",
        "vm2",
    }


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
    cell.now += engine_module.PAUSE_SECONDS
    outcome = cell.engine.handle([])
    assert {
        message.body["requests"][0]["id"] for _peer, message in outcome.publications
    } == accepted


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
    assert reserved(cell)[0] == 512


def test_clones_under_way_are_reserved_until_a_report_shows_them(cell: Cell) -> None:
    cell.hello()
    first, second = cell.clone("vm0"), cell.clone("vm1")
    # The base is counted once.
    assert reserved(cell) == (1024, 2.2, {image().name})
    assert cell.plan("vm2")[1]["placements"][0].load == 3 * 512 / 16384
    assert cell.plan("vm1")[1]["placements"][0].load == 2 * 512 / 16384
    cell.hello("kvm0", report(image(), made(first, active=False), bases=(base(),)))
    assert reserved(cell) == (1024, 0.1, {image().name})
    result(cell, first, state="done", vm=vm(first))
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert reserved(cell) == (512, 0.1, {image().name})
    # The result came before a report that is older than it.
    result(cell, second, state="done", vm=vm(second))
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert reserved(cell) == (512, 0.1, {image().name})
    cell.now += SETTLE_SECONDS + 1
    cell.hello("kvm0", report(image(), made(first), bases=(base(),)))
    assert reserved(cell) == (0, 0.0, set())
    assert cell.clone("vm1").state is State.QUEUED


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_clone_that_was_not_made_frees_its_reservation(cell: Cell, state: str) -> None:
    cell.hello()
    request = cell.clone("vm0")
    result(cell, request, state=state, failure={"code": "no_room", "text": "full"})
    assert reserved(cell) == (0, 0.0, set())
    assert cell.clone("vm0").id != request.id


def test_reservations_survive_a_restart(cell: Cell) -> None:
    cell.hello()
    cell.clone("vm0")
    done = cell.clone("vm1")
    result(cell, done, state="done", vm=vm(done))
    before = reserved(cell)
    cell.engine.stop()
    cell.reopen()
    assert reserved(cell) == before == (1024, 2.2, {image().name})
    assert "name_taken" in str(cell.ask("submit", **clone("vm1")))


def test_disk_is_reserved_in_the_pool_with_most_room(cell: Cell) -> None:
    pools = (PoolSummary("a", 9 * GIB, 5 * GIB), PoolSummary("b", 9 * GIB, 4 * GIB))
    copied = 2 * GIB - OVERLAY_BYTES
    cell.hello("kvm0", report(pools=pools, bases=(base(allocated_bytes=copied),)))
    for name in ("vm0", "vm1", "vm2"):
        cell.clone(name, clone_mode="full")
    found = cell.context.hosts.candidates["kvm0"].reserved.pool_bytes
    assert found == {"a": 4 * GIB, "b": 2 * GIB}
    cell.clone("vm3", clone_mode="full", pool="b")
    kind, body = cell.ask("submit", **clone("vm4", clone_mode="full"))
    assert (kind, body["code"]) == ("error", "no_room")
    assert "pool a has 1.0 GiB free, 2.0 GiB needed" in body["text"]


def test_a_host_is_down_after_its_timeout(cell: Cell, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cell.hello()
    cell.now += 15.0
    cell.engine.tick()
    assert cell.context.hosts.alive("kvm0")
    cell.now += 0.3
    cell.engine.tick()
    assert not cell.context.hosts.alive("kvm0")
    assert "host kvm0 is down: silent for 15 s" in caplog.text
    cell.hello()
    assert cell.context.hosts.alive("kvm0")
    assert caplog.text.count("host kvm0 is alive") == 2


def test_hosts_that_were_alive_get_one_timeout_after_a_restart(cell: Cell) -> None:
    cell.hello("old")
    cell.now += 100.0
    cell.engine.tick()
    cell.hello("new")
    cell.now += engine_module.KEEP_SECONDS
    cell.engine.tick()
    cell.reopen()
    hosts = cell.context.hosts
    assert (hosts.alive("new"), hosts.alive("old")) == (True, False)
    cell.now += 15.5
    cell.engine.tick()
    assert not hosts.alive("new")


def test_hosts_without_key_and_configuration_are_forgotten(cell: Cell) -> None:
    for name in ("kvm0", "kvm1"):
        cell.hello(name, report(image(), image(name=f"vm-{name}", uuid=new_request_id())))
    request = cell.clone("vm0", host="kvm1")
    cell.engine.tick()
    cell.engine.admit(frozenset({"kvm2"}))
    cell.engine.tick()
    assert cell.context.hosts.names() == ["kvm1", "kvm2"]
    assert not cell.context.hosts.alive("kvm1")
    result(cell, request, state="cancelled")
    cell.now += engine_module.PRUNE_SECONDS
    cell.engine.tick()
    assert cell.context.hosts.names() == ["kvm2"]
    assert cell.journal.hosts() == []


def test_a_removed_vm_is_gone_at_once(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    result(cell, request, state="done", vm=vm(request))
    said = report(image(), made(request))
    cell.hello("kvm0", said)
    spec = RemoveSpec("vm0", vm_uuid(request.id), "kvm0")
    remove = cell.ask("submit", id=new_request_id(), kind="remove", spec=spec)[1]["request"]
    result(cell, remove, state="done")
    # A report that is older than the result does not bring it back.
    cell.hello("kvm0", said)
    assert cell.plan("vm0")[0] == "placements"
    cell.now += SETTLE_SECONDS + 1
    cell.engine.tick()
    cell.hello("kvm0", said)
    assert cell.plan("vm0")[1]["code"] == "name_taken"


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


def test_upkeep_goes_on_after_a_failure(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello()
    with monkeypatch.context() as broken:
        broken.setattr(cell.journal, "keep_host", fail)
        cell.engine.tick()
    assert cell.journal.hosts() == []
    cell.now += engine_module.KEEP_SECONDS
    cell.engine.tick()
    assert [name for name, _seen, _report in cell.journal.hosts()] == ["kvm0"]


def test_patience_ends_when_something_is_due(cell: Cell) -> None:
    assert cell.engine.patience() == pytest.approx(engine_module.SWEEP_SECONDS)
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


def listed(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [clone(name, **fields) for name in names]


def test_a_list_is_one_commit_and_one_answer(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    commits = []
    commit = cell.journal.commit
    monkeypatch.setattr(cell.journal, "commit", lambda: commits.append(commit()))
    asked = listed("vm0", "vm1", "vm2", "vm3")
    kind, body = cell.ask("submit", requests=asked)
    assert kind == "requests"
    assert len(commits) == 1
    assert [request.id for request in body["requests"]] == [each["id"] for each in asked]
    assert [request.host for request in body["requests"]] == ["kvm0", "kvm1", "kvm0", "kvm1"]
    # Again, with one more: the requests as they stand.
    more = [*asked, *listed("vm4")]
    again = cell.ask("submit", requests=more)[1]["requests"]
    assert [request.id for request in again] == [each["id"] for each in more]
    assert [request.state for request in again] == [State.SENT] * 4 + [State.QUEUED]
    assert len(cell.context.requests.open) == 5


def test_a_list_joins_what_is_there(cell: Cell) -> None:
    cell.hello()
    there = cell.clone("vm0")
    asked = listed("vm1", "vm0")
    first, second = cell.ask("submit", requests=asked)[1]["requests"]
    assert (first.id, second.id) == (asked[0]["id"], there.id)
    assert cell.ask("status", id=asked[1]["id"])[1]["request"].id == there.id


def refused(cell: Cell, entries: list[dict[str, Any]]) -> dict[str, Any]:
    before = (reserved(cell), dict(cell.context.requests.open))
    outcome = cell.send("submit", requests=entries)
    assert (reserved(cell), cell.context.requests.open) == before
    assert [message.type for _peer, message in outcome.publications] == []
    ((_peer, message),) = outcome.replies
    assert message.type == "error"
    for entry in entries:
        if entry["id"] not in cell.context.requests.open:
            assert cell.ask("status", id=entry["id"])[0] == "error"
    return message.body


def test_of_a_list_all_or_none_is_accepted(cell: Cell) -> None:
    cell.hello(said=report(image(), image(name="other", uuid=vm_uuid("other"))))
    there = clone("vm9")
    cell.send("submit", **there)
    spec = StartSpec("vm0", vm_uuid("x"), "nowhere")
    cases = [
        (listed("vm0", "other", "vm1"), "name_taken", "cannot clone other from"),
        (listed("vm0", "vm1", "vm0"), "name_taken", "cannot clone vm0 .* twice in one list"),
        (listed("vm0", *(f"big{n}" for n in range(3)), memory_mib=6000), "no_room", "big"),
        ([*listed("vm0"), clone("vm1", image="none")], "image_unknown", "cannot clone vm1 from"),
        (
            [*listed("vm0"), {"id": new_request_id(), "kind": "start", "spec": spec}],
            "host_unknown",
            "cannot start vm0: no host nowhere",
        ),
        ([*listed("vm0"), clone("vm7", there["id"])], "request_conflict", there["id"]),
        (listed("vm0") * 2, "request_conflict", "twice"),
    ]
    for entries, code, text in cases:
        body = refused(cell, entries)
        assert body["code"] == code, body
        assert re.match(rf"none of {len(entries)} requests is accepted: .*{text}", body["text"])


def test_a_list_is_planned_as_it_would_be_placed(cell: Cell) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    entries = listed("vm0", "vm1", "vm2")
    kind, body = cell.ask("submit", requests=entries, dry_run=True)
    assert kind == "placements"
    assert [each.host for each in body["placements"]] == ["kvm0", "kvm1", "kvm0"]
    made_there = cell.ask("submit", requests=entries)[1]["requests"]
    assert [request.host for request in made_there] == ["kvm0", "kvm1", "kvm0"]
    again = cell.ask("submit", requests=entries, dry_run=True)[1]["placements"]
    assert [each.host for each in again] == ["kvm0", "kvm1", "kvm0"]
    body = cell.plan("vm0", "vm0")[1]
    assert body["text"].startswith("not all of 2 fit: cannot clone vm0")


def test_a_wait_for_many_is_answered_with_what_is_new(cell: Cell) -> None:
    cell.hello()
    entries = listed("vm0", "vm1", "vm2")
    cell.send("submit", requests=entries)
    waiter = (b"waiter", b"")

    def wait(*versions: int) -> list[Any]:
        watched = [{"id": e["id"], "version": v} for e, v in zip(entries, versions)]
        return cell.send("wait", waiter, requests=watched, wait_s=30).replies

    def names(replies: list[Any]) -> list[str]:
        (message,) = [message for envelope, message in replies if envelope == waiter]
        return [found["spec"]["name"] for found in message.body["requests"]]

    assert names(wait(0, 9, 0)) == ["vm0", "vm2"]
    assert wait(2, 2, 2) == []
    asked = [("ack", {"host": "kvm0", "id": entry["id"]}) for entry in entries[:2]]
    assert names(cell.handle(*asked).replies) == ["vm0", "vm1"]
    # What came before the next wait is told at once.
    assert names(wait(2, 3, 2)) == ["vm0"]
    assert wait(3, 3, 2) == []
    cell.now += 31
    assert names(cell.engine.tick().replies) == []
    # One that nobody knows hides no other, and is not waited for.
    watched = [{"id": new_request_id(), "version": 0}, {"id": entries[2]["id"], "version": 0}]
    body = cell.ask("wait", requests=watched, wait_s=1)[1]
    assert [each["code"] for each in body["errors"]] == ["request_unknown"]
    assert [each.name for each in body["requests"]] == ["vm2"]
    body = cell.ask("wait", requests=watched[:1], wait_s=30)[1]
    assert [each["id"] for each in body["errors"]] == [watched[0]["id"]]


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


def test_a_vm_that_is_removed_before_it_was_reported_leaves_its_name(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    result(cell, request, state="done", vm=vm(request))
    spec = RemoveSpec("vm0", vm_uuid(request.id), "kvm0")
    remove = cell.ask("submit", id=new_request_id(), kind="remove", spec=spec)[1]["request"]
    result(cell, remove, state="done")
    assert reserved(cell) == (0, 0.0, set())
    assert cell.clone("vm0").id != request.id
