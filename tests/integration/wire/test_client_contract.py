# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Client does, whether a real client worker or the fake of the unit tests is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from maglica.config.config import Config, Library
from maglica.model import errors
from maglica.model.request import CloneMode, Failure, HostStatus, Request, State, new_request_id
from maglica.verbs.clone import CloneSpec
from maglica.verbs.start import StartSpec
from maglica.wire.client import Client
from support.client_worker import Host, Worker
from support.fake_client import FakeClient
from support.reports import IMAGE, report, vm

SPEC = CloneSpec(name="vm0.example.jp", image=IMAGE)
HOSTS = ("kvm0.example.jp", "kvm1.example.jp")
FAILURE = Failure("storage_failed", "cannot clone vm0.example.jp on host kvm0.example.jp: no")


class World(Protocol):
    """A client and the means to move a request on."""

    client: Client

    def run(self, request: Request) -> None: ...
    def end(self, request: Request, state: State) -> None: ...


class RealWorld:
    def __init__(self, worker: Worker) -> None:
        worker.grant("client", "admin")
        (key,) = worker.folder.glob("client.admin.*.key")
        self.client = Client(Config(worker.config_file, worker.where, library=Library(key)))
        self._hosts = {name: worker.host(name) for name in HOSTS}
        for host in self._hosts.values():
            host.hello()

    def _host(self, request: Request) -> Host:
        return self._hosts[request.host or ""]

    def run(self, request: Request) -> None:
        self._host(request).tell("ack", request)
        self._host(request).tell("progress", request, phase="copy", phases=[])

    def end(self, request: Request, state: State) -> None:
        body = {
            State.DONE: {"vm": vm(request)},
            State.FAILED: {"failure": FAILURE},
            State.CANCELLED: {},
        }
        self._host(request).tell("result", request, state=state, **body[state])


class FakeWorld:
    def __init__(self) -> None:
        self.client = FakeClient(HostStatus(name, True, 1.0, 1.0, report()) for name in HOSTS)

    def run(self, request: Request) -> None:
        self.client.change(request, state=State.RUNNING, phase="copy")

    def end(self, request: Request, state: State) -> None:
        result = {
            State.DONE: {"vm": vm(request)},
            State.FAILED: {"failure": FAILURE},
            State.CANCELLED: {},
        }
        self.client.change(request, state=state, phase=None, **result[state])


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
        return
    worker = Worker(tmp_path)
    try:
        worker.start()
        real = RealWorld(worker)
        with real.client:
            yield real
    finally:
        worker.close()


def test_a_new_request_is_open_and_placed(world: World) -> None:
    request = world.client.submit(SPEC)
    assert request.state in (State.QUEUED, State.SENT)
    assert (request.kind, request.spec, request.who) == ("clone", SPEC, "admin")
    assert request.host in HOSTS
    assert world.client.status(request.id).id == request.id


def test_the_same_id_is_the_same_request(world: World) -> None:
    request = world.client.submit(SPEC, new_request_id())
    assert world.client.submit(SPEC, request.id).id == request.id
    with pytest.raises(errors.RequestConflict):
        world.client.submit(replace(SPEC, vcpus=7), request.id)
    assert len(world.client.list()) == 1


def test_an_equal_clone_joins_the_open_one(world: World) -> None:
    request = world.client.submit(SPEC)
    other = new_request_id()
    assert world.client.submit(SPEC, other).id == request.id
    assert world.client.status(other).id == request.id
    assert world.client.submit(replace(SPEC, host=request.host)).id == request.id
    assert len(world.client.list()) == 1


def test_another_clone_of_that_name_is_refused(world: World) -> None:
    request = world.client.submit(SPEC)
    (other,) = set(HOSTS) - {request.host}
    for spec in (replace(SPEC, clone_mode=CloneMode.FULL), replace(SPEC, host=other)):
        with pytest.raises(errors.NameTaken):
            world.client.submit(spec)
        with pytest.raises(errors.NameTaken):
            world.client.plan(spec)
    with pytest.raises(errors.NameTaken):
        world.client.submit(replace(SPEC, name=IMAGE))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"image": "other.original"}, errors.ImageUnknown),
        ({"host": "kvm9.example.jp"}, errors.HostUnknown),
        ({"memory_mib": 1 << 20}, errors.NoRoom),
    ],
)
def test_a_clone_that_fits_nowhere_is_refused(
    world: World, change: dict[str, object], error: type[errors.MaglicaError]
) -> None:
    for ask in (world.client.plan, world.client.submit):
        with pytest.raises(error):
            ask(replace(SPEC, **change))
    assert world.client.list() == ()


def test_a_plan_says_where_and_changes_nothing(world: World) -> None:
    planned = world.client.plan(SPEC)
    assert planned.load > 0
    assert world.client.list() == ()
    assert world.client.submit(SPEC).host == planned.host
    assert world.client.plan(SPEC).host == planned.host


def test_an_act_on_a_vm_goes_to_its_host(world: World) -> None:
    spec = StartSpec("vm1", "0b2c3c1e-6a3f-4b0e-9d5c-1f2a3b4c5d6e", HOSTS[1])
    assert world.client.submit(spec).host == HOSTS[1]
    with pytest.raises(errors.HostUnknown):
        world.client.submit(replace(spec, host="kvm9.example.jp"))


