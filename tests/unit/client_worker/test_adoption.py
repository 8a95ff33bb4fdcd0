# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts tell of requests that a journal does not know: it is new, or a copy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from maglica.client_worker import adoption
from maglica.model.moment import Moment
from maglica.model.plain import plain
from maglica.model.request import Failure, Request, State, User, new_request_id
from maglica.model.vm import Domain, Interface
from maglica.verbs.clone import CloneSpec
from maglica.verbs.start import StartSpec
from maglica.wire import features
from support.reports import clone, image, made, report, vm

if TYPE_CHECKING:
    from .conftest import Cell

BOTH = frozenset({"kvm0", "kvm1"})
HASH = "$6$saltsalt$" + "x" * 86


def asked(name: str = "vm0", host: str = "kvm0", **fields: Any) -> Request:
    """A clone as a host has it in its journal."""
    spec = replace(clone(name)["spec"], **fields)
    return Request(new_request_id(), spec, State.RUNNING, host, "alice", created=Moment(500))


def tell(cell: Cell, kind: str, request: Request, **body: Any) -> tuple[str, dict[str, Any]]:
    told = features.known_to((), plain(request))
    return cell.ask(kind, host=request.host, id=request.id, request=told, **body)


def shown(cell: Cell, request: Request) -> Request:
    found: Request = cell.ask("status", id=request.id)[1]["request"]
    return found


def hello(cell: Cell, host: str, said: Any = None, **body: Any) -> dict[str, Any]:
    entries = [{"id": each, "state": state} for each, state in body.pop("held", {}).items()]
    message = {"host": host, "report": said or report(), "requests": entries, **body}
    kind, answer = cell.ask("hello", **message, features=features.OWN)
    assert kind == "welcome", answer
    return answer


def test_what_is_not_told_wholly_stays_unknown(cell: Cell) -> None:
    for kind, more in (("ack", {}), ("result", {"state": "cancelled"})):
        answer = cell.ask(kind, host="kvm0", id=new_request_id(), **more)[1]
        assert answer["code"] == "request_unknown"


def test_what_is_under_way_is_known_again_and_holds_its_name_and_room(cell: Cell) -> None:
    request = asked(root_password=HASH)
    hello(cell, "kvm0", held={request.id: "running"})
    assert tell(cell, "ack", request)[0] == "ok"
    found = shown(cell, request)
    assert (found.state, found.host, found.who) == (State.RUNNING, "kvm0", "alice")
    assert found.created == 500.0
    assert cell.reserved()[0] > 0
    assert cell.context.strays == {}
    # Whoever submits it again, secrets and all, gets it; nobody else gets its name.
    again = cell.ask("submit", id=request.id, kind="clone", spec=plain(request.spec))[1]["request"]
    assert again.id == request.id
    assert cell.ask("submit", **clone("vm0", image="other"))[1]["code"] == "name_taken"
    cell.ask("result", host="kvm0", id=request.id, state="done", vm=plain(vm(found)))
    assert shown(cell, request).state is State.DONE


def test_no_host_makes_up_a_version_that_can_not_be_read_again(cell: Cell) -> None:
    cell.hello("kvm0")
    request = replace(asked(), version=1 << 53)
    assert tell(cell, "ack", request)[0] == "ok"
    about = {"host": "kvm0", "id": request.id}
    assert cell.ask("progress", **about, phase="base", phases=[])[0] == "ok"
    assert [each.id for each in cell.ask("list")[1]["requests"]] == [request.id]
    cell.reopen()
    assert shown(cell, request).phase == "base"


