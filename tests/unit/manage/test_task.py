# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites on a fake cell; tests/integration has them on a real one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from maglica.guest.cloud_init import yaml_text
from maglica.manage.target import WaitFor, Waiting
from maglica.manage.task import Task
from maglica.manage.wanted import want
from maglica.model import errors
from maglica.model.request import HostReport, HostStatus, LookSummary, Request, State
from maglica.model.vm import Domain
from maglica.verbs.table import Presence
from support.vm_adopt_suite import AdoptSuite
from support.vm_beside_suite import BesideSuite
from support.vm_fake import FakeCell
from support.vm_joined_suite import JoinedSuite
from support.vm_settings_suite import SettingsSuite
from support.vm_size_suite import SizeSuite
from support.vm_suite import FIXED, IMAGE, NAME, VmSuite, bring, foresee, release_and_bring


@pytest.fixture
def cell() -> FakeCell:
    return FakeCell()


class TestFakeCell(VmSuite, JoinedSuite, BesideSuite, SizeSuite, AdoptSuite, SettingsSuite):
    pass


def test_what_was_not_done_is_no_part_of_the_difference(cell: FakeCell) -> None:
    bring(cell, state=Presence.STOPPED)

    def fail_start(request: Request) -> None:
        if request.kind == "start" and not request.state.ended:
            cell.fail_next("no_room", "the host is full")

    task = Task(cell.client, cell.hosts, Waiting(), fail_start)
    (lost,) = task.bring([want(NAME, Presence.RUNNING, memory_mib=96)])
    assert isinstance(lost.error, errors.NoRoom)
    assert lost.has_changed
    differing = {key for key, value in lost.after.items() if lost.before[key] != value}
    assert (differing, lost.after["memory_mib"]) == ({"memory_mib"}, 96)
    assert lost.after["state"] == "stopped"


def test_a_vm_that_is_just_being_made_in_another_mode_is_named(cell: FakeCell) -> None:
    cell.hold()
    bring(cell, Waiting(wait=False), clone_mode="full")
    made = release_and_bring(cell, clone_mode="linked")
    assert (made.error, made.kept) == (None, ("clone_mode",))


def test_what_is_being_cancelled_is_made_anew(cell: FakeCell) -> None:
    cell.hold()
    first = bring(cell, Waiting(wait=False))
    assert first.request is not None
    assert cell.client.cancel(first.request.id).cancelling
    foreseen = foresee(cell)
    assert (foreseen.changed, foreseen.before) == (True, {"state": "absent"})
    with pytest.raises(errors.RequestConflict, match=f"{first.request.id}.* being cancelled"):
        bring(cell, Waiting(wait=False))
    made = release_and_bring(cell)
    assert made.vm is not None
    assert (made.changed, made.before, made.vm["state"]) == (True, foreseen.before, "running")
    assert made.request is not None
    assert made.request.id != first.request.id
    assert made.request.state is State.DONE


@pytest.mark.parametrize("state", [Presence.RUNNING, Presence.RESTARTED], ids=lambda s: s.value)
def test_check_mode_asks_the_client_worker_of_whatever_would_be_asked_for(
    cell: FakeCell, state: Presence
) -> None:
    # More than a host has: it is refused when the vm is to run.
    made = bring(cell, state=Presence.STOPPED)
    key = (made.vm["host"], NAME)
    cell.domains[key] = replace(cell.domains[key], memory_mib=1 << 21)
    for act in (foresee, bring):
        with pytest.raises(errors.NoRoom, match=f"start {NAME} on host"):
            act(cell, state=state)
    assert foresee(cell, state=Presence.ABSENT).changed


