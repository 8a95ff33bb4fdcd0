# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network devices a host tells."""

from __future__ import annotations

import socket

import pytest
from maglica.host_worker.daemon.net_devices import net_devices


def test_what_a_bridge_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["lo", "vnet7", "br0", "macvtap0", "a\udc80b", "eth0"]
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(names, 1)))
    assert net_devices("qemu:///system") == ("br0", "eth0", "lo")
    assert net_devices("test:///default") is None
    names += [f"br{number}" for number in range(1, 300)]
    assert net_devices("qemu:///system") is None


def test_what_can_not_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError("no netlink")

    monkeypatch.setattr(socket, "if_nameindex", refused)
    assert net_devices("qemu:///system") is None
