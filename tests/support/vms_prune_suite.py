# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list as the whole truth about a tag: one suite for the fake cell and for the real one."""

from __future__ import annotations

import pytest
from maglica.manage.group import Whole
from maglica.manage.task import Task
from maglica.manage.wanted import want
from maglica.model import errors
from maglica.model.vm import Domain
from maglica.verbs.table import Presence
from support.vm_suite import KVM0, KVM1, Cell
from support.vms_suite import PATIENT, bring, changed, listed, there

A, B, C = (f"{letter}.example.jp" for letter in "abc")


def shop(*names: str, **fields: object) -> Whole:
    return Whole("shop", listed(*names, **fields))


def tags(cell: Cell, name: str) -> tuple[str, ...]:
    found: tuple[Domain, ...] = cell.hosts.find_vms({name}).domains
    (domain,) = found
    return domain.tags


class PruneSuite:
    def test_what_is_not_in_the_list_goes(self, cell: Cell) -> None:
        assert changed(bring(cell, shop(A, B))) == [A, B]
        bring(cell, listed(C, tags=("other",)))
        assert tags(cell, A) == ("shop",)
        task = Task(cell.client, cell.hosts, PATIENT)
        foreseen = task.foresee(shop(B))
        assert [(each.name, each.changed) for each in foreseen] == [(B, False), (A, True)]
        assert foreseen[1].after == {"state": "absent"}
        assert there(cell) == {A, B, C}
        members = bring(cell, shop(B))
        assert changed(members) == [A]
        assert [member.wanted.state for member in members][1] is Presence.ABSENT
        assert there(cell) == {B, C}
        assert changed(bring(cell, shop(B))) == []
        # The empty list is one, too.
        assert changed(bring(cell, shop())) == [B]
        assert there(cell) == {C}

    def test_the_list_itself_has_the_tag_beside_its_others(self, cell: Cell) -> None:
        bring(cell, [*listed(A, tags=("web",)), *listed(B)])
        members = bring(cell, Whole("shop", [*listed(A, B), *listed(C, tags=("db",))]))
        assert changed(members) == [A, B, C]
        assert [tags(cell, name) for name in (A, B, C)] == [
            *(("shop", "web"), ("shop",), ("db", "shop"))
        ]
        assert changed(bring(cell, Whole("shop", listed(A, B, tags=("db",))))) == [A, B, C]
        assert [tags(cell, name) for name in (A, B)] == [("db", "shop")] * 2

    def test_a_protected_one_stops_it_before_anything_is_done(self, cell: Cell) -> None:
        bring(cell, shop(A, host=KVM0))
        bring(cell, shop(A, B, host=KVM0))
        bring(cell, listed(B, protected=True))
        before = len(cell.client.list())
        task = Task(cell.client, cell.hosts, PATIENT)
        for act in (task.foresee, task.bring):
            with pytest.raises(
                errors.VmProtected, match=rf"nothing was done for 3 vms: cannot remove {B} on"
            ):
                act(shop(C))
        assert there(cell) == {A, B}
        assert len(cell.client.list()) == before
        # In the list it may stay.
        assert changed(bring(cell, shop(B))) == [A]

    def test_vms_of_others_and_images_have_no_tag(self, cell: Cell) -> None:
        cell.add(KVM1, C, active=True, image=None)
        bring(cell, shop(A))
        assert changed(bring(cell, shop())) == [A]
        assert there(cell) == {C}
        # In the list it is in the way of all.
        with pytest.raises(errors.NameTaken, match=f"vm {C} on host {KVM1} was not made by"):
            bring(cell, shop(A, C))
        assert there(cell) == {C}

    def test_an_adopted_one_stops_it_before_anything_is_done(self, cell: Cell) -> None:
        cell.add(KVM1, C, active=True, image=None)
        bring(cell, [*listed(A, tags=("shop",)), want(C, adopt=True, tags=("shop",))])
        before = len(cell.client.list())
        with pytest.raises(errors.NotOwn, match=rf"nothing was done for 3 vms: .*{C}"):
            bring(cell, shop(B))
        assert there(cell) == {A, C}
        assert len(cell.client.list()) == before

    def test_a_host_that_is_silent_may_have_more_of_them(self, cell: Cell) -> None:
        bring(cell, shop(A, host=KVM0))
        cell.silence(KVM1)
        with pytest.raises(
            errors.HostDown, match=f"cannot tell which vms have the tag shop: host {KVM1}: "
        ):
            bring(cell, shop(host=KVM0))
        assert A in there(cell)

    def test_what_is_just_being_made_with_the_tag_counts(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, listed(A, tags=("shop",)), PATIENT.__class__(wait=False))
        task = Task(cell.client, cell.hosts, PATIENT)
        assert [each.name for each in task.foresee(shop())] == [A]
        # Of one of the list the tags stay that it is being made with.
        (kept,) = task.foresee(Whole("web", listed(A)))
        assert kept.wanted.tags == ("shop", "web")
        cell.release()

    def test_tags_that_are_about_to_change_count(self, cell: Cell) -> None:
        bring(cell, listed(A, B, tags=("shop",)))
        cell.hold()
        now = PATIENT.__class__(wait=False)
        bring(cell, [want(A, tags=(), autostart=True), want(B, tags=("shop", "web"))], now)
        task = Task(cell.client, cell.hosts, PATIENT)
        # Something else that is under way about it hides nothing.
        assert [each.name for each in task.foresee(shop())] == [B]
        assert task.foresee(Whole("web", [])) == []
        (kept,) = task.foresee(shop(B))
        assert kept.wanted.tags == ("shop", "web")
        cell.release()

    def test_what_is_to_be_absent_gets_no_tag(self, cell: Cell) -> None:
        bring(cell, listed(A))
        members = bring(cell, Whole("shop", [want(A, Presence.ABSENT)]))
        assert [(each.name, each.wanted.tags) for each in members] == [(A, None)]
        assert there(cell) == set()

    def test_what_is_no_tag_is_refused(self, cell: Cell) -> None:
        with pytest.raises(errors.NameInvalid, match=r"^prune_tag: "):
            Whole("a b", [])
        full = tuple(f"tag{number:02}" for number in range(64))
        with pytest.raises(errors.NameInvalid, match=f"vm {A}: with shop it has more than 64"):
            bring(cell, shop(A, tags=full))
