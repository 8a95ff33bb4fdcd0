# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is accepted, refused, joined, cancelled and delivered again."""

from __future__ import annotations

import re
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker.delivery import WINDOW
from maglica.model.plain import plain
from maglica.model.request import PoolSummary, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.stop import StopSpec
from support.client_worker import Host, Peer, Worker, eventually
from support.reports import GIB, IMAGE, clone, image, made, report


def test_submit_again_is_the_same_request(client: Peer, kvm0: Host) -> None:
    request_id = new_request_id()
    first = client.clone("vm0.example.jp", request_id, root_password="$6$salt$0123456789abcdef")
    again = client.clone("vm0.example.jp", request_id, root_password="$6$salt$0123456789abcdef")
    assert first.id == again.id == request_id
    assert "request_conflict" in client.clone_error("vm0.example.jp", request_id, vcpus=2)
    kvm0.done(first)
    ended = client.clone("vm0.example.jp", request_id, root_password="$6$salt$0123456789abcdef")
    assert ended.state is State.DONE
    assert len(client.ask("list")[1]["requests"]) == 1


def test_equal_clone_joins_the_open_one(worker: Worker, client: Peer, kvm0: Host) -> None:
    first = client.clone("vm0.example.jp")
    other = worker.peer("client", "other")
    mine = new_request_id()
    assert other.clone("vm0.example.jp", mine).id == first.id
    assert other.clone("vm0.example.jp", host=kvm0.name).id == first.id
    text = other.clone_error("vm0.example.jp", vcpus=2)
    assert text == (
        f"name_taken: cannot clone vm0.example.jp from {IMAGE}: request {first.id} of admin"
        " is making another vm of that name on host kvm0.example.jp"
    )
    kvm0.done(first)
    kvm0.hello(report(image(), made(first)))
    # The retry of a submit that has joined finds what it joined, also after that has ended.
    assert other.clone("vm0.example.jp", mine).state is State.DONE
    assert other.request("status", id=mine).id == first.id


def test_name_is_taken_until_the_vm_is_gone(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    kvm0.done(request)
    # The host's report is older than the result.
    taken = "host kvm0.example.jp has a domain of that name"
    assert taken in client.clone_error("vm0.example.jp")
    kvm0.hello(report(image(), made(request)))
    assert taken in client.clone_error("vm0.example.jp")
    remove = client.request(
        "submit",
        id=new_request_id(),
        kind="remove",
        spec=RemoveSpec("vm0.example.jp", vm_uuid(request.id), kvm0.name),
    )
    kvm0.tell("result", remove, state="done")
    second = client.clone("vm0.example.jp")
    kvm0.hello(report(image(), made(request)))
    assert client.request("cancel", id=second.id).cancelling


@pytest.mark.alone
def test_name_on_a_host_that_is_down_is_taken(tmp_path: Path) -> None:
    worker = Worker(tmp_path, host_timeout="2")
    try:
        worker.start()
        client, up, down = worker.peer("client", "a"), worker.host("up"), worker.host("down")
        down.hello(report(image(), image(name="vm0", uuid=new_request_id(), active=True)))
        eventually(lambda: "host down is down" in worker.log)
        up.hello()
        assert "host down has a domain of that name" in client.clone_error("vm0")
        worker.restart(signal.SIGTERM)
        client.disconnect()
        assert "host down has a domain of that name" in client.clone_error("vm0")
    finally:
        worker.close()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"image": "none"}, "image_unknown: cannot clone x from none: no host has an original"),
        ({"host": "kvm7"}, f"host_unknown: cannot clone x from {IMAGE}: no host kvm7 is known"),
        ({"image": "busy"}, "image_running: cannot clone x from busy: host kvm0.example.jp: the"),
        ({"memory_mib": 99999}, "no_room: .*host kvm0.example.jp: 99999 MiB of memory needed"),
        ({"clone_mode": "full"}, "no_room: .*pool default has 5.0 GiB free, 6.1 GiB needed"),
        ({"pool": "fast"}, "pool_unknown: .*there is no storage pool fast"),
        ({"interfaces": [{"network": "dmz"}]}, "network_unknown: .*there is no network dmz"),
        (
            {"name": "vm1.example.jp; reboot"},
            "message_invalid: submit.requests.0..spec.hostname: needed, .*valid host name",
        ),
    ],
)
def test_refused_submits(client: Peer, kvm0: Host, fields: dict[str, Any], error: str) -> None:
    busy = image(name="busy", uuid=new_request_id(), active=True)
    pools = (PoolSummary("default", 9 * GIB, 5 * GIB),)
    big = image(disk_bytes=3 * GIB)
    kvm0.hello(report(big, busy, pools=pools))
    body = plain(clone("x"))
    body["spec"].update(fields)
    if "interfaces" in fields:
        body["spec"]["interfaces"] = [
            {"addresses": [], "gateways": [], "nameservers": [], "search": [], **nic}
            for nic in fields["interfaces"]
        ]
    assert re.match(error, client.error("submit", **body))
    assert client.ask("list")[1]["requests"] == ()
    assert kvm0.hear(0.1) is None