def test_an_unknown_request_is_told(world: World) -> None:
    unknown = new_request_id()
    for ask in (world.client.status, world.client.cancel, lambda id_: world.client.wait(id_, 1)):
        with pytest.raises(errors.RequestUnknown):
            ask(unknown)


def test_the_list_is_newest_first_and_can_be_narrowed(world: World) -> None:
    ids = [
        world.client.submit(replace(SPEC, name=f"vm{number}.example.jp")).id for number in range(3)
    ]
    assert [request.id for request in world.client.list()] == ids[::-1]
    assert [request.id for request in world.client.list(limit=1)] == ids[2:]
    assert [request.id for request in world.client.list(name="vm1.example.jp")] == [ids[1]]
    world.end(world.client.status(ids[0]), State.DONE)
    assert [request.id for request in world.client.list([State.DONE])] == [ids[0]]
    open_states = [State.QUEUED, State.SENT, State.RUNNING]
    assert [request.id for request in world.client.list(open_states)] == [ids[2], ids[1]]


def test_a_cancel_is_passed_on_and_ends_with_the_host_s_result(world: World) -> None:
    request = world.client.submit(SPEC)
    world.run(request)
    cancelled = world.client.cancel(request.id)
    assert cancelled.cancelling
    assert cancelled.state is State.RUNNING
    assert world.client.cancel(request.id).version == cancelled.version
    with pytest.raises(errors.NameTaken):
        world.client.submit(SPEC)
    world.end(request, State.CANCELLED)
    ended = world.client.wait(request.id, 10)
    assert ended.state is State.CANCELLED
    assert world.client.cancel(request.id) == ended


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_wait_returns_how_it_ended(world: World, state: State) -> None:
    request = world.client.submit(SPEC)
    world.run(request)
    world.end(request, state)
    seen: list[Request] = []
    ended = world.client.wait(request.id, 10, seen.append)
    assert ended.state is state
    assert seen[-1] == ended
    assert ended.failure == (FAILURE if state is State.FAILED else None)
    assert ended.vm == (vm(request) if state is State.DONE else None)
    assert ended.phase is None
    assert world.client.status(request.id) == ended


def test_wait_ends_with_its_time(world: World) -> None:
    request = world.client.submit(SPEC)
    world.run(request)
    seen: list[Request] = []
    with pytest.raises(errors.RequestTimeout, match=r"still running.*; it goes on"):
        world.client.wait(request.id, 0, seen.append)
    assert [(each.state, each.phase) for each in seen] == [(State.RUNNING, "copy")]


def test_a_name_is_free_again_after_a_failure(world: World) -> None:
    request = world.client.submit(SPEC)
    world.end(request, State.FAILED)
    assert world.client.submit(SPEC).id != request.id


def test_hosts_are_told_by_name_with_their_reports(world: World) -> None:
    hosts = world.client.hosts()
    assert [status.host for status in hosts] == list(HOSTS)
    assert all(status.alive and status.weight == 1 and status.seen for status in hosts)
    assert [status.report for status in hosts] == [report()] * 2


def listed(*names: str, **changes: object) -> list[Request]:
    return [Request(new_request_id(), replace(SPEC, name=name, **changes)) for name in names]


def test_a_list_is_accepted_as_a_whole(world: World) -> None:
    asked = listed("vm1.example.jp", "vm2.example.jp")
    planned = world.client.plan_all([each.spec for each in asked])
    assert {each.host for each in planned} <= set(HOSTS)
    assert world.client.list() == ()
    accepted = world.client.submit_all(asked)
    assert [(each.id, each.name) for each in accepted] == [(each.id, each.name) for each in asked]
    again = world.client.submit_all([*asked, *listed("vm3.example.jp")])
    assert [each.id for each in again[:2]] == [each.id for each in asked]
    assert len(world.client.list()) == 3


def test_of_a_list_that_does_not_fit_nothing_is_accepted(world: World) -> None:
    asked = listed("vm1.example.jp", "vm2.example.jp", IMAGE)
    with pytest.raises(errors.NameTaken):
        world.client.submit_all(asked)
    with pytest.raises(errors.NameTaken):
        world.client.plan_all([each.spec for each in asked])
    with pytest.raises(errors.NoRoom):
        world.client.submit_all(listed("vm1.example.jp", memory_mib=1 << 20))
    assert world.client.list() == ()
    with pytest.raises(errors.RequestUnknown):
        world.client.status(asked[0].id)


def test_many_are_waited_for_together(world: World) -> None:
    first, second = world.client.submit_all(listed("vm1.example.jp", "vm2.example.jp"))
    world.end(first, State.FAILED)
    world.run(second)
    seen: list[Request] = []
    found = world.client.wait_all([first.id, second.id], 0, seen.append)
    assert found[first.id].failure == FAILURE
    assert found[second.id].state is State.RUNNING
    assert sorted(each.id for each in seen) == sorted(found)
    world.end(second, State.DONE)
    found = world.client.wait_all([first.id, second.id], 10)
    assert [found[each.id].state for each in (first, second)] == [State.FAILED, State.DONE]
    assert world.client.wait_all([], 10) == {}
    with pytest.raises(errors.RequestUnknown):
        world.client.wait_all([new_request_id()], 10)
