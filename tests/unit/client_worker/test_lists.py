# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of requests: what is told of each, a tail of them, and what is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker.waits import MAX_PER_KEY, TAIL_WEIGHT
from maglica.model.request import Request, State, new_request_id
from maglica.verbs.start import StartSpec
from maglica.wire import features
from support.reports import clone, report, vm

if TYPE_CHECKING:
    from .conftest import Cell


def names(body: dict[str, Any]) -> list[str]:
    return [each.name for each in body["requests"]]


def ended(cell: Cell, request: Request, state: str, **more: Any) -> None:
    failure = {"failure": {"code": "no_room", "text": "full"}} if state == "failed" else {}
    told = {"host": request.host, "id": request.id, "state": state, **failure, **more}
    assert cell.ask("result", **told)[0] == "ok"


def test_one_that_is_unknown_hides_no_other(cell: Cell) -> None:
    cell.hello()
    ids = [cell.clone(name).id for name in ("vm0", "vm1")]
    unknown = new_request_id()
    for kind in ("status", "cancel"):
        _kind, body = cell.ask(kind, ids=[ids[0], unknown, ids[1], ids[0]])
        assert [each.id for each in body["requests"]] == ids
        assert [(each["id"], each["code"]) for each in body["errors"]] == [
            (unknown, "request_unknown")
        ]
    assert all(cell.journal.get(each).cancelling for each in ids)


def test_a_long_status_comes_in_pages(cell: Cell) -> None:
    cell.hello()
    made = [cell.clone(f"vm{number}", memory_mib=16).id for number in range(150)]
    _kind, body = cell.ask("status", ids=made)
    assert ([each.id for each in body["requests"]], body["more"]) == (made[:100], True)
    _kind, body = cell.ask("status", ids=made[100:])
    assert ([each.id for each in body["requests"]], body["more"]) == (made[100:], False)


# --- again


def again(cell: Cell, request_id: str, new_id: str | None = None) -> tuple[str, Any]:
    return cell.ask("submit", id=new_id or new_request_id(), again=request_id)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_has_failed_is_tried_once_more_as_a_new_request(cell: Cell, state: str) -> None:
    cell.hello()
    first = cell.clone("vm0", memory_mib=64, tags=("web",))
    ended(cell, first, state)
    new_id = new_request_id()
    kind, body = again(cell, first.id, new_id)
    assert kind == "request", body
    second = body["request"]
    assert (second.id, second.spec, second.state) == (new_id, first.spec, State.QUEUED)
    # A retry of the same bytes makes no third one.
    assert again(cell, first.id, new_id)[1]["request"].id == new_id
    assert len(cell.ask("list")[1]["requests"]) == 2


