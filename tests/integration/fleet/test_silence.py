# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that do not answer, or not in time: they cost one deadline in all, and nothing stays.

That neither thread, descriptor nor process is left is checked after each test (conftest.py).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from maglica.config.config import HostEntry
from maglica.fleet.snapshot import Snapshot
from maglica.libvirtd import interrupter
from maglica.libvirtd.hosts import Gather
from support.latency import proxied
from support.ports import free_port
from support.reading import snapshot
from support.testdriver import Libvirtd

pytestmark = pytest.mark.alone

TIMEOUT = 1.0
# The same where others do answer, which takes them longer on a slow machine.
PATIENT = 4.0
# Beyond the deadline: ending the threads, on a machine that does other things too. Without the
# deadline it would be minutes.
MARGIN = 15
# The deadline where nobody is silent, and so nobody waits for it.
LONG = 15.0


@contextlib.contextmanager
def _silent(backlog: int = 16) -> Iterator[int]:
    """Accept connections (the kernel does) and never say a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def _deaf() -> Iterator[int]:
    """Don't even answer to SYN, as a host that is switched off: the queue is full."""
    with _silent(0) as port, contextlib.ExitStack() as stack:
        for _turn in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


def _snapshot(
    hosts: list[HostEntry], timeout: float = TIMEOUT, **options: object
) -> tuple[Snapshot, float]:
    started = time.monotonic()
    seen = snapshot(hosts, timeout, **options)
    return seen, time.monotonic() - started


@pytest.mark.parametrize("gather", Gather)
def test_many_that_are_silent_among_some_that_are_not(
    libvirtd: Libvirtd, node: Path, gather: Gather
) -> None:
    with contextlib.ExitStack() as stack:
        good = [HostEntry(f"good{number}", libvirtd.uri(node)) for number in range(4)]
        bad = [
            HostEntry(f"silent{number}", f"qemu+tcp://127.0.0.1:{port}/system")
            for number, port in enumerate(stack.enter_context(_silent()) for _turn in range(6))
        ]
        bad.append(HostEntry("deaf", f"qemu+tcp://127.0.0.1:{stack.enter_context(_deaf())}/system"))
        refused = HostEntry("refused", f"qemu+tcp://127.0.0.1:{free_port()}/system")
        seen, seconds = _snapshot([*bad, refused, *good], PATIENT, gather=gather)
        assert PATIENT <= seconds < PATIENT + MARGIN
        assert [host.name for host in seen.hosts] == ["good0", "good1", "good2", "good3"]
        assert len(seen.vms) == 40
        texts = {missing.host: missing.text for missing in seen.unreachable}
        assert texts.keys() == {"refused", *(host.name for host in bad)}
        assert "Connection refused" in texts.pop("refused")
        assert set(texts.values()) == {"no answer within 4 s"}


def test_nothing_waits_for_hosts_that_refuse() -> None:
    hosts = [
        HostEntry(f"kvm{number}", f"qemu+tcp://127.0.0.1:{free_port()}/system")
        for number in range(5)
    ]
    seen, seconds = _snapshot(hosts, LONG)
    assert len(seen.unreachable) == 5
    assert seconds < LONG


def test_a_host_that_is_too_slow(libvirtd: Libvirtd, node: Path) -> None:
    with proxied(libvirtd.port, delay=1.6) as slow:
        uri = f"test+tcp://127.0.0.1:{slow.port}{node}"
        hosts = [HostEntry("slow", uri), HostEntry("good", libvirtd.uri(node))]
        seen, seconds = _snapshot(hosts, PATIENT)
        assert [missing.host for missing in seen.unreachable] == ["slow"]
        assert [host.name for host in seen.hosts] == ["good"]
        assert seconds < PATIENT + MARGIN


def test_a_host_that_falls_silent_in_the_middle(libvirtd: Libvirtd, node: Path) -> None:
    with proxied(libvirtd.port) as proxy:
        # Each connection gets as far as the domains' definitions.
        proxy.stop_after = 8
        uri = f"test+tcp://127.0.0.1:{proxy.port}{node}"
        seen, seconds = _snapshot([HostEntry("kvm0", uri)])
        assert [missing.text for missing in seen.unreachable] == ["no answer within 1 s"]
        assert seconds < TIMEOUT + MARGIN
        assert proxy.named()["domain_xml"] > 0


def test_a_host_whose_daemon_hangs_up(libvirtd: Libvirtd, node: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _other = server.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        uri = f"qemu+tcp://127.0.0.1:{server.getsockname()[1]}/system"
        hosts = [HostEntry("kvm0", uri), HostEntry("kvm1", libvirtd.uri(node))]
        seen, seconds = _snapshot(hosts, LONG)
        thread.join()
        assert [missing.host for missing in seen.unreachable] == ["kvm0"]
        assert [host.name for host in seen.hosts] == ["kvm1"]
        assert seconds < LONG


def test_a_unix_socket_that_is_silent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        uri = f"qemu:///system?socket={tmp_path}/socket"
        seen, seconds = _snapshot([HostEntry("kvm0", uri)])
        assert [missing.text for missing in seen.unreachable] == ["no answer within 1 s"]
        assert seconds < TIMEOUT + MARGIN


@pytest.mark.parametrize(
    ("habit", "seconds_more"),
    [("", 0), ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", interrupter.GRACE / 2)],
)
def test_an_ssh_that_hangs(tmp_path: Path, habit: str, seconds_more: float) -> None:
    program = tmp_path / "ssh"
    lines = ("#!/usr/bin/python3", "import signal", habit, "while True:", "    signal.pause()")
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    uri = f"qemu+ssh://kvm0.example.jp/system?command={program}"
    seen, seconds = _snapshot([HostEntry("kvm0.example.jp", uri)])
    assert [missing.text for missing in seen.unreachable] == ["no answer within 1 s"]
    assert seconds < TIMEOUT + seconds_more + MARGIN


def test_other_processes_and_connections_are_left_alone(libvirtd: Libvirtd) -> None:
    with _silent() as port, contextlib.ExitStack() as stack:
        older = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        sleeper = subprocess.Popen(["sleep", "60"])
        stack.callback(sleeper.wait)
        stack.callback(sleeper.terminate)
        seen, _other = _snapshot([HostEntry("kvm0", f"qemu+tcp://127.0.0.1:{port}/system")])
        assert len(seen.unreachable) == 1
        older.settimeout(0.05)
        with pytest.raises(TimeoutError):
            older.recv(1)
        assert sleeper.poll() is None


def test_fewer_hosts_at_once_than_there_are(libvirtd: Libvirtd, node: Path) -> None:
    with _silent() as port:
        hosts = [HostEntry("silent", f"qemu+tcp://127.0.0.1:{port}/system")]
        hosts += [HostEntry(f"good{number}", libvirtd.uri(node)) for number in range(5)]
        seen, seconds = _snapshot(hosts, PATIENT, parallel=2, gather=Gather.MINIMAL)
        assert len(seen.hosts) == 5
        assert [missing.host for missing in seen.unreachable] == ["silent"]
        assert seconds < PATIENT + MARGIN
