# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing many vms to a state must do: one suite for the fake cell and for the real one."""

from __future__ import annotations

from collections import Counter

import pytest
from maglica.manage.group import Group, Pattern
from maglica.manage.target import Target, Waiting
from maglica.manage.task import Asked, Task
from maglica.manage.wanted import Wanted, want
from maglica.model import errors
from maglica.model.request import Request, State
from maglica.verbs.table import Presence
from support.vm_suite import HOSTS, IMAGE, KVM0, KVM1, Cell

PATIENT = Waiting(timeout=30)
PATTERN = Pattern.parse("web%02d.example.jp")


def web(*numbers: int) -> list[str]:
    return [PATTERN.name(number) for number in numbers]


def group(count: int = 0, exact: bool = False, **fields: object) -> Group:
    return Group(PATTERN, want(**{"name": PATTERN.name(1), "image": IMAGE, **fields}), count, exact)


def bring(cell: Cell, asked: Asked, waiting: Waiting = PATIENT) -> list[Target]:
    return Task(cell.client, cell.hosts, waiting).bring(asked)


def listed(*names: str, **fields: object) -> list[Wanted]:
    return [want(**{"name": name, "image": IMAGE, **fields}) for name in names]


def there(cell: Cell) -> set[str]:
    return {name for host in HOSTS for name in cell.defined(host)} - {IMAGE}


def changed(members: list[Target]) -> list[str]:
    assert [member.error for member in members if member.error] == []
    return [member.name for member in members if member.changed]


