# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without /proc, such as a Mac: nothing can be ended there, and nothing is waited for."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from maglica.config.config import HostEntry
from maglica.libvirtd import all_hosts, interrupter
from maglica.libvirtd.session import Options, Session
from maglica.system import processes
from support.testdriver import Libvirtd

# Long enough for a host that answers, beside other tests.
TIMEOUT = 5.0


@pytest.fixture(autouse=True)
def no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(interrupter, "_DESCRIPTORS", tmp_path / "proc" / "self" / "fd")
    monkeypatch.setattr(processes, "_PROC", tmp_path / "proc")


def _name(session: Session) -> str:
    with session.connected() as connection:
        name: str = connection.getHostname()
        return name


def _give_up(session: Session) -> str:
    """A call that hangs is given up, and the host is read on by another connection."""
    with session.connected() as connection:
        go_on = threading.Event()
        try:
            session.aside(connection, go_on.wait, TIMEOUT / 4)
        except TimeoutError:
            go_on.set()
    return _name(session)


def test_a_silent_host_is_given_up(
    libvirtd: Libvirtd,
    node: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(interrupter, "GRACE", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = HostEntry("silent", f"qemu+tcp://127.0.0.1:{server.getsockname()[1]}/system")
        good = HostEntry("good", libvirtd.uri(node))
        started = time.monotonic()
        names, unreachable = all_hosts.each([silent, good], _name, Options(timeout=TIMEOUT))
        seconds = time.monotonic() - started
        (left,) = (each for each in threading.enumerate() if each.name == "maglica silent")
        assert left.daemon
    assert list(names) == ["good"]
    assert [missing.text for missing in unreachable] == ["no answer within 5 s"]
    assert seconds < interrupter.GRACE
    assert caplog.messages == []
    # The server is gone, and with it what the call waited for.
    left.join()


def test_a_call_that_hangs_is_given_up(libvirtd: Libvirtd, node: Path) -> None:
    host = HostEntry("good", libvirtd.uri(node))
    started = time.monotonic()
    assert all_hosts.one(host, _give_up, Options(timeout=30))
    assert time.monotonic() - started < 30
