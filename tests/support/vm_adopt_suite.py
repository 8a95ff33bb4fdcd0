# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What taking over vms of others must do: one suite for the fake cell and for the real one."""

from __future__ import annotations

import pytest
from maglica.model import errors
from maglica.verbs.table import Presence
from support.vm_suite import KVM0, KVM1, Cell, bring, foresee

NAME = "Old_db"


class AdoptSuite:
    def test_a_vm_of_others_is_taken_over_and_given_back(self, cell: Cell) -> None:
        cell.add(KVM0, NAME, active=True, image=None)
        about = {"name": NAME, "image": None}
        foreseen = foresee(cell, **about, adopt=True, tags=("db",))
        assert (foreseen.changed, foreseen.vm["adopted"]) == (True, True)
        taken = bring(cell, **about, adopt=True, tags=("db",))
        assert (taken.changed, taken.vm["adopted"], taken.vm["tags"]) == (True, True, ["db"])
        assert (taken.before["adopted"], taken.after["adopted"]) == (False, True)
        kinds = [request.kind for request in cell.client.list()]
        assert kinds == ["tag", "adopt"]
        assert not bring(cell, **about, adopt=True, tags=("db",)).changed
        # Now it is a vm like any other.
        assert bring(cell, **about, state=Presence.STOPPED, force=True, stop_timeout=0).changed
        back = bring(cell, **about, adopt=False)
        assert (back.changed, back.vm["adopted"], back.vm["tags"]) == (True, False, [])
        assert not bring(cell, **about, adopt=False).changed
        with pytest.raises(errors.NameTaken):
            bring(cell, **about, state=Presence.RUNNING)
        assert NAME in cell.defined(KVM0)

    def test_one_that_is_off_is_no_image_any_more(self, cell: Cell) -> None:
        cell.add(KVM0, NAME, active=False, image=None)
        about = {"name": NAME, "image": None}
        assert bring(cell, **about, adopt=True).changed
        with pytest.raises(errors.ImageUnknown):
            bring(cell, image=NAME)
        assert bring(cell, **about, adopt=False).changed
        assert bring(cell, image=NAME, customize="none").changed

    def test_it_is_not_removed_by_the_way(self, cell: Cell) -> None:
        cell.add(KVM0, NAME, active=False, image=None)
        about = {"name": NAME, "image": None}
        bring(cell, **about, adopt=True)
        for tell in (foresee, bring):
            with pytest.raises(errors.NotOwn, match="remove_foreign_disks=true"):
                tell(cell, **about, state=Presence.ABSENT)
        assert NAME in cell.defined(KVM0)
        gone = {**about, "state": Presence.ABSENT, "remove_foreign_disks": True}
        assert foresee(cell, **gone).changed
        assert bring(cell, **gone).changed
        assert NAME not in cell.defined(KVM0)

    def test_a_protected_one_is_not_given_back(self, cell: Cell) -> None:
        cell.add(KVM0, NAME, active=False, image=None)
        about = {"name": NAME, "image": None}
        assert bring(cell, **about, adopt=True, protected=True).vm["protected"]
        for tell in (foresee, bring):
            with pytest.raises(errors.VmProtected, match=f"cannot disown {NAME} on host {KVM0}"):
                tell(cell, **about, adopt=False)
        bring(cell, **about, protected=False)
        assert bring(cell, **about, adopt=False).changed

    def test_of_two_the_host_says_which(self, cell: Cell) -> None:
        for host in (KVM0, KVM1):
            cell.add(host, NAME, active=True, image=None)
        with pytest.raises(errors.NameTaken, match="set host to say which one"):
            bring(cell, name=NAME, image=None, adopt=True)
        assert bring(cell, name=NAME, image=None, adopt=True, host=KVM1).vm["host"] == KVM1
