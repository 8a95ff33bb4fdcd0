# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing a vm to a state must do: one suite for the fake cell and for the real one.

A cell is a client worker and two hosts, both with the original image IMAGE, inactive.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

import pytest
from maglica.manage.ports import Hosts, Requests
from maglica.manage.target import Target, WaitFor, Waiting
from maglica.manage.task import Task
from maglica.manage.wanted import want
from maglica.model import errors
from maglica.model.request import Nic, Request, State
from maglica.verbs.table import Presence

IMAGE = "debian12.original"
KVM0, KVM1 = HOSTS = ("kvm0.example.jp", "kvm1.example.jp")
NAME = "vm0.example.jp"
PATIENT = Waiting(timeout=30)
FIXED = Nic(network="default", addresses=("192.0.2.7/24",))


class Cell(Protocol):
    """What the suite needs of a cell; the hosts work unless they are held."""

    client: Requests
    hosts: Hosts

    def hold(self) -> None:
        """Let no host go on with a request."""

    def release(self) -> None: ...

    def fail_next(self, code: str, text: str) -> None:
        """Let the next request fail."""

    def add(self, host: str, name: str, active: bool, image: str | None) -> None:
        """Define a domain on a host; ``image`` None: others made it."""

    def pause(self, host: str, name: str) -> None:
        """Let a vm that runs stand still."""

    def silence(self, host: str) -> None:
        """Let the libvirtd of the host be down."""

    def defined(self, host: str) -> list[str]:
        """Return the names of the host's domains, sorted."""


def only(members: list[Target]) -> Target:
    """Return the one member; raise its error."""
    (member,) = members
    if member.error:
        raise member.error
    return member


def bring(cell: Cell, waiting: Waiting = PATIENT, **fields: object) -> Target:
    wanted = want(**{"name": NAME, "image": IMAGE, **fields})
    return only(Task(cell.client, cell.hosts, waiting).bring([wanted]))


def release_and_bring(cell: Cell, **fields: object) -> Target:
    """Bring the vm to its state, and release the hosts only when that waits for them."""
    wanted = want(**{"name": NAME, "image": IMAGE, **fields})
    task = Task(cell.client, cell.hosts, PATIENT, lambda _request: cell.release())
    return only(task.bring([wanted]))


def foresee(cell: Cell, waiting: Waiting = PATIENT, **fields: object) -> Target:
    wanted = want(**{"name": NAME, "image": IMAGE, **fields})
    return only(Task(cell.client, cell.hosts, waiting).foresee([wanted]))