@pytest.mark.parametrize(
    ("until", "text"),
    [
        (WaitFor.ADDRESS, "but nothing answers at its fixed address 192.0.2.7 after 30 s: the"),
        (WaitFor.SSH, "but no SSH server answers at 192.0.2.7 after 30 s; it may not be up yet"),
    ],
)
def test_a_fixed_address_is_waited_for_until_it_answers(
    cell: FakeCell, until: WaitFor, text: str
) -> None:
    patient = Waiting(until=until, timeout=30)
    cell.deaf = {"192.0.2.7"}
    with pytest.raises(errors.RequestTimeout, match=f"{NAME} runs on host .*, {text}"):
        bring(cell, patient, interfaces=(FIXED,))
    cell.deaf = set()
    found = bring(cell, patient, interfaces=(FIXED,))
    assert found.vm is not None
    assert (found.changed, found.vm["address"]) == (False, "192.0.2.7")
    assert cell.waited == [until is WaitFor.SSH] * 2


@pytest.mark.parametrize("act", [foresee, bring])
def test_what_is_refused_later_is_not_begun(cell: FakeCell, act: Any) -> None:
    bring(cell)
    before = dict(cell.domains)
    with pytest.raises(errors.NoRoom, match=f"cannot resize {NAME} on host"):
        act(cell, state=Presence.STOPPED, memory_mib=10 << 20)
    assert (cell.domains, len(cell.client.list())) == (before, 1)


@pytest.mark.parametrize("act", [foresee, bring])
def test_user_data_is_read_before_anything_is_asked_for(cell: FakeCell, act: Any) -> None:
    with pytest.raises(errors.NameInvalid, match="user_data is not YAML that cloud-init takes: li"):
        act(cell, user_data="#cloud-config\na: b: c\n")
    with pytest.raises(errors.NameInvalid, match=r"what Maglica sets itself.*: hostname \(set"):
        act(cell, user_data="#cloud-config\nhostname: other\n")
    assert cell.client.list() == ()


def test_without_pyyaml_its_host_reads_user_data(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise errors.DependencyMissing(f"this Python lacks {name}")

    monkeypatch.setattr(yaml_text, "need", missing)
    assert foresee(cell, user_data="#cloud-config\na: b: c\n").changed
    # What can be seen without is seen.
    with pytest.raises(errors.NameInvalid, match="user_data begins with"):
        foresee(cell, user_data="a: b")


def test_more_user_data_than_can_be_handed_in_together(cell: FakeCell) -> None:
    data = "#!/bin/sh\n" + "#" * 60_000
    wanted = [want(f"vm{n}.example.jp", image=IMAGE, user_data=data) for n in range(9)]
    task = Task(cell.client, cell.hosts, Waiting())
    with pytest.raises(
        errors.LimitExceeded, match=r"user_data of 9 vms has 540\d\d\d bytes togeth"
    ):
        task.foresee(wanted)
    assert len(task.foresee(wanted[:8])) == 8


def test_the_difference_has_the_way_that_was_chosen(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = cell._made
    told = {"customize": "offline", "customize_reason": "its cloud-init is not there"}

    def made(*values: Any) -> Domain:
        domain = replace(real(*values), **told)
        cell.domains[domain.host, domain.name] = domain
        return domain

    monkeypatch.setattr(cell, "_made", made)
    assert foresee(cell).after["customize"] == "auto"
    found = bring(cell)
    assert found.vm is not None
    assert (found.vm["customize"], found.after["customize"]) == ("offline", "offline")


@pytest.mark.parametrize("way", ["auto", "cloud-init"])
def test_check_mode_fails_for_an_image_that_its_host_has_refused(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    look = LookSummary(IMAGE, "v", False, "no family is known", True)
    status = HostStatus("kvm0", True, None, 1.0, HostReport(looks=(look,)))
    monkeypatch.setattr(cell, "host", lambda _name: status)
    (refused,) = Task(cell.client, cell.hosts, Waiting()).foresee(
        [want(NAME, image=IMAGE, customize=way)]
    )
    assert isinstance(refused.error, errors.GuestUnsupported)
    assert (refused.has_changed, refused.vm) == (False, None)
    assert not foresee(cell, customize="none").error
