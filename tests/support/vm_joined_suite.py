# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bringing a vm to a state must do while a request for that vm is open.

It is for the cells of vm_suite.py.
"""

from __future__ import annotations

import pytest
from maglica.manage.target import Waiting
from maglica.model import errors
from maglica.model.request import State
from maglica.verbs.table import Presence
from support.vm_suite import HOSTS, IMAGE, KVM0, KVM1, NAME, Cell, bring, foresee, release_and_bring


class JoinedSuite:
    def test_a_run_that_does_not_wait_is_joined_by_the_next(self, cell: Cell) -> None:
        cell.hold()
        first = bring(cell, Waiting(wait=False))
        assert first.changed
        assert first.request is not None
        assert first.vm is not None
        known = {key: value for key, value in first.vm.items() if value}
        assert known == {"name": NAME, "host": first.request.host}
        assert not first.request.state.ended
        second = bring(cell, Waiting(wait=False))
        assert second.request is not None
        assert second.request.id == first.request.id
        assert foresee(cell).after["host"] == first.request.host
        third = release_and_bring(cell)
        assert third.vm is not None
        assert (third.changed, third.vm["state"]) == (True, "running")
        assert len(cell.client.list()) == 1

    def test_a_run_that_waits_too_long_says_so_and_is_joined(self, cell: Cell) -> None:
        cell.hold()
        with pytest.raises(errors.RequestTimeout) as caught:
            bring(cell, Waiting(timeout=0.3))
        (request,) = cell.client.list()
        text = str(caught.value)
        assert request.id in text
        assert "0.3 s" in text
        assert "run this again to go on waiting" in text
        assert str(request.host) in text
        joined = release_and_bring(cell)
        assert joined.changed
        assert joined.request is not None
        assert joined.request.id == request.id

    def test_a_request_for_another_vm_of_that_name_is_not_joined(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, Waiting(wait=False), host=KVM0)
        with pytest.raises(errors.NameTaken, match="another pool and interfaces "):
            bring(cell, pool="fast", interfaces=())
        with pytest.raises(errors.NameTaken, match="another host "):
            bring(cell, host=KVM1)
        with pytest.raises(errors.NameTaken, match="another image "):
            bring(cell, image="other.original")

    def test_what_others_make_is_waited_for_without_an_image(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, Waiting(wait=False), state=Presence.STOPPED)
        started = release_and_bring(cell, state=Presence.RUNNING, image=None)
        assert started.vm is not None
        assert (started.changed, started.vm["state"]) == (True, "running")

    @pytest.mark.parametrize("image", [IMAGE, None])
    def test_what_is_being_made_is_changed_as_check_mode_tells(
        self, cell: Cell, image: str | None
    ) -> None:
        wanted = {"image": image, "state": Presence.STOPPED, "tags": ("web",), "vcpus": 2}
        cell.hold()
        bring(cell, Waiting(wait=False))
        for act in (foresee, bring):
            with pytest.raises(errors.RequestConflict, match=f"cannot change vm {NAME} yet"):
                act(cell, Waiting(wait=False), **wanted)
        foreseen = foresee(cell, **wanted)
        made = release_and_bring(cell, **wanted)
        assert made.vm is not None
        assert (made.vm["state"], made.vm["tags"], made.vm["vcpus"]) == ("stopped", ["web"], 2)
        for known in ("state", "tags", "vcpus"):
            assert foreseen.after[known] == made.after[known]
        assert (foreseen.changed, foreseen.before["state"]) == (True, made.before["state"])
        assert not bring(cell, **wanted).changed

    def test_what_is_as_wanted_when_it_is_made_has_not_changed(self, cell: Cell) -> None:
        cell.hold()
        bring(cell, Waiting(wait=False), tags=("web",))
        assert not foresee(cell, image=None, tags=("web",)).changed
        assert not release_and_bring(cell, image=None, tags=("web",)).changed

    def test_a_run_again_is_joined_however_an_address_is_written(self, cell: Cell) -> None:
        nic = {"network": "default", "mac": "52:54:00:AA:BB:CC", "addresses": ["2001:DB8:0::7/64"]}
        cell.hold()
        first = bring(cell, Waiting(wait=False), interfaces=[nic])
        again = bring(cell, Waiting(wait=False), interfaces=[nic])
        assert first.request is not None
        assert again.request is not None
        assert again.request.id == first.request.id

    def test_removal_cancels_what_is_being_made(self, cell: Cell) -> None:
        cell.hold()
        made = bring(cell, Waiting(wait=False))
        foreseen = foresee(cell, state=Presence.ABSENT)
        assert foreseen.changed
        gone = release_and_bring(cell, state=Presence.ABSENT)
        assert gone.changed
        assert gone.request is not None
        assert made.request is not None
        assert gone.request.id == made.request.id
        assert gone.request.state is State.CANCELLED
        assert [NAME in cell.defined(host) for host in HOSTS] == [False, False]