class VmSuite:
    def test_a_vm_is_made_and_runs(self, cell: Cell) -> None:
        made = bring(cell)
        assert made.changed
        assert made.vm is not None
        assert made.request is not None
        assert made.request.state is State.DONE
        assert made.request.phases
        assert (made.vm["name"], made.vm["state"], made.vm["image"]) == (NAME, "running", IMAGE)
        assert made.vm["host"] == made.request.host == made.after["host"]
        assert made.before == {"state": "absent"}
        assert made.after["state"] == "running"
        assert NAME in cell.defined(made.vm["host"])

    def test_a_result_shows_a_vm_as_its_host_does(self, cell: Cell) -> None:
        told = bring(cell, Waiting(until=WaitFor.CLONED, timeout=30), tags=("web",))
        seen = bring(cell, tags=("web",))
        assert not seen.changed
        assert seen.vm is not None
        assert told.vm is not None
        # Addresses are known to those who look only.
        looked_up = dict.fromkeys(("address", "addresses", "interfaces"))
        assert {**told.vm, **looked_up} == {**seen.vm, **looked_up}

    def test_the_second_time_nothing_changes(self, cell: Cell) -> None:
        first = bring(cell)
        again = bring(cell)
        assert not again.changed
        assert again.before == again.after
        assert again.request is None
        assert again.vm is not None
        assert first.vm is not None
        assert again.vm["uuid"] == first.vm["uuid"]

    def test_check_mode_tells_the_host_and_changes_nothing(self, cell: Cell) -> None:
        foreseen = foresee(cell, vcpus=2)
        assert foreseen.changed
        assert foreseen.vm is not None
        assert foreseen.vm["host"] in HOSTS
        assert foreseen.after["vcpus"] == foreseen.vm["vcpus"] == 2
        assert cell.client.list() == ()
        made = bring(cell, vcpus=2)
        assert made.before == foreseen.before
        # Nobody has looked at the image yet.
        said = foreseen.after.pop("customize_reason")
        assert said.startswith(f"nobody has looked at image {IMAGE} on host {foreseen.vm['host']} ")
        assert made.after == foreseen.after
        assert not foresee(cell).changed

    def test_check_mode_fails_as_the_real_run_would(self, cell: Cell) -> None:
        with pytest.raises(errors.ImageUnknown):
            foresee(cell, image="other.original")

    def test_the_host_that_is_asked_for(self, cell: Cell) -> None:
        made = bring(cell, host=KVM1)
        assert made.vm is not None
        assert made.vm["host"] == KVM1
        with pytest.raises(errors.NameTaken, match=f"on host {KVM1}, not on {KVM0}"):
            bring(cell, host=KVM0)

    def test_removal(self, cell: Cell) -> None:
        bring(cell)
        gone = bring(cell, state=Presence.ABSENT)
        assert gone.changed
        assert gone.vm is None
        assert gone.before["state"] == "running"
        assert gone.after == {"state": "absent"}
        assert [NAME in cell.defined(host) for host in HOSTS] == [False, False]
        assert not bring(cell, state=Presence.ABSENT).changed

    def test_stopped_and_running(self, cell: Cell) -> None:
        made = bring(cell, state=Presence.STOPPED)
        assert made.vm is not None
        assert made.vm["state"] == "stopped"
        assert not bring(cell, state=Presence.STOPPED).changed
        assert not bring(cell, state=Presence.PRESENT).changed
        started = bring(cell, state=Presence.RUNNING, image=None)
        assert started.vm is not None
        assert (started.changed, started.vm["state"]) == (True, "running")
        assert not bring(cell, state=Presence.RUNNING).changed
        stopped = bring(cell, state=Presence.STOPPED)
        assert stopped.vm is not None
        assert (stopped.changed, stopped.vm["state"]) == (True, "stopped")

    def test_a_restart_is_always_a_change(self, cell: Cell) -> None:
        made = bring(cell, state=Presence.RESTARTED)
        assert made.changed and made.vm is not None
        assert (made.vm["state"], made.request.kind) == ("running", "clone")
        foreseen = foresee(cell, state=Presence.RESTARTED)
        assert foreseen.changed and foreseen.vm is not None
        assert foreseen.vm.keys() == made.vm.keys()
        for _turn in range(2):
            again = bring(cell, state=Presence.RESTARTED, image=None)
            assert again.changed and again.vm is not None
            assert (again.vm["state"], again.request.kind) == ("running", "restart")
        bring(cell, state=Presence.STOPPED)
        started = bring(cell, state=Presence.RESTARTED)
        assert started.changed and started.vm is not None
        assert started.vm["state"] == "running"

    def test_one_that_is_paused_does_not_run(self, cell: Cell) -> None:
        made = bring(cell)
        assert made.vm is not None
        cell.pause(made.vm["host"], NAME)
        left = bring(cell, state=Presence.PRESENT)
        assert left.vm is not None
        assert (left.changed, left.vm["state"]) == (False, "paused")
        foreseen = foresee(cell, state=Presence.RUNNING)
        assert (foreseen.before["state"], foreseen.after["state"]) == ("paused", "running")
        running = bring(cell, state=Presence.RUNNING)
        assert running.vm is not None
        assert (running.changed, running.vm["state"]) == (True, "running")
        assert (running.before, running.after) == (foreseen.before, foreseen.after)
        assert not bring(cell, state=Presence.RUNNING).changed

    def test_no_address_is_waited_for_that_can_not_come(self, cell: Cell) -> None:
        bring(cell, state=Presence.STOPPED, interfaces=(FIXED,))
        waiting = Waiting(until=WaitFor.ADDRESS, timeout=30)
        wanted = want(NAME, vcpus=2)
        for act in (Task.foresee, Task.bring):
            with pytest.raises(errors.VmStopped, match=r"is stopped, .*: state=running starts"):
                act(Task(cell.client, cell.hosts, waiting), [wanted])
        assert len(cell.client.list()) == 1
        # Nothing is waited for.
        assert not bring(cell, waiting, state=Presence.STOPPED).changed
        assert bring(cell, Waiting(wait=False, until=WaitFor.ADDRESS)).error is None
        started = bring(cell, waiting, state=Presence.RUNNING)
        assert started.vm is not None
        assert started.vm["state"] == "running"

    def test_tags_are_given_with_the_clone_changed_and_taken_away(self, cell: Cell) -> None:
        made = bring(cell, tags=("web", "a"))
        assert made.vm is not None
        assert made.vm["tags"] == made.after["tags"] == ["a", "web"]
        for tags in (("a", "web"), None):
            assert not bring(cell, tags=tags).changed
        for tags in (("stage:test",), ()):
            foreseen = foresee(cell, tags=tags)
            changed = bring(cell, tags=tags)
            assert changed.vm is not None
            assert changed.changed
            assert (foreseen.before, foreseen.after) == (changed.before, changed.after)
            assert changed.vm["tags"] == list(tags)
            assert changed.vm["state"] == "running"
            assert not bring(cell, tags=tags).changed

    def test_a_tag_must_be_one(self, cell: Cell) -> None:
        with pytest.raises(errors.NameInvalid, match=r"tags.*'a b' is not a valid tag"):
            bring(cell, tags=("a b",))

    def test_names_that_are_taken(self, cell: Cell) -> None:
        bring(cell)
        cell.add(KVM0, "other.example.jp", active=True, image=None)
        cell.add(KVM0, "twice.example.jp", active=False, image=IMAGE)
        cell.add(KVM1, "twice.example.jp", active=False, image=IMAGE)
        with pytest.raises(errors.NameTaken, match=f"from image {IMAGE}, not other"):
            bring(cell, image="other.original")
        with pytest.raises(errors.NameTaken, match=f"original image on host {KVM0}"):
            bring(cell, name=IMAGE, image="other.original", host=KVM0)
        with pytest.raises(errors.NameTaken, match=f"original image on {KVM0} and {KVM1}"):
            bring(cell, name=IMAGE, image="other.original")
        with pytest.raises(errors.NameTaken, match="not made by Maglica"):
            bring(cell, name="other.example.jp")
        with pytest.raises(errors.NameTaken, match=f"{KVM0} and {KVM1}; set host to say which one"):
            bring(cell, name="twice.example.jp")
        assert not bring(cell, name="twice.example.jp", host=KVM1).changed

    def test_images_and_vms_of_others_are_never_removed(self, cell: Cell) -> None:
        cell.add(KVM0, "other.example.jp", active=True, image=None)
        for name in (IMAGE, "other.example.jp"):
            with pytest.raises(errors.NameTaken):
                bring(cell, name=name, state=Presence.ABSENT, image=None, host=KVM0)
        assert cell.defined(KVM0) == [IMAGE, "other.example.jp"]

    def test_what_is_not_there(self, cell: Cell) -> None:
        with pytest.raises(errors.ImageUnknown):
            bring(cell, image="other.original")
        with pytest.raises(errors.VmUnknown, match="set image to create it"):
            bring(cell, image=None, state=Presence.RUNNING)
        with pytest.raises(errors.HostUnknown, match=r"kvm9\.example\.jp"):
            bring(cell, host="kvm9.example.jp")

    def test_a_request_that_fails(self, cell: Cell) -> None:
        cell.fail_next("no_room", "pool default on the host has no room")
        (lost,) = Task(cell.client, cell.hosts, PATIENT).bring([want(NAME, image=IMAGE)])
        assert isinstance(lost.error, errors.NoRoom)
        assert str(lost.error) == "pool default on the host has no room"
        assert (lost.changed, lost.has_changed) == (True, False)
        assert bring(cell).changed

    def test_progress(self, cell: Cell) -> None:
        seen: list[Request] = []
        task = Task(cell.client, cell.hosts, Waiting(timeout=30), seen.append)
        task.bring([want(name=NAME, image=IMAGE)])
        assert seen[-1].state is State.DONE
        assert len({request.id for request in seen}) == 1
        assert [request.version for request in seen] == sorted(r.version for r in seen)

    @pytest.mark.parametrize("until", [WaitFor.CLONED, WaitFor.RUNNING, WaitFor.ADDRESS])
    def test_what_is_waited_for(self, cell: Cell, until: WaitFor) -> None:
        made = bring(cell, Waiting(until=until, timeout=30), interfaces=(FIXED,))
        assert made.vm is not None
        assert made.vm["state"] == "running"
        assert made.vm["interfaces"][0]["mac"]
        if until is WaitFor.ADDRESS:
            # libvirt's test driver has leases for everybody, which come first.
            assert made.vm["address"] in made.vm["addresses"]

    def test_a_name_that_is_no_host_name(self, cell: Cell) -> None:
        named = {"name": "Web_1 (ü)", "hostname": "web-1.example.jp", "interfaces": (FIXED,)}
        for changed in (True, False):
            vm = bring(cell, Waiting(until=WaitFor.ADDRESS, timeout=30), **named)
            assert (vm.changed, vm.vm and vm.vm["name"]) == (changed, "Web_1 (ü)")
            assert vm.vm is not None
            assert vm.vm["address"]
        gone = {"name": "Web_1 (ü)", "image": None, "state": Presence.ABSENT}
        assert [bring(cell, **gone).changed for _turn in range(2)] == [True, False]

    def test_an_address_that_does_not_come(self, cell: Cell) -> None:
        def cut_short(request: Request) -> None:
            # The clone may take its time; the time for the address is over when it is made.
            if request.state is State.DONE:
                task._ready._ends = time.monotonic()

        waiting = Waiting(until=WaitFor.ADDRESS, timeout=30)
        task = Task(cell.client, cell.hosts, waiting, cut_short)
        (member,) = task.bring([want(NAME, image=IMAGE, interfaces=())])
        assert isinstance(member.error, errors.RequestTimeout)
        assert "has no address after 30 s" in str(member.error)
        assert member.has_changed
        with pytest.raises(errors.RequestTimeout, match="has no address after 0 s"):
            bring(cell, replace(waiting, timeout=0), interfaces=())

    def test_a_host_that_is_down(self, cell: Cell) -> None:
        bring(cell, host=KVM0)
        cell.silence(KVM1)
        assert not bring(cell).changed
        with pytest.raises(errors.HostDown, match=f"whether vm other is there: host {KVM1}"):
            bring(cell, name="other", state=Presence.ABSENT)
        with pytest.raises(errors.HostDown):
            bring(cell, name="other", image=None)
        assert not bring(cell, name="other", state=Presence.ABSENT, host=KVM0).changed
        cell.silence(KVM0)
        for act in (foresee, bring):
            text = f"clone {NAME}.*; it could not be looked at: host {KVM0}: "
            with pytest.raises(errors.NameTaken, match=text):
                act(cell)
