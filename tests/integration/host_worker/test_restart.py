# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restart, by a job and by the job that follows one that died, and a stop of a guest that stands
still, with libvirt's test driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from maglica.config.config import HostWorker
from maglica.host_worker.job import main
from maglica.host_worker.job.context import JobContext
from maglica.host_worker.job.vm import existing, stop
from maglica.host_worker.journal.intents import Effect
from maglica.host_worker.journal.journal import Journal
from maglica.model.request import Request, State, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.restart import RestartSpec
from maglica.verbs.start import StartSpec
from maglica.verbs.stop import StopSpec
from support.own_libvirtd import MADE

NAME = "vm0.example.jp"
UUID = vm_uuid("r")
DOMAIN = f"""<domain type='test'><name>{NAME}</name><uuid>{UUID}</uuid>
  <metadata>{MADE}</metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>"""


class Rig:
    """A job's context upon a node of its own with one vm, which runs."""

    def __init__(self, folder: Path) -> None:
        node = folder / "node.xml"
        node.write_text("<node/>")
        settings = HostWorker("kvm0.example.jp", folder / "key", f"test://{node}", folder)
        self.context = JobContext(Journal(folder), settings, lambda _line: None)
        self.vm: Any = self.context.connect().defineXML(DOMAIN)
        self.vm.create()

    @property
    def run_number(self) -> int:
        """The number of the vm's present run; one handle always tells the same."""
        number: int = self.context.connect().lookupByUUIDString(UUID).ID()
        return number

    def request(self, of: type[Any] = RestartSpec, **fields: Any) -> Request:
        spec = of(NAME, UUID, "kvm0.example.jp", **fields)
        request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
        self.context.journal.accept([request])
        return request

    def announce(self, request: Request, run: int, seconds: int = 0) -> None:
        """Do as a job that died after it had begun to shut the vm down."""
        data = {"uuid": UUID, "name": NAME, "run": run, "seconds": seconds}
        self.context.journal.intend(request.id, Effect.SHUTDOWN, data)

    def run(self, request: Request) -> Request:
        main.run([request.id], self.context)
        assert self.context.journal.intents(request.id) == ()
        return self.context.journal.entry(request.id).request

    def phases(self, request: Request) -> list[str]:
        return [phase.name for phase in self.run(request).phases]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.context.journal.close()


def test_a_vm_that_runs_is_shut_down_and_started(rig: Rig) -> None:
    before = rig.run_number
    ended = rig.run(rig.request())
    assert (ended.state, ended.vm.state) == (State.DONE, "running"), ended.failure
    assert [phase.name for phase in ended.phases] == ["shutdown", "start"]
    assert rig.run_number != before


def test_a_vm_that_is_off_is_started(rig: Rig) -> None:
    rig.vm.destroy()
    assert rig.phases(rig.request()) == ["start"]
    assert rig.vm.isActive()


@pytest.mark.parametrize("of", [RestartSpec, StopSpec])
def test_a_vm_that_is_paused_goes_on_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, of: type[Any]
) -> None:
    before = rig.run_number
    rig.vm.suspend()
    states = []
    real = libvirt.virDomain.shutdown

    def shutdown(domain: Any) -> Any:
        states.append(domain.state()[0])
        return real(domain)

    monkeypatch.setattr(libvirt.virDomain, "shutdown", shutdown)
    ended = rig.run(rig.request(of))
    is_stop = of is StopSpec
    assert [phase.name for phase in ended.phases] == ["shutdown", "start"][: 1 if is_stop else 2]
    assert states == [libvirt.VIR_DOMAIN_RUNNING]
    assert (rig.run_number != before, ended.vm.active) == (True, not is_stop)


def test_a_vm_that_has_crashed_is_ended_by_a_stop(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = [libvirt.VIR_DOMAIN_CRASHED, 0]
    monkeypatch.setattr(libvirt.virDomain, "state", lambda _domain, _flags=0: crashed)
    ended = rig.run(rig.request(StopSpec))
    assert (ended.state, ended.phases, rig.vm.isActive()) == (State.DONE, (), False)


@pytest.mark.parametrize("of", [RestartSpec, StopSpec])
@pytest.mark.parametrize("force", [True, False])
def test_a_vm_that_can_not_go_on_is_ended_if_forced(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, force: bool, of: type[Any]
) -> None:
    def resume(_domain: Any) -> None:
        raise libvirt.libvirtError("it is not to be resumed")

    monkeypatch.setattr(libvirt.virDomain, "resume", resume)
    before = rig.run_number
    rig.vm.suspend()
    ended = rig.run(rig.request(of, force=force))
    assert ended.state is (State.DONE if force else State.FAILED)
    assert (rig.run_number != before) is force


@pytest.mark.parametrize("force", [True, False])
def test_a_vm_whose_button_can_not_be_pressed_is_ended_if_forced(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    def shutdown(_domain: Any) -> None:
        raise libvirt.libvirtError("domain is not running")

    monkeypatch.setattr(libvirt.virDomain, "shutdown", shutdown)
    before = rig.run_number
    ended = rig.run(rig.request(force=force))
    assert ended.state is (State.DONE if force else State.FAILED)
    assert (rig.run_number != before) is force


def test_a_vm_that_is_going_off_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """libvirt refuses to shut down what has begun to."""

    def shutdown(_domain: Any) -> None:
        raise libvirt.libvirtError("domain is not running")

    going = [libvirt.VIR_DOMAIN_SHUTDOWN, 0]
    real = libvirt.virDomain.state
    monkeypatch.setattr(libvirt.virDomain, "shutdown", shutdown)
    monkeypatch.setattr(libvirt.virDomain, "state", lambda _domain, _flags=0: going)

    def go_off(_seconds: float) -> None:
        monkeypatch.setattr(libvirt.virDomain, "state", real)
        rig.vm.destroy()

    monkeypatch.setattr(stop.time, "sleep", go_off)
    before = rig.run_number
    assert rig.phases(rig.request()) == ["shutdown", "start"]
    assert rig.run_number != before


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (libvirt.VIR_DOMAIN_SHUTDOWN, "stopping"),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, "suspended"),
    ],
)
def test_a_vm_that_stays_as_it_is_is_not_said_to_be_started(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, state: int, name: str
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "state", lambda _domain, _flags=0: [state, 0])
    monkeypatch.setattr(libvirt.virDomain, "pMWakeup", lambda _domain: 0)
    monkeypatch.setattr(existing, "SETTLE_SECONDS", 0)
    spec = StartSpec(NAME, UUID, "kvm0.example.jp")
    request = Request(new_request_id(), spec, host="kvm0.example.jp", who="alice")
    rig.context.journal.accept([request])
    ended = rig.run(request)
    assert ended.state is State.FAILED
    assert f"it is {name} still" in ended.failure.text


