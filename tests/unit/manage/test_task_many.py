# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite for many on a fake cell; tests/integration has it on a real one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from maglica.manage.target import Waiting, failures
from maglica.manage.wanted import want
from maglica.model import errors
from maglica.verbs.table import Presence
from support.vm_fake import FakeCell
from support.vm_suite import HOSTS
from support.vms_prune_suite import PruneSuite
from support.vms_suite import VmsSuite, bring, changed, group, listed, web


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


class TestFakeCell(VmsSuite, PruneSuite):
    pass


def test_what_is_too_much_for_one_message_is_told_before_it_is_sent(cell: FakeCell) -> None:
    asked = group(501, state=Presence.STOPPED)
    bring(cell, asked)
    resized = group(501, state=Presence.RUNNING, vcpus=2)
    before = len(cell.requests)
    with pytest.raises(errors.LimitExceeded, match="1002 requests for 501 vms are more than 1000"):
        bring(cell, resized, Waiting(wait=False))
    assert len(cell.requests) == before
    assert len(changed(bring(cell, resized))) == 501


@pytest.mark.parametrize("state", [Presence.PRESENT, Presence.ABSENT])
def test_what_can_not_be_read_is_not_passed_over(cell: FakeCell, state: Presence) -> None:
    bring(cell, group(2))
    ((key, unread),) = [each for each in cell.domains.items() if each[1].name in web(2)]
    cell.domains[key] = replace(unread, made=None, image=None)
    before = len(cell.requests)
    with pytest.raises(errors.LibvirtFailed, match=rf"made vm {unread.name} on host {unread.host}"):
        bring(cell, group(2, state=state))
    assert len(cell.requests) == before


def test_an_image_that_maglica_made_is_none_of_the_vms(cell: FakeCell) -> None:
    (first,) = web(1)
    cell.add(HOSTS[0], first, active=False, image=None)
    image = replace(cell.domains[HOSTS[0], first], made=True, is_image=True)
    cell.domains[HOSTS[0], first] = image
    assert changed(bring(cell, group(2))) == web(2, 3)
    assert changed(bring(cell, group(0, exact=True, state=Presence.ABSENT))) == web(2, 3)
    assert cell.domains[HOSTS[0], first] == image


def test_a_client_worker_that_is_lost_takes_no_account_with_it(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(cell, group(1))

    def lost(*_asked: object) -> None:
        raise errors.PeerSilent("the client worker does not answer")

    monkeypatch.setattr(cell, "wait_all", lost)
    there, *going = bring(cell, group(10))
    assert (there.error, there.vm["name"]) == (None, web(1)[0])
    assert {str(member.error) for member in going} == {"the client worker does not answer"}
    assert {member.request.id for member in going} <= cell.requests.keys()
    error = failures([there, *going])
    assert isinstance(error, errors.PeerSilent)
    assert str(error).startswith("9 of 10 vms failed: web02.example.jp, web03.example.jp, ")
    assert str(error).endswith(", and 1 more: the client worker does not answer")


def test_a_cancellation_that_is_lost_fails_alone(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(cell, listed("a.example.jp"))
    cell.hold()
    bring(cell, listed("b.example.jp"), Waiting(wait=False))
    cell.release()

    def lost(_request_id: str) -> None:
        raise errors.PeerSilent("the client worker does not answer")

    monkeypatch.setattr(cell, "cancel", lost)
    asked = [want(name, Presence.ABSENT) for name in ("a.example.jp", "b.example.jp")]
    gone, open_ = bring(cell, asked)
    assert (gone.error, gone.changed) == (None, True)
    assert isinstance(open_.error, errors.PeerSilent)
