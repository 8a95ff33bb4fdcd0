# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Vms that run, are paused, off or started anew, from each state, and killed at each step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from maglica.host_worker.job.vm import existing
from maglica.model.request import Request, State
from maglica.model.vm import vm_uuid
from maglica.verbs import table
from support import fake_libvirt
from support.fake_host import FakeHost
from support.fake_libvirt import Domain, libvirtError

HOST = "kvm0.example.jp"
NAME = "vm0.example.jp"
STATES = {
    "running": fake_libvirt.RUNNING,
    "paused": fake_libvirt.PAUSED,
    "suspended": fake_libvirt.SUSPENDED,
    "crashed": fake_libvirt.CRASHED,
    "stopped": fake_libvirt.SHUTOFF,
}
AFTER = {"start": "running", "pause": "paused", "stop": "stopped", "restart": "running"}
# What libvirt is asked for, beside being looked at; "shutdown" is the power button.
CALLS = {
    ("start", "running"): [],
    ("start", "paused"): ["resume"],
    ("start", "suspended"): ["pMWakeup"],
    ("start", "crashed"): ["destroy", "create"],
    ("start", "stopped"): ["create"],
    ("pause", "running"): ["suspend"],
    ("pause", "paused"): [],
    ("pause", "suspended"): ["pMWakeup", "suspend"],
    ("pause", "crashed"): ["destroy", "createWithFlags"],
    ("pause", "stopped"): ["createWithFlags"],
    ("stop", "running"): ["shutdown"],
    ("stop", "paused"): ["resume", "shutdown"],
    ("stop", "suspended"): ["pMWakeup", "shutdown"],
    ("stop", "crashed"): ["destroy"],
    ("stop", "stopped"): [],
    ("restart", "running"): ["shutdown", "create"],
    ("restart", "paused"): ["resume", "shutdown", "create"],
    ("restart", "suspended"): ["pMWakeup", "shutdown", "create"],
    ("restart", "crashed"): ["destroy", "create"],
    ("restart", "stopped"): ["create"],
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(existing, "POLL_SECONDS", 0.01)


@pytest.fixture
def domain(host: FakeHost) -> Iterator[Domain]:
    """A vm that Maglica made, running."""
    host.add_image()
    (made,) = host.run(host.request(NAME))
    assert made.state is State.DONE
    yield host.connection.lookupByUUIDString(vm_uuid(made.id))
    assert host.clones() in ([NAME], [])


def bring_to(domain: Domain, state: str) -> None:
    domain.active, domain.guest = state != "stopped", STATES[state]


def asked(host: FakeHost, kind: str, domain: Domain, **fields: object) -> Request:
    spec = table.named(kind).spec(NAME, domain.UUIDString(), HOST, **fields)
    return host.asked(spec)


def state_of(domain: Domain) -> str:
    return {number: name for name, number in STATES.items()}[domain.state()[0]]


def calls(host: FakeHost) -> list[str]:
    return [name for name in host.connection.calls if not name.startswith("lookup")]


@pytest.mark.parametrize(("kind", "state"), CALLS)
def test_each_verb_from_each_state(host: FakeHost, domain: Domain, kind: str, state: str) -> None:
    bring_to(domain, state)
    host.connection.calls.clear()
    ended = host.next_job(asked(host, kind, domain))
    assert ended.state is State.DONE, ended.failure
    assert calls(host) == CALLS[kind, state]
    assert state_of(domain) == ended.vm.state == AFTER[kind]
    assert ended.vm.active == (kind != "stop")
    # There is nothing left to do but for a restart, which is one each time.
    host.connection.calls.clear()
    again = host.next_job(asked(host, kind, domain))
    assert (again.state, state_of(domain)) == (State.DONE, AFTER[kind])
    assert (calls(host) == []) == (kind != "restart")


def test_all_verbs_and_states_are_there() -> None:
    assert set(CALLS) == set(itertools.product(AFTER, STATES))


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize(("kind", "state"), CALLS)
def test_killed_at_every_step(
    host: FakeHost, domain: Domain, kind: str, state: str, number: int
) -> None:
    bring_to(domain, state)
    started = domain.runs
    request = asked(host, kind, domain)
    ended = host.next_job(request) if host.dies(request, number) else host.now(request)
    assert ended.state is State.DONE, ended.failure
    assert state_of(domain) == AFTER[kind]
    assert host.context.journal.intents(request.id) == ()
    # Whatever it died of, it is started once at most.
    assert domain.runs - started == sum("create" in name for name in CALLS[kind, state])


def test_the_steps_above_are_all(host: FakeHost, domain: Domain) -> None:
    most = 0
    for kind, state in CALLS:
        bring_to(domain, state)
        host.events = 0
        host.next_job(asked(host, kind, domain))
        most = max(most, host.events)
    assert most == 6 - 1


@pytest.mark.parametrize("kind", ["start", "pause", "restart"])
def test_what_is_transient_and_has_crashed_is_left_as_it_is(
    host: FakeHost, domain: Domain, kind: str
) -> None:
    bring_to(domain, "crashed")
    domain.persistent = False
    ended = host.next_job(asked(host, kind, domain))
    assert ended.failure is not None
    assert ended.failure.text == (
        f"cannot {kind} {NAME} on host {HOST}: it is transient, and would be gone when it is off"
    )
    assert state_of(domain) == "crashed"


@pytest.mark.parametrize("kind", ["start", "pause"])
def test_one_that_stays_about_to_go_off(host: FakeHost, domain: Domain, kind: str) -> None:
    domain.guest = fake_libvirt.SHUTTING_DOWN
    ended = host.next_job(asked(host, kind, domain))
    assert ended.failure is not None
    assert ended.failure.text == (
        f"cannot {kind} {NAME} on host {HOST}: it is stopping still, after 0.05 s"
    )
    assert ended.phases == ()


@pytest.mark.parametrize("state", ["paused", "suspended"])
def test_one_that_can_t_go_on_is_ended_by_force_only(
    host: FakeHost, domain: Domain, state: str
) -> None:
    name = {"paused": "resume", "suspended": "pMWakeup"}[state]
    bring_to(domain, state)
    host.connection.failures[name] = [libvirtError("I/O error"), libvirtError("I/O error")]
    ended = host.next_job(asked(host, "stop", domain, stop_timeout=0))
    assert ended.failure is not None
    assert ended.failure.text == f"cannot stop {NAME} on host {HOST}: I/O error"
    assert state_of(domain) == state
    ended = host.next_job(asked(host, "stop", domain, stop_timeout=0, force=True))
    assert (ended.state, state_of(domain)) == (State.DONE, "stopped")


def test_a_clone_that_shall_be_paused_never_runs(host: FakeHost) -> None:
    host.add_image()
    host.connection.calls.clear()
    (made,) = host.run(host.request(NAME, paused=True))
    assert (made.state, made.vm.state) == (State.DONE, "paused"), made.failure
    assert "create" not in host.connection.calls
    assert host.connection.lookupByName(NAME).guest == fake_libvirt.PAUSED