@pytest.mark.alone
def test_host_down_is_refused_and_comes_back(tmp_path: Path) -> None:
    worker = Worker(tmp_path, host_timeout="2")
    try:
        worker.start()
        client, host = worker.peer("client", "a"), worker.host("kvm0")
        assert "image_unknown" in client.clone_error("vm0")
        host.hello()
        first = client.clone("vm0")
        eventually(lambda: "host kvm0 is down" in worker.log)
        assert "host_down" in client.clone_error("vm1")
        assert "host_down: cannot clone vm1" in client.clone_error("vm1", host="kvm0")
        spec = StopSpec("vm0", new_request_id(), "kvm0")
        stop = client.error("submit", id=new_request_id(), kind="stop", spec=spec)
        text = "host_down: cannot stop vm0 on host kvm0: its host worker does not answer"
        assert stop.startswith(text)
        # What was accepted waits for the host.
        assert [request.id for request in host.hello()["requests"]] == [first.id]
        assert client.clone("vm1").host == "kvm0"
    finally:
        worker.close()


def test_twenty_at_once_spread_by_weight_and_load(worker: Worker) -> None:
    hosts = [worker.host(f"kvm{number}") for number in range(2)]
    for host in hosts:
        host.listen()
        host.hello()
    clients = [worker.peer("client", "admin") for _turn in range(20)]
    with ThreadPoolExecutor(20) as threads:
        made_on = list(
            threads.map(lambda pair: pair[1].clone(f"vm{pair[0]}").host, enumerate(clients))
        )
    assert Counter(made_on) == {"kvm0": 10, "kvm1": 10}
    for host in hosts:
        heard: set[str] = set()
        while len(heard) < 10:
            request = host.heard_request()
            assert request.host == host.name
            heard.add(request.id)
        # What it has not acknowledged may come again, but nothing that is another's.
        assert {request.id for request in host.drained()} <= heard


def test_cancel_of_a_request_that_was_never_sent(worker: Worker, client: Peer, kvm0: Host) -> None:
    """A host gets a limited number ahead of its acknowledgements: the rest waits, unsent."""
    kvm0.hello(report(image(memory_mib=16, disk_bytes=0)))
    requests = [client.clone(f"vm{number}") for number in range(WINDOW + 1)]
    last = requests[-1]
    assert client.request("status", id=requests[0].id).state is State.SENT
    assert client.request("status", id=last.id).state is State.QUEUED
    cancelled = client.request("cancel", id=last.id)
    assert cancelled.state is State.CANCELLED
    assert cancelled.failure is not None
    assert cancelled.failure.text == (
        f"request {last.id} for {last.name} on host kvm0.example.jp was cancelled by admin"
    )
    assert last.id not in [request.id for request in kvm0.hello()["requests"]]