def test_what_was_tried_once_more_is_known_when_the_first_is_forgotten(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    ended(cell, request, "cancelled")
    cell.now += 601
    cell.hello()
    new = again(cell, request.id)[1]["request"]
    cell.engine.tick()
    assert cell.context.requests.get(request.id) is None
    assert again(cell, request.id, new.id)[1]["request"].id == new.id
    assert again(cell, request.id)[1]["code"] == "request_unknown"


def test_what_has_not_failed_is_not_tried_again(cell: Cell) -> None:
    cell.hello()
    first = cell.clone("vm0")
    kind, body = again(cell, first.id)
    assert (kind, body["code"]) == ("error", "again_refused")
    assert body["text"] == (
        f"cannot try request {first.id} (clone vm0) again: it is sent, neither failed nor cancelled"
    )
    ended(cell, first, "done", vm=vm(first))
    assert "it is done, neither" in again(cell, first.id)[1]["text"]
    assert again(cell, new_request_id())[1]["code"] == "request_unknown"


def test_what_has_lost_a_secret_is_not_tried_again(cell: Cell) -> None:
    cell.hello()
    first = cell.clone("vm0", root_password="$6$salt$0123456789")
    ended(cell, first, "failed")
    kind, body = again(cell, first.id)
    assert (kind, body["code"]) == ("error", "again_refused")
    assert "secrets (passwords, user_data) were wiped when it ended; submit it anew" in body["text"]


def test_of_a_list_with_one_that_can_t_be_tried_again_none_is_accepted(cell: Cell) -> None:
    cell.hello()
    entries = [clone("vm1"), {"id": new_request_id(), "again": cell.clone("vm0").id}]
    kind, body = cell.ask("submit", requests=entries)
    assert (kind, body["code"]) == ("error", "again_refused")
    assert body["text"].startswith("nothing was done for 2 requests: cannot try request")
    assert len(cell.ask("list")[1]["requests"]) == 1


def test_a_dry_run_foresees_any_kind_and_changes_nothing(cell: Cell) -> None:
    cell.hello("kvm0")
    first = cell.clone("vm0")
    ended(cell, first, "failed")
    entries = [clone("vm1"), {"id": new_request_id(), "again": first.id}]
    _kind, body = cell.ask("submit", requests=entries, dry_run=True)
    assert [each.host for each in body["placements"]] == ["kvm0", "kvm0"]
    assert body["placements"][0].load < body["placements"][1].load
    assert len(cell.ask("list")[1]["requests"]) == 1


# --- parent and peer


def test_a_request_has_a_parent_and_a_peer(cell: Cell) -> None:
    cell.hello("kvm0")
    cell.hello("kvm1")
    parent = cell.clone("vm0")
    asked = {**clone("vm1", host="kvm0"), "parent": parent.id, "peer": "kvm1"}
    part = cell.ask("submit", **asked)[1]["request"]
    assert (part.parent, part.peer) == (parent.id, "kvm1")
    # Both survive a restart; the host gets them with the request.
    cell.reopen()
    known = cell.ask("status", id=part.id)[1]["request"]
    assert (known.parent, known.peer) == (parent.id, "kvm1")
    told = cell.hello("kvm0")["requests"]
    assert [(each.parent, each.peer) for each in told if each.id == part.id] == [
        (parent.id, "kvm1")
    ]
    # It is another request with another peer.
    conflict = cell.ask("submit", **{**asked, "peer": "kvm0"})
    assert conflict[1]["code"] == "request_conflict"
    # The vm may end on the peer, and on no third host.
    cell.ask("ack", host="kvm0", id=part.id)
    made = {"name": "vm1", "uuid": vm(part).uuid, "state": "running", "active": True}
    body = {"host": "kvm0", "id": part.id, "state": "done"}
    refused = cell.ask("result", **body, vm={**made, "host": "kvm2"})[1]
    assert refused["text"] == "result.vm: not vm1 on host kvm0 or kvm1"
    assert cell.ask("result", **body, vm={**made, "host": "kvm1"})[0] == "ok"
    assert cell.ask("status", id=part.id)[1]["request"].vm.host == "kvm1"


def test_nonsense_of_parent_and_peer_is_refused(cell: Cell) -> None:
    cell.hello("kvm0")
    unknown = new_request_id()
    for relation, code, text in (
        ({"parent": unknown}, "request_unknown", f"no request {unknown}, its parent, is known"),
        ({"peer": "kvm9"}, "host_unknown", "no host kvm9, its peer, is known"),
        ({"peer": "kvm0"}, "message_invalid", "its peer kvm0 is the host itself"),
    ):
        for dry_run in (True, False):
            entry = {**clone("vm0", host="kvm0"), **relation}
            kind, body = cell.ask("submit", requests=[entry], dry_run=dry_run)
            assert (kind, body["code"]) == ("error", code)
            assert body["text"] == f"cannot clone vm0: {text}"
    assert cell.ask("list")[1]["requests"] == ()


def test_a_clone_is_placed_beside_its_peer(cell: Cell) -> None:
    cell.hello("kvm0")
    entry = {**clone("vm0"), "peer": "kvm0"}
    body = cell.ask("submit", **entry)[1]
    assert body["code"] == "message_invalid"
    assert body["text"].endswith("host kvm0: it is the request's peer, which must be a second host")
    cell.hello("kvm1")
    (placed,) = cell.ask("submit", requests=[entry], dry_run=True)[1]["placements"]
    request = cell.ask("submit", **entry)[1]["request"]
    assert (placed.host, request.host, request.peer) == ("kvm1", "kvm1", "kvm0")
    # An act on a vm that is there has its host already.
    spec = StartSpec("vm1", new_request_id(), "kvm0")
    asked = {"id": new_request_id(), "kind": "start", "spec": spec, "peer": "kvm0"}
    assert cell.ask("submit", **asked)[1] == {
        "code": "message_invalid",
        "text": "cannot start vm1: its peer kvm0 is the host itself",
    }


# --- features


def test_counts_go_to_those_only_who_know_of_them(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    waiters = {(b"old", b""): (), (b"new", b""): ("progress_counts", "not_invented_yet")}
    cell.ask("ack", host="kvm0", id=request.id)
    version = cell.journal.get(request.id).version
    watched = [{"id": request.id, "version": version}]
    for peer, known in waiters.items():
        assert cell.send("wait", peer, requests=watched, wait_s=9, features=known).replies == []
    phase = {"phase": "copy", "phases": [], "done": 7, "total": 9}
    outcome = cell.send("progress", host="kvm0", id=request.id, **phase)
    told = {envelope: message.body["requests"][0] for envelope, message in outcome.replies[1:]}
    assert "done" not in told[(b"old", b"")]
    assert (told[(b"new", b"")]["done"], told[(b"new", b"")]["total"]) == (7, 9)
    for kind, body in (("status", {"ids": [request.id]}), ("list", {})):
        ((_peer, old),) = cell.send(kind, **body).replies
        ((_peer, new),) = cell.send(kind, **body, features=["progress_counts"]).replies
        assert "total" not in old.body["requests"][0]
        assert new.body["requests"][0]["total"] == 9
        assert old.body["features"] == new.body["features"] == features.OWN
    # Nothing of it goes back to the host, which may not know of it either.
    cell.reopen()
    ((_peer, welcome),) = cell.send("hello", host="kvm0", report=report(), requests=[]).replies
    assert "done" not in welcome.body["requests"][0]
    assert "progress_counts" in welcome.body["features"]
    # What is over has nothing left to count.
    ended(cell, request, "failed")
    assert cell.ask("status", id=request.id)[1]["request"].done is None


# --- a tail


def test_a_tail_tells_each_change_once_and_in_order(cell: Cell) -> None:
    cell.hello()
    first, second = cell.clone("vm0"), cell.clone("vm1")
    begin = cell.ask("list", after=0)[1]
    assert names(begin) == ["vm0", "vm1"]
    assert cell.ask("list", after=begin["revision"])[1]["requests"] == ()
    cell.ask("ack", host="kvm0", id=first.id)
    changed = cell.ask("list", after=begin["revision"])[1]
    assert [(each.name, each.state) for each in changed["requests"]] == [("vm0", State.RUNNING)]
    # One by one, each page from the revision of the one before.
    pages, after = [], 0
    while True:
        body = cell.ask("list", after=after, limit=1)[1]
        pages += names(body)
        after = body["revision"]
        if not body["more"]:
            break
    assert (pages, after) == (["vm1", "vm0"], changed["revision"])
    assert second.id == cell.ask("list", after=0, states=["sent"])[1]["requests"][0].id
    cell.reopen()
    assert cell.ask("list", after=after)[1]["revision"] == after


def test_who_waits_at_a_tail_is_answered_by_a_change_that_it_is_for(cell: Cell) -> None:
    cell.hello()
    request = cell.clone("vm0")
    after = cell.ask("list")[1]["revision"]
    waiters = {
        (b"any", b""): {},
        (b"other", b""): {"name": "vm9"},
        (b"ended", b""): {"states": ["failed"]},
    }
    for peer, filters in waiters.items():
        asked = {"after": after, "wait_s": 30, **filters}
        assert cell.send("list", peer, **asked).replies == []
    answers = cell.send("ack", host="kvm0", id=request.id).replies[1:]
    assert [envelope for envelope, _message in answers] == [(b"any", b"")]
    assert answers[0][1].body["requests"][0]["state"] == "running"
    assert answers[0][1].body["revision"] == after + 1
    failure = {"code": "no_room", "text": "full"}
    told = {"host": "kvm0", "id": request.id, "state": "failed", "failure": failure}
    assert [envelope for envelope, _message in cell.send("result", **told).replies[1:]] == [
        (b"ended", b"")
    ]
    cell.now += 31
    ((envelope, message),) = cell.engine.tick().replies
    assert (envelope, message.body["requests"]) == ((b"other", b""), [])


def test_a_tail_goes_on_after_a_journal_was_lost(cell: Cell) -> None:
    """The changes are counted anew; a client that has seen more of the old ones hears of them."""
    cell.hello()
    cell.clone("vm0")
    assert names(cell.ask("list", after=1000)[1]) == ["vm0"]
    # So does one that waits there, whatever else changes meanwhile.
    waiter = (b"waiter", b"")
    assert cell.send("list", waiter, after=8, wait_s=60, name="vm1").replies == []
    changes = [("submit", clone(name, memory_mib=16)) for name in ("vm1", "vm2", "vm3")]
    told = [message for envelope, message in cell.handle(*changes).replies if envelope == waiter]
    assert [each["spec"]["name"] for each in told[0].body["requests"]] == ["vm1"]


def test_tails_are_limited_as_waits_are(cell: Cell) -> None:
    most = MAX_PER_KEY // TAIL_WEIGHT
    for number in range(most + 3):
        cell.send("list", (b"%d" % number, b""), after=0, wait_s=30)
    assert len(cell.context.waits) == most
    early = cell.engine.tick().replies
    assert [envelope[0] for envelope, _message in early] == [b"0", b"1", b"2"]


def test_a_list_goes_on_behind_a_request_by_each_of_its_ids(cell: Cell) -> None:
    cell.hello()
    first, second = (cell.clone(name, memory_mib=16) for name in ("vm0", "vm1"))
    joined = clone("vm1", memory_mib=16)
    assert cell.ask("submit", **joined)[1]["request"].id == second.id
    for before in (second.id, joined["id"]):
        assert names(cell.ask("list", before=before)[1]) == [first.name]
    # An empty answer would say that there are no others.
    assert cell.ask("list", before=new_request_id())[1]["code"] == "request_unknown"


def test_what_makes_no_sense_of_a_list_is_refused(cell: Cell) -> None:
    for body, text in (
        ({"after": 1, "before": new_request_id()}, "list.before: not together with after"),
        ({"wait_s": 1}, "list.wait_s: only together with after"),
    ):
        kind, answer = cell.ask("list", **body)
        assert (kind, answer["text"]) == ("error", text)


def test_a_tail_of_one_vm_goes_through_its_own_requests_only(cell: Cell) -> None:
    cell.hello()
    cell.clone("vm0", memory_mib=16)
    steps: list[None] = []
    needed = []
    for name in ("one", "many"):
        cell.journal._db._db.set_progress_handler(lambda: steps.append(None), 1)
        assert names(cell.ask("list", name="vm0", after=0)[1]) == ["vm0"]
        cell.journal._db._db.set_progress_handler(None, 1)
        needed.append(len(steps))
        steps.clear()
        if name == "one":
            for number in range(1, 40):
                request = cell.clone(f"vm{number}", memory_mib=16)
                cell.ask("result", host="kvm0", id=request.id, state="cancelled")
    assert needed[1] < needed[0] + 40