def test_what_has_ended_is_in_the_list_with_its_result(cell: Cell) -> None:
    request = asked(root_password=HASH)
    told = replace(request, spec=request.spec.without_secrets(), state=State.DONE)
    cell.hello("kvm0")
    end = {"state": "done", "vm": plain(vm(request)), "ended": "1970-01-01T00:10:00.000000Z"}
    assert tell(cell, "result", told, **end)[0] == "ok"
    (found,) = cell.ask("list")[1]["requests"]
    assert (found.id, found.state, found.updated) == (request.id, State.DONE, 600.0)
    assert found.vm is not None and found.vm.name == "vm0"
    # With the secrets that its host has wiped.
    again = cell.ask("submit", id=request.id, kind="clone", spec=plain(request.spec))[1]["request"]
    assert again.state is State.DONE
    other = replace(request.spec, image="other")
    refusal = cell.ask("submit", id=request.id, kind="clone", spec=plain(other))[1]
    assert refusal["code"] == "request_conflict"
    assert "by the word of host kvm0 alone" in refusal["text"]
    # It is over: what its vm was called is free again, for it was removed since.
    assert cell.clone("vm0").state is State.QUEUED


def test_who_waits_for_it_is_answered(cell: Cell) -> None:
    request = replace(asked(), state=State.FAILED)
    failure = plain(Failure("no_room", "kvm0 is full"))
    cell.hello("kvm0")
    tell(cell, "result", request, state="failed", failure=failure)
    answer = cell.ask("wait", id=request.id, version=99, wait_s=9)[1]
    assert answer["request"].failure == Failure("no_room", "kvm0 is full")
    # Its secrets may have been wiped, so that it can't be tried again as it was.
    refusal = cell.ask("submit", id=new_request_id(), again=request.id)[1]
    assert refusal["code"] == "again_refused"


def test_what_never_has_secrets_can_be_tried_again(cell: Cell) -> None:
    spec = StartSpec("vm0", "5e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11", "kvm0")
    request = Request(new_request_id(), spec, State.FAILED, "kvm0", "alice")
    cell.hello("kvm0")
    failure = plain(Failure("error", "no"))
    assert tell(cell, "result", request, state="failed", failure=failure)[0] == "ok"
    again = cell.ask("submit", id=new_request_id(), again=request.id)[1]["request"]
    assert again.spec == spec


