# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a vm: whether its host starts it, what it is for, whether it is protected."""

from __future__ import annotations

import pytest
from maglica.host_worker.job import main
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from maglica.verbs.remove import RemoveSpec
from maglica.verbs.set import SetSpec
from maglica.verbs.verb import Verb
from support.fake_host import FakeHost, Killed
from support.fake_libvirt import Domain, libvirtError

HOST = "kvm0.example.jp"
NAME = "vm0.example.jp"
ALL = {"autostart": True, "description": 'Say <hello>\nand "bye"', "protected": True}
NONE = {"autostart": False, "description": "", "protected": False}
DESTROYING = [verb for verb in table.VERBS if verb.destroys]


@pytest.fixture
def domain(host: FakeHost) -> Domain:
    host.add_image()
    (made,) = host.run(host.request(NAME))
    return host.connection.lookupByUUIDString(vm_uuid(made.id))


def asked(host: FakeHost, domain: Domain, **fields: object) -> Request:
    spec = SetSpec(NAME, domain.UUIDString(), HOST, **fields)
    return host.asked(spec)


def noted(request: Request) -> dict[str, object]:
    assert request.vm is not None, request.failure
    return {name: getattr(request.vm, name) for name in ALL}


def test_all_is_set_and_taken_back(host: FakeHost, domain: Domain) -> None:
    for fields, after in ((ALL, ALL), (NONE, {**NONE, "description": None})):
        assert noted(host.next_job(asked(host, domain, **fields))) == after
        host.connection.calls.clear()
        assert noted(host.next_job(asked(host, domain, **fields))) == after
        assert set(host.connection.calls) == {"lookupByUUIDString"}
    assert noted(host.next_job(asked(host, domain))) == {**NONE, "description": None}


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_asked_for_stays(host: FakeHost, domain: Domain, name: str) -> None:
    before = {**NONE, "description": None}
    assert noted(host.next_job(asked(host, domain, **{name: ALL[name]}))) == {
        **before,
        name: ALL[name],
    }
    assert noted(host.next_job(asked(host, domain, **ALL))) == ALL


@pytest.mark.parametrize("number", range(1, 6))
def test_killed_at_every_step(host: FakeHost, domain: Domain, number: int) -> None:
    request = asked(host, domain, **ALL)
    if host.dies(request, number):
        assert noted(host.next_job(request)) == ALL
    else:
        assert number == 5
    assert host.context.journal.intents(request.id) == ()


def test_a_transient_one_is_protected_all_the_same(host: FakeHost, domain: Domain) -> None:
    domain.persistent = False
    ended = host.next_job(asked(host, domain, protected=True, autostart=True))
    assert ended.failure is not None
    assert ended.failure.text == (
        f"cannot set {NAME} on host {HOST}: cannot set autostart for transient domain"
    )
    assert noted(host.next_job(asked(host, domain)))["protected"] is True


def test_a_clone_is_made_with_it(host: FakeHost) -> None:
    host.add_image()
    (made,) = host.run(host.request(NAME, **ALL))
    assert noted(made) == ALL
    (other,) = host.run(host.request("vm1.example.jp"))
    assert noted(other) == {**NONE, "description": None}


def test_a_clone_whose_autostart_fails_is_undone(host: FakeHost) -> None:
    host.add_image()
    empty = host.volumes()
    host.connection.failures["setAutostart"] = [libvirtError("read-only file system")]
    (made,) = host.run(host.request(NAME, autostart=True, protected=True))
    assert made.failure is not None
    assert made.failure.text.endswith(f"start {NAME} on host {HOST}: read-only file system")
    assert host.clones() == []
    assert len(host.volumes()) == len(empty) + len(host.bases())


def test_there_are_verbs_that_destroy() -> None:
    assert "remove" in [verb.name for verb in DESTROYING]


@pytest.mark.parametrize("verb", DESTROYING, ids=lambda verb: verb.name)
@pytest.mark.parametrize("active", [True, False])
def test_a_protected_one_is_refused_by_the_host_itself(
    host: FakeHost, domain: Domain, verb: Verb, active: bool
) -> None:
    host.next_job(asked(host, domain, protected=True))
    domain.active = active
    before = (host.volumes(), domain.xml)
    spec = verb.spec(NAME, domain.UUIDString(), HOST)
    request = Request(new_request_id(), spec, host=HOST, who="mallory")
    host.context.journal.accept([request])
    host.connection.calls.clear()
    ended = host.next_job(request)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.text) == (
        "vm_protected",
        f"cannot {verb.name} {NAME} on host {HOST}: it is protected; protected=false, or maglica vm"
        " set --no-protected, ends that",
    )
    assert (host.volumes(), domain.xml, domain.active) == (*before, active)
    assert set(host.connection.calls) == {"lookupByUUIDString"}
    assert host.context.journal.intents(request.id) == ()
    host.next_job(asked(host, domain, protected=False))
    again = Request(new_request_id(), spec, host=HOST, who="alice")
    host.context.journal.accept([again])
    assert host.next_job(again).state is State.DONE


def test_one_that_is_protected_while_its_removal_is_under_way_keeps_all(
    host: FakeHost, domain: Domain
) -> None:
    """Its job has died when it had announced the files, and not yet undefined the domain."""
    removal = Request(new_request_id(), RemoveSpec(NAME, domain.UUIDString(), HOST), host=HOST)
    host.context.journal.accept([removal])
    host.context = host.new_context()
    host.connection.failures["destroy"] = [Killed()]  # type: ignore[list-item]
    with pytest.raises(Killed):
        main.run([removal.id], host.context)
    assert host.context.journal.intents(removal.id)
    protect = asked(host, domain, protected=True)
    assert host.next_job(protect).state is State.DONE
    volumes = host.volumes()
    ended = host.next_job(removal)
    assert ended.failure is not None
    assert ended.failure.code == "vm_protected"
    assert (host.volumes(), host.clones()) == (volumes, [NAME])
    assert host.context.journal.intents(removal.id) == ()
