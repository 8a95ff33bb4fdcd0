# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of its own child processes a connection ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from maglica.libvirtd.interrupter import Interrupter, Older
from maglica.libvirtd.uri import peer

_STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    while _STARTED:
        process = _STARTED.pop()
        process.kill()
        process.wait()


def _like_ssh(host: str) -> subprocess.Popen[bytes]:
    """Start a process with the arguments that libvirt gives ssh, which never ends by itself."""
    program = ("-c", "import signal; signal.pause()", "-l", "root", "-T", "-e", "none", "--", host)
    _STARTED.append(subprocess.Popen([sys.executable, *program]))
    return _STARTED[-1]


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("qemu+ssh://root@kvm0.example.jp/system", "kvm0.example.jp"),
        ("qemu+ssh://root@KVM0.Example.jp/system", "KVM0.Example.jp"),
        ("qemu+ssh://root@[2001:DB8::1]:22/system", "2001:DB8::1"),
        ("qemu+ssh://root@kvm%30.example.jp/system", "kvm0.example.jp"),
    ],
)
def test_the_ssh_of_a_host_however_it_is_spelled(uri: str, host: str) -> None:
    interrupter = Interrupter(peer(uri), Older.now([peer(uri)]))
    own, other = _like_ssh(host), _like_ssh("kvm1.example.jp")
    interrupter.interrupt()
    assert own.wait(10) == -signal.SIGTERM
    assert other.poll() is None


def test_no_ssh_of_before() -> None:
    uri = "qemu+ssh://root@kvm0.example.jp/system"
    older = _like_ssh("kvm0.example.jp")
    interrupter = Interrupter(peer(uri), Older.now([peer(uri)]))
    own = _like_ssh("kvm0.example.jp")
    interrupter.interrupt()
    assert own.wait(10) == -signal.SIGTERM
    assert older.poll() is None