def test_cancel_of_a_sent_request(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    assert kvm0.heard_request().id == request.id
    cancelled = client.request("cancel", id=request.id)
    assert (cancelled.state, cancelled.cancelling) == (State.SENT, True)
    # The host may not have seen the request yet: it gets it again, and is told to cancel it. What
    # it does not acknowledge for a while comes again by itself.
    while not (again := kvm0.heard_request()).cancelling:
        pass
    assert again.id == request.id
    assert kvm0.hear() == ("cancel", {"id": request.id})
    kvm0.tell("ack", request)
    assert kvm0.hello(**{request.id: "running"})["cancel"] == (request.id,)
    # Until the host says so, it is not cancelled, and the name is not free.
    assert client.clone_error("vm0.example.jp") == (
        f"name_taken: cannot clone vm0.example.jp from {IMAGE}: request {request.id} of admin"
        " is making that vm on host kvm0.example.jp (being cancelled)"
    )
    kvm0.tell("result", request, state="cancelled")
    assert client.request("status", id=request.id).state is State.CANCELLED
    assert client.clone("vm0.example.jp").id != request.id


def test_cancel_of_a_running_request_is_repeated(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    kvm0.heard_request()
    kvm0.tell("ack", request)
    client.request("cancel", id=request.id)
    for _turn in range(2):
        # The request itself may have come again before it was acknowledged.
        eventually(lambda: kvm0.hear() == ("cancel", {"id": request.id}))
    kvm0.done(request)
    assert client.request("status", id=request.id).state is State.DONE
    assert client.request("cancel", id=request.id).state is State.DONE


def test_delivered_again_until_acknowledged(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    assert kvm0.heard_request().id == kvm0.heard_request().id == request.id
    kvm0.tell("ack", request)
    kvm0.drained()
    assert kvm0.hear(2.5) is None
    # A new subscription brings only what was not acknowledged.
    second = client.clone("vm1.example.jp")
    kvm0.deaf()
    kvm0.listen()
    assert kvm0.heard_request().id == second.id


def test_welcome_brings_what_a_host_does_not_have(client: Peer, kvm0: Host) -> None:
    requests = [client.clone(f"vm{number}") for number in range(3)]
    kvm0.tell("ack", requests[0])
    first, second, third = (request.id for request in requests)
    assert [r.id for r in kvm0.hello(**{first: "running"})["requests"]] == [second, third]
    # A host that has lost its journal gets what it had acknowledged again.
    assert [r.id for r in kvm0.hello()["requests"]] == [first, second, third]
    kvm0.hello(**{first: "running", second: "running", third: "done"})
    states = [client.request("status", id=request.id).state for request in requests]
    assert states == [State.RUNNING, State.RUNNING, State.SENT]


def test_result_must_be_of_that_request(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    for body, text in (
        ({"state": "running"}, "not the end of a request"),
        ({"state": "failed"}, "result.failure: missing"),
        ({"state": "done"}, "not the vm that this request makes"),
    ):
        assert text in kvm0.error("result", host=kvm0.name, id=request.id, **body)
    unknown = kvm0.error("result", host=kvm0.name, id=new_request_id(), state="cancelled")
    assert unknown.startswith("request_unknown")
    failure = {"code": "storage_failed", "text": "no space"}
    kvm0.tell("result", request, state="failed", failure=failure)
    failed = client.request("status", id=request.id)
    assert (failed.state, failed.failure.text) == (State.FAILED, "no space")


def test_wait_ends_at_its_timeout(client: Peer, kvm0: Host) -> None:
    request = client.clone("vm0.example.jp")
    kvm0.tell("ack", request)
    version = client.request("status", id=request.id).version
    answer = client.ask("wait", id=request.id, version=version, wait_s=1)
    assert (answer[0], answer[1]["requests"]) == ("requests", ())
    assert "request_unknown" in client.error("wait", id=new_request_id(), version=0, wait_s=1)


def test_list_by_state_name_and_limit(client: Peer, kvm0: Host) -> None:
    ids = [client.clone(f"vm{number}").id for number in range(4)]
    kvm0.tell("result", client.request("status", id=ids[0]), state="cancelled")

    def listed(**body: object) -> list[str]:
        return [request.id for request in client.ask("list", **body)[1]["requests"]]

    assert listed() == ids[::-1]
    assert listed(limit=2) == [ids[3], ids[2]]
    assert listed(states=["cancelled"]) == [ids[0]]
    assert listed(name="vm2") == [ids[2]]


def test_hosts_are_shown_in_pages(worker: Worker, client: Peer) -> None:
    domains = [image(name="d" * 300 + str(number), uuid=new_request_id()) for number in range(900)]
    for number in range(4):
        worker.host(f"kvm{number}").hello(report(*domains))
    names: list[str] = []
    more = True
    while more:
        page = client.ask("hosts", **({"after": names[-1]} if names else {}))[1]
        names += [status.host for status in page["hosts"]]
        more = page["more"]
        assert all(status.alive and len(status.report.domains) == 900 for status in page["hosts"])
    assert names == [f"kvm{number}" for number in range(4)]