def test_after_a_job_that_died_the_vm_is_started_once(rig: Rig) -> None:
    """Whenever it died: before the guest was off, before the vm was started, or after that."""
    before = rig.run_number
    still_on = rig.request()
    rig.announce(still_on, before)
    assert rig.phases(still_on) == ["shutdown", "start"]
    second = rig.run_number
    assert second != before
    off = rig.request()
    rig.announce(off, second)
    rig.vm.destroy()
    assert rig.phases(off) == ["start"]
    third = rig.run_number
    assert third not in (-1, second)
    started = rig.request()
    rig.announce(started, second)
    assert rig.phases(started) == []
    assert rig.run_number == third


@pytest.mark.parametrize("is_off", [True, False])
def test_one_that_is_cancelled_leaves_the_vm_on(rig: Rig, is_off: bool) -> None:
    before = rig.run_number
    request = rig.request()
    rig.announce(request, before)
    if is_off:
        rig.vm.destroy()
    rig.context.journal.cancel(request.id)
    assert rig.run(request).state is State.CANCELLED
    assert rig.vm.isActive()
    assert (rig.run_number != before) is is_off


def test_one_that_is_cancelled_waits_for_a_guest_that_was_told_to_shut_down(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rig.run_number
    request = rig.request()
    rig.announce(request, before, seconds=60)
    rig.context.journal.cancel(request.id)

    def obey(_seconds: float) -> None:
        rig.vm.destroy()

    monkeypatch.setattr(stop.time, "sleep", obey)
    assert rig.run(request).state is State.CANCELLED
    assert rig.run_number not in (-1, before)


def test_what_died_more_than_once_is_waited_for_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt.virDomain, "shutdown", lambda _domain: 0)
    request = rig.request(stop_timeout=60)
    with pytest.MonkeyPatch.context() as patch:

        def die(*_arguments: Any) -> bool:
            raise KeyboardInterrupt

        patch.setattr(stop, "goes_off", die)
        for _job in range(2):
            with pytest.raises(KeyboardInterrupt):
                main.run([request.id], rig.context)
    waits: list[int] = []

    def stays(_domain: Any, seconds: int, _context: Any) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(stop, "goes_off", stays)
    rig.context.journal.cancel(request.id)
    assert rig.run(request).state is State.CANCELLED
    assert waits == [60]


def test_a_vm_that_was_off_is_started_once_and_by_no_undo(rig: Rig) -> None:
    rig.vm.destroy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig.context, "done", lambda *_arguments: None)
        died = rig.request()
        main.run([died.id], rig.context)
    first = rig.run_number
    assert first != -1
    assert rig.run(died).state is State.DONE
    assert rig.run_number == first
    rig.vm.destroy()
    cancelled = rig.request()
    rig.announce(cancelled, -1)
    rig.context.journal.cancel(cancelled.id)
    assert rig.run(cancelled).state is State.CANCELLED
    assert not rig.vm.isActive()


def test_a_guest_that_stays_on_is_told_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt.virDomain, "shutdown", lambda _domain: 0)
    monkeypatch.setattr(stop, "goes_off", lambda *_arguments: False)
    before = rig.run_number
    ended = rig.run(rig.request(stop_timeout=0))
    assert (ended.state, ended.failure.code) == (State.FAILED, "libvirt_failed")
    assert "did not shut down within 0 s" in ended.failure.text
    assert rig.run_number == before


@pytest.mark.parametrize("runs_on", [True, False])
def test_a_vm_that_can_not_start_again_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, runs_on: bool
) -> None:
    def create(*_values: Any) -> None:
        raise libvirt.libvirtError("no memory")

    monkeypatch.setattr(libvirt.virDomain, "create", create)
    if not runs_on:
        # Nor as it ran.
        monkeypatch.setattr(libvirt.virConnect, "createXML", create)
    request = rig.request()
    main.run([request.id], rig.context)
    # What it announced is taken back by the next job, as far as that can be done.
    ended = rig.run(request)
    assert (ended.state, ended.failure.code) == (State.FAILED, "libvirt_failed")
    assert ended.failure.text == f"cannot restart {NAME} on host kvm0.example.jp: no memory"
    assert (bool(rig.vm.isActive()), rig.vm.isPersistent()) == (runs_on, True)


def test_a_transient_vm_is_left_alone(rig: Rig) -> None:
    rig.vm.undefine()
    before = rig.run_number
    ended = rig.run(rig.request())
    assert "it is transient, and would be gone when it is off" in ended.failure.text
    assert rig.run_number == before
