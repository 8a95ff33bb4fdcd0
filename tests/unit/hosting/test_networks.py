# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network whose first start fails is not taken for one that somebody has stopped."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from maglica.hosting import network, networks
from maglica.hosting.network import NetworkDefinition
from maglica.hosting.present import Change, Hosting, Kind, State
from maglica.model.errors import LibvirtFailed

DEFAULT = NetworkDefinition("default", "nat", "virbr0", "192.168.122.1/24")


class FakeHosting:
    """A libvirtd that writes the configuration of a network's dnsmasq, and can't start it;
    ``active``: since somebody else has.
    """

    def __init__(self, trace: Path, *, active: bool) -> None:
        self.trace = trace
        self.active = active

    def apply(self, _kind: Kind, name: str, _change: Change) -> None:
        self.trace.write_text("late")
        raise LibvirtFailed(f"can't start network {name}")

    def find(self, _kind: Kind, name: str) -> str:
        return name

    def state(self, _kind: Kind, _found: str) -> State:
        return State(active=self.active)


@pytest.mark.parametrize(
    ("had_run", "active", "is_left"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
def test_a_first_start_that_fails_leaves_no_trace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    had_run: bool,
    active: bool,
    is_left: bool,
) -> None:
    monkeypatch.setattr(networks, "DNSMASQ", tmp_path)
    trace = tmp_path / "default.conf"
    if had_run:
        trace.write_text("early")
    hosting = cast(Hosting, FakeHosting(trace, active=active))
    after = State(network.xml(DEFAULT), True, True)
    with pytest.raises(LibvirtFailed):
        networks.apply(hosting, DEFAULT, Change(State(after.xml), after, "uuid"))
    assert trace.exists() == is_left