class VmsSuite:
    def test_a_number_of_vms_is_made_and_spread(self, cell: Cell) -> None:
        members = bring(cell, group(8))
        assert changed(members) == web(*range(1, 9))
        assert there(cell) == set(web(*range(1, 9)))
        where = Counter(member.vm["host"] for member in members if member.vm)
        assert where == {KVM0: 4, KVM1: 4}
        assert {member.vm["state"] for member in members if member.vm} == {"running"}
        assert {member.request.state for member in members if member.request} == {State.DONE}
        again = bring(cell, group(8))
        assert changed(again) == []
        assert [member.vm["uuid"] for member in again if member.vm] == [
            member.vm["uuid"] for member in members if member.vm
        ]

    def test_those_that_lack_are_made(self, cell: Cell) -> None:
        bring(cell, group(3))
        bring(cell, [want(web(2)[0], Presence.ABSENT)])
        assert changed(bring(cell, group(3))) == web(2)
        assert changed(bring(cell, group(4))) == web(4)
        assert there(cell) == set(web(1, 2, 3, 4))

    def test_those_that_are_too_many_are_removed_only_if_asked(self, cell: Cell) -> None:
        bring(cell, group(4))
        assert changed(bring(cell, group(2))) == []
        assert there(cell) == set(web(1, 2, 3, 4))
        assert changed(bring(cell, group(2, exact=True))) == web(3, 4)
        assert there(cell) == set(web(1, 2))
        assert changed(bring(cell, group(2, exact=True))) == []
        assert changed(bring(cell, group(0, exact=True))) == web(1, 2)
        assert there(cell) == set()

    def test_all_of_a_pattern_are_removed(self, cell: Cell) -> None:
        bring(cell, group(3))
        bring(cell, listed("other.example.jp"))
        members = bring(cell, group(state=Presence.ABSENT))
        assert changed(members) == web(1, 2, 3)
        assert [member.vm for member in members] == [None] * 3
        assert there(cell) == {"other.example.jp"}
        assert bring(cell, group(state=Presence.ABSENT)) == []

    def test_names_of_others_are_passed_over(self, cell: Cell) -> None:
        cell.add(KVM1, web(1)[0], active=True, image=None)
        assert changed(bring(cell, group(2))) == web(2, 3)
        assert changed(bring(cell, group(state=Presence.ABSENT))) == web(2, 3)

    def test_many_change_their_state(self, cell: Cell) -> None:
        bring(cell, group(3, state=Presence.STOPPED))
        bring(cell, [want(web(2)[0], Presence.RUNNING)])
        members = bring(cell, group(3, state=Presence.RUNNING))
        assert changed(members) == web(1, 3)
        stopped = bring(cell, group(3, state=Presence.STOPPED, force=True, stop_timeout=1))
        assert changed(stopped) == web(1, 2, 3)
        assert {member.vm["state"] for member in stopped if member.vm} == {"stopped"}

    def test_several_steps_for_each(self, cell: Cell) -> None:
        bring(cell, group(2, state=Presence.STOPPED))
        members = bring(cell, group(2, state=Presence.RUNNING, vcpus=2))
        assert changed(members) == web(1, 2)
        assert [(m.vm["state"], m.vm["vcpus"]) for m in members if m.vm] == [("running", 2)] * 2

    def test_a_list_of_different_vms(self, cell: Cell) -> None:
        bring(cell, listed("old.example.jp"))
        asked = [
            *listed("a.example.jp", host=KVM1),
            *listed("b.example.jp", state=Presence.STOPPED),
            want("old.example.jp", Presence.ABSENT),
            want("never.example.jp", Presence.ABSENT),
        ]
        members = bring(cell, asked)
        assert [member.name for member in members] == [wanted.name for wanted in asked]
        assert changed(members) == ["a.example.jp", "b.example.jp", "old.example.jp"]
        assert [member.vm and member.vm["state"] for member in members] == [
            *("running", "stopped", None, None)
        ]
        assert there(cell) == {"a.example.jp", "b.example.jp"}

    def test_what_stands_against_one_stands_against_all(self, cell: Cell) -> None:
        cell.add(KVM0, "other.example.jp", active=True, image=None)
        names = ("a.example.jp", "other.example.jp", "b.example.jp")
        with pytest.raises(errors.NameTaken, match=r"nothing was done for 3 vms: vm other\.ex"):
            bring(cell, listed(*names))
        wanted = [*listed("a.example.jp"), *listed("b.example.jp", memory_mib=1 << 21)]
        with pytest.raises(errors.NoRoom, match=r"cannot clone b\.example\.jp"):
            bring(cell, wanted)
        with pytest.raises(errors.NameInvalid, match=r"vm a\.example\.jp is listed twice"):
            bring(cell, listed("a.example.jp", "a.example.jp"))
        assert there(cell) == {"other.example.jp"}
        assert cell.client.list() == ()

    def test_one_that_fails_fails_alone(self, cell: Cell) -> None:
        asked = listed("a.example.jp", "b.example.jp", host=KVM0)
        cell.fail_next("guest_unreadable", "no operating system was found")
        asked += listed("c.example.jp", host=KVM1)
        members = bring(cell, asked)
        failed = [member for member in members if member.error]
        # The simulated hosts fail one each.
        assert 1 <= len(failed) <= 2
        assert {str(member.error) for member in failed} == {"no operating system was found"}
        assert there(cell) == {member.name for member in members if not member.error}
        assert changed(bring(cell, asked)) == [member.name for member in failed]

    def test_all_are_foreseen(self, cell: Cell) -> None:
        bring(cell, group(1))
        members = Task(cell.client, cell.hosts, PATIENT).foresee(group(5))
        assert changed(members) == web(2, 3, 4, 5)
        assert there(cell) == set(web(1))
        planned = [member.vm["host"] for member in members if member.vm]
        assert [member.after["host"] for member in members[1:]] == planned[1:]
        made = bring(cell, group(5))
        assert Counter(m.vm["host"] for m in made if m.vm) == Counter(planned)
        gone = Task(cell.client, cell.hosts, PATIENT).foresee(group(3, exact=True))
        assert [(m.name, m.vm) for m in gone[3:]] == [(name, None) for name in web(4, 5)]

    def test_a_task_that_was_cut_short_is_joined(self, cell: Cell) -> None:
        cell.hold()
        members = bring(cell, group(3), Waiting(timeout=0))
        assert {getattr(member.error, "code", None) for member in members} == {"request_timeout"}
        cell.release()
        again = bring(cell, group(4))
        assert [member.request.id for member in again if member.request][:3] == [
            member.request.id for member in members if member.request
        ]
        assert there(cell) == set(web(1, 2, 3, 4))

    def test_without_waiting(self, cell: Cell) -> None:
        cell.hold()
        members = bring(cell, group(2), Waiting(wait=False))
        assert [member.vm["name"] for member in members if member.vm] == web(1, 2)
        assert {member.request.state.ended for member in members if member.request} == {False}
        cell.release()
        assert changed(bring(cell, group(2))) == web(1, 2)

    def test_what_is_just_being_made_is_removed(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, group(2), Waiting(wait=False))
        released: list[Request] = []

        def release(requests: object) -> None:
            released.append(cell.release())

        task = Task(cell.client, cell.hosts, PATIENT, on_submit=release)
        members = task.bring(group(state=Presence.ABSENT))
        assert [member.error for member in members] == [None, None]
        assert there(cell) == set()

    def test_progress_of_many(self, cell: Cell) -> None:
        submitted: list[int] = []
        seen: dict[str, Request] = {}

        def note(request: Request) -> None:
            seen[request.id] = request

        task = Task(
            cell.client, cell.hosts, PATIENT, note, lambda all_: submitted.append(len(all_))
        )
        task.bring(group(3))
        assert sum(submitted) == 3
        assert [request.state for request in seen.values()] == [State.DONE] * 3

    def test_a_host_that_is_down_leaves_no_count(self, cell: Cell) -> None:
        cell.silence(KVM1)
        with pytest.raises(errors.HostDown, match=rf"count the vms web%02d.*: host {KVM1}"):
            bring(cell, group(1))