def test_a_clone_that_a_host_makes_up_is_not_tried_again_elsewhere(cell: Cell) -> None:
    # Whose keys and passwords it has, only that host says, and its place may be any host.
    request = asked(ssh_authorized_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBo mallory",))
    cell.hello("kvm0")
    assert tell(cell, "ack", request)[0] == "ok"
    failure = plain(Failure("error", "try again"))
    cell.ask("result", host="kvm0", id=request.id, state="failed", failure=failure)
    refusal = cell.ask("submit", id=new_request_id(), again=request.id)[1]
    assert refusal["code"] == "again_refused"


def test_a_host_that_makes_up_a_peer_says_nothing_of_its_vms(cell: Cell) -> None:
    theirs = made(asked("db0", "kvm1"))
    cell.hello("kvm0")
    cell.hello("kvm1", report(theirs))
    request = replace(asked(), spec=StartSpec("db0", theirs.uuid, "kvm0"), peer="kvm1")
    assert tell(cell, "ack", request)[0] == "ok"
    lie = Domain("db0", theirs.uuid, "kvm1", "shutoff", False)
    end = {"state": "done", "vm": plain(lie), "ended": "2100-01-01T00:00:00.000000Z"}
    answer = cell.ask("result", host="kvm0", id=request.id, **end)[1]
    assert answer.get("code") == "message_invalid"
    assert cell.context.hosts.news() == {}


@pytest.mark.parametrize("changes", [{"host": "kvm1"}, {"id": new_request_id()}])
def test_a_host_tells_its_own_only(cell: Cell, changes: dict[str, Any]) -> None:
    request = asked()
    told = features.known_to((), plain(replace(request, **changes)))
    answer = cell.ask("ack", host="kvm0", id=request.id, request=told)[1]
    assert answer["code"] == "message_invalid"
    assert cell.ask("list")[1]["requests"] == ()


def test_a_result_that_makes_no_sense_brings_nothing_in(cell: Cell) -> None:
    cell.hello("kvm0")
    assert tell(cell, "result", asked(), state="done")[1]["code"] == "message_invalid"
    assert cell.ask("list")[1]["requests"] == ()


def test_two_vms_of_one_name_are_not_under_way(cell: Cell) -> None:
    cell.hello("kvm0")
    first = cell.clone("vm0")
    other = asked()
    refusal = tell(cell, "ack", other)[1]
    assert refusal["code"] == "name_taken"
    assert first.id in refusal["text"]
    # Of one that has ended it is no matter, and the name stays that of the first.
    assert tell(cell, "result", other, state="cancelled")[0] == "ok"
    assert cell.ask("submit", **clone("vm0", image="other"))[1]["code"] == "name_taken"


def test_no_host_fills_the_journal(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "ROOM", 2000)
    cell.hello("kvm0")
    codes = [tell(cell, "ack", asked(f"vm{number}"))[1].get("code") for number in range(9)]
    assert codes[0] is None
    assert codes[-1] == "limit_exceeded"


def test_no_host_fills_the_journal_with_results(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "ROOM", 50_000)
    cell.hello("kvm0")
    crowded = (Interface("52:54:00:00:00:01", "n" * 200, ("a" * 60,) * 64),) * 4
    codes = []
    for number in range(3):
        request = asked(f"vm{number}")
        assert tell(cell, "ack", request)[0] == "ok"
        made_up = plain(replace(vm(request), interfaces=crowded))
        answer = cell.ask("result", host="kvm0", id=request.id, state="done", vm=made_up)[1]
        codes.append(answer.get("code"))
    assert codes == [None, None, "limit_exceeded"]


def test_a_request_that_is_too_long_to_show_is_not_taken_in(cell: Cell) -> None:
    cell.hello("kvm0")
    request = asked(ssh_authorized_keys=("ssh-ed25519 " + "A" * 8000,) * 64)
    request = replace(
        request,
        spec=replace(
            request.spec,
            user=User("bob", ssh_authorized_keys=request.spec.ssh_authorized_keys[:40]),
        ),
    )
    assert tell(cell, "ack", request)[1]["code"] == "message_invalid"
    assert cell.ask("list")[1]["requests"] == ()


def test_clones_wait_until_each_host_has_told_all(cell: Cell) -> None:
    cell.configured = BOTH
    cell.reopen()
    request = asked("vm9", "kvm1")
    journal = hello(cell, "kvm0")["journal"]
    hello(cell, "kvm0", journal=journal)
    first = hello(cell, "kvm1", held={request.id: "running"})
    assert first["journal"] == journal
    # It may have requests that have ended, of which no hello tells before it knows this journal.
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "not_ready"
    hello(cell, "kvm1", held={request.id: "running"}, journal=journal)
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "not_ready"
    tell(cell, "ack", request)
    ended = replace(asked("vm8", "kvm1"), state=State.CANCELLED)
    held = {request.id: "running", ended.id: "cancelled"}
    hello(cell, "kvm1", held=held, journal=journal)
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "not_ready"
    tell(cell, "result", ended, state="cancelled")
    hello(cell, "kvm1", held=held, journal=journal)
    assert cell.clone("vm0").state is State.QUEUED


def test_on_the_first_day_the_first_hello_is_enough(cell: Cell) -> None:
    cell.configured = frozenset({"kvm0"})
    cell.reopen()
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "not_ready"
    hello(cell, "kvm0")
    assert cell.clone("vm0").state is State.QUEUED


def test_where_hosts_have_vms_of_an_earlier_journal_all_are_waited_for(cell: Cell) -> None:
    cell.configured = BOTH
    cell.reopen()
    cell.hello("kvm0", report(image(), made(asked("vm1"))))
    cell.now += 100.0
    cell.hello("kvm0", report(image(), made(asked("vm1"))))
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "not_ready"
    cell.hello("kvm1")
    assert cell.clone("vm0").state is State.QUEUED


def test_a_host_that_registers_with_a_new_journal_is_waited_for(cell: Cell) -> None:
    cell.configured = frozenset({"kvm0"})
    cell.reopen()
    cell.hello("kvm0", report(image(), made(asked("vm1"))))
    cell.engine.admit(frozenset({"kvm0", "kvm1"}))
    assert "there is on kvm1," in cell.ask("submit", **clone("vm0"))[1]["text"]
    # Until it has lost its key.
    cell.engine.admit(frozenset({"kvm0"}))
    cell.clone("vm0")
    # From now on others only add to what is known.
    cell.engine.admit(frozenset({"kvm0", "kvm2"}))
    cell.clone("vm2")


def test_on_the_first_day_nobody_is_waited_for_who_registers(cell: Cell) -> None:
    cell.hello("kvm0")
    cell.engine.admit(frozenset({"kvm0", "kvm1"}))
    first = cell.clone("vm0")
    # Nor when there is a vm that this journal itself has had made.
    cell.hello("kvm0", report(image(), made(first)))
    assert (first.host, cell.clone("vm1").host) == ("kvm0", "kvm0")


def test_a_repetition_goes_to_the_host_that_has_its_vm(cell: Cell) -> None:
    request = asked("vm0", "kvm1")
    roomy = report(image(), memory_total_mib=1 << 20, memory_free_mib=1 << 20)
    cell.hello("kvm0", roomy)
    cell.hello("kvm1", report(image(), made(request)))
    assert isinstance(request.spec, CloneSpec)
    assert cell.ask("submit", **clone("vm0"))[1]["code"] == "name_taken"
    assert cell.clone("vm0", request_id=request.id).host == "kvm1"


@pytest.mark.parametrize("spec", [None, StartSpec("vm0", new_request_id(), "kvm0")])
def test_no_host_loses_its_work_by_what_another_one_says(cell: Cell, spec: Any) -> None:
    """Whichever of them speaks the truth, and however often the client worker is started."""
    request = asked()
    if spec is not None:
        request = replace(request, spec=spec)
    hello(cell, "kvm0")
    assert tell(cell, "ack", request)[0] == "ok"
    for _time in range(2):
        assert hello(cell, "kvm1", held={request.id: "running"})["cancel"] == ()
        ((_peer, answer),) = cell.send("hosts", features=list(features.OWN)).replies
        (problem,) = answer.body["client_worker"]["problems"]
        assert problem.startswith(f"hosts kvm0 and kvm1 both say that request {request.id}")
        # It says nothing of it that counts.
        refusal = cell.ask("result", host="kvm1", id=request.id, state="cancelled")[1]
        assert refusal["code"] == "access_denied"
        assert shown(cell, request).host == "kvm0"
        cell.reopen()
    hello(cell, "kvm1")
    assert cell.context.contested == {}


def test_nor_by_what_it_has_under_way_when_that_is_repeated(cell: Cell) -> None:
    request = asked("vm0", "kvm1")
    hello(cell, "kvm0", held={request.id: "running"})
    hello(cell, "kvm1", held={request.id: "running"})
    # It is the first one's, and the second one takes nothing away, of whichever they are.
    assert cell.clone("vm0", request_id=request.id).host == "kvm0"
    assert hello(cell, "kvm1", held={request.id: "running"})["cancel"] == ()
    # Nor by a vm that is shown.
    request = asked("vm1", "kvm1")
    hello(cell, "kvm0", report(image(), made(request)))
    assert cell.clone("vm1", request_id=request.id).host == "kvm0"
    assert hello(cell, "kvm1", held={request.id: "running"})["cancel"] == ()


def test_who_wants_a_certain_host_gets_no_other(cell: Cell) -> None:
    request = asked("vm0", "kvm1")
    hello(cell, "kvm1")
    hello(cell, "kvm0", held={request.id: "running"})
    accepted = cell.clone("vm0", request_id=request.id, host="kvm1")
    assert accepted.host == "kvm1"
    assert hello(cell, "kvm0", held={request.id: "running"})["cancel"] == (request.id,)
    assert hello(cell, "kvm1", held={request.id: "running"})["cancel"] == ()


def test_what_never_has_secrets_is_the_same_when_it_is_repeated(cell: Cell) -> None:
    request = asked()
    hello(cell, "kvm0", held={request.id: "running"})
    assert cell.clone("vm0", request_id=request.id).host == "kvm0"
    cell.reopen()
    hello(cell, "kvm0", held={request.id: "running"})
    assert cell.clone("vm0", request_id=request.id).host == "kvm0"
