# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command on a real client worker and real libvirtds, between two reports of the hosts."""

from __future__ import annotations

import pytest
from support import simulated_host
from support.simulated_host import SimulatedCell
from support.vm_suite import IMAGE, KVM0, KVM1, NAME

from .conftest import Command


@pytest.fixture
def command(cell: SimulatedCell, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, and hosts that report no more."""
    monkeypatch.setattr(simulated_host, "_HELLO", 3600)
    return command


def _rows(command: Command) -> list[list[str]]:
    return [line.split() for line in command("vm", "list").out.splitlines()[2:]]


def test_each_command_sees_what_the_one_before_has_done(command: Command) -> None:
    made = command("vm", "clone", "--image", IMAGE, NAME, "--host", KVM1)
    assert (made.status, made.out.split(" (")[0]) == (0, f"{NAME} is running on {KVM1}")
    assert _rows(command)[0][:3] == [NAME, KVM1, "running"]
    for act, state in (("stop", "stopped"), ("start", "running")):
        assert command("vm", act, NAME).status == 0
        assert _rows(command)[0][:3] == [NAME, KVM1, state]
        again = command("vm", act, NAME)
        assert (again.status, again.out) == (0, f"{NAME} is {state} on {KVM1}: nothing to do\n")
    assert command("vm", "resize", NAME, "--vcpus", "2").status == 0
    assert command("vm", "remove", NAME).status == 4
    assert command("vm", "remove", NAME, "--force").status == 0
    assert _rows(command) == []
    gone = command("vm", "remove", NAME)
    assert (gone.status, gone.err) == (3, f"maglica: there is no vm {NAME}\n")


def test_what_others_made_is_seen_at_once_and_left_alone(
    cell: SimulatedCell, command: Command
) -> None:
    cell.add(KVM0, "foreign.example.jp", active=True, image=None)
    assert _rows(command)[0][:3] == ["foreign.example.jp", KVM0, "running"]
    refused = command("vm", "stop", "foreign.example.jp", "--force")
    assert refused.status == 4
    assert "was not made by Maglica, so it is left alone" in refused.err
    assert _rows(command)[0][:3] == ["foreign.example.jp", KVM0, "running"]


def test_what_is_being_made_is_waited_for(cell: SimulatedCell, command: Command) -> None:
    cell.hold()
    clone = command("vm", "clone", "--image", IMAGE, NAME, "--no-wait")
    assert clone.status == 0
    late = command("vm", "stop", NAME, "--timeout", "1")
    assert (late.status, late.out) == (6, "")
    cell.release()
    assert command("vm", "stop", NAME).status == 0
    assert _rows(command)[0][2] == "stopped"
