# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
import os
import socket
from pathlib import Path

import pytest
from maglica.system import systemd

ROLES = Path(__file__).resolve().parents[3] / "roles"


def test_states_reach_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify("READY=1", "STATUS=host kvm0")
        assert manager.recv(100) == b"READY=1\nSTATUS=host kvm0"


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"maglica-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify"])
def test_a_manager_that_is_not_there_is_no_error(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    sent: list[object] = []
    sendto = socket.socket.sendto

    def noted(peer: socket.socket, data: bytes, name: str) -> int:
        sent.append((data, name))
        return sendto(peer, data, name)

    monkeypatch.setattr(socket.socket, "sendto", noted)
    systemd.notify("READY=1")
    assert sent == ([(b"READY=1", address)] if address else [])


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        ("30000000", None, 15.0),
        ("30000000", "own", 15.0),
        ("30000000", "1", None),
        ("", None, None),
        ("soon", None, None),
    ],
)
def test_watchdog_seconds(
    microseconds: str, pid: str | None, expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert systemd.watchdog_seconds() == expected


def test_a_watchdog_is_told_often_enough_and_no_oftener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(systemd.time, "monotonic", lambda: now[0])
    told: list[float] = []
    monkeypatch.setattr(systemd, "notify", lambda *lines: told.append(now[0]))
    monkeypatch.setenv("WATCHDOG_USEC", "120000000")
    watchdog = systemd.Watchdog()
    assert watchdog.longest_wait == 30.0
    for _turn in range(100):
        watchdog.turned()
        now[0] += 2.0
    assert told == [100.0 + 30 * number for number in range(7)]


def test_without_a_watchdog_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.setattr(systemd, "notify", lambda *lines: pytest.fail("told"))
    watchdog = systemd.Watchdog()
    watchdog.turned()
    assert watchdog.longest_wait == math.inf


@pytest.mark.parametrize("unit", [*ROLES.glob("*/templates/*.service.j2")], ids=lambda p: p.name)
def test_a_service_that_hangs_is_started_again(unit: Path) -> None:
    """The units of the workers; a worker waits a few seconds at most, in whatever it does."""
    settings = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    assert (settings["Type"], settings["Restart"]) == ("notify", "always")
    assert int(settings["WatchdogSec"]) >= 60
