# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vm's serial console: a real QEMU, and a guest that sends back what it is sent."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from support import qemu_libvirtd

# Interrupt 14h of a PC's BIOS: ah=0 sets the line up, ah=2 receives (bit 7 of ah: nothing came),
# ah=1 sends.
ECHO = bytes.fromhex(
    "31d2"  # xor dx, dx: the first line
    "b8e300cd14"  # mov ax, 0x00e3; int 0x14
    "b402cd14"  # receive: mov ah, 2; int 0x14
    "f6c48075f7"  # test ah, 0x80; jnz receive
    "b401cd14ebf1"  # mov ah, 1; int 0x14; jmp receive
)
PATIENCE = 60
# A process of its own, since libvirt's event loop is for all of a process from then on.
ATTACH = """
import sys
from maglica.config.config import HostEntry
from maglica.libvirtd import serial
from maglica.model.errors import MaglicaError

uri, name, uuid, take = sys.argv[1:]
try:
    host = HostEntry("kvm0.example.jp", uri)
    left = serial.attach(host, (name, uuid), (0, 1), take=take == "take", timeout=60)
    print("left" if left else "ended", file=sys.stderr)
except MaglicaError as error:
    print(error.code, error, file=sys.stderr)
"""
NOBODY = "6e7ff7a6-0d5c-4a0e-9f25-2f2f4b8a7c11"


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="maglica-serial-") as name,
        qemu_libvirtd.running(Path(name) / "libvirtd") as uri,
    ):
        yield uri


@pytest.fixture
def vm(host: str, tmp_path: Path) -> Iterator[Any]:
    """A vm that runs."""
    disk = tmp_path / "disk"
    disk.write_bytes(ECHO.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    connection = libvirt.open(host)
    xml = qemu_libvirtd.definition(
        "echo", {"vda": ("raw", disk)}, devices="<serial type='pty'/><console type='pty'/>"
    )
    domain = connection.defineXML(xml)
    domain.create()
    yield domain
    if domain.isActive():
        domain.destroy()
    domain.undefine()
    connection.close()


class Terminal:
    """The console in a process, and its user's end."""

    def __init__(
        self, host: str, uuid: str, take: bool = False, keys: Any = subprocess.PIPE
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ATTACH, host, "echo", uuid, "take" if take else "ask"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        with self._process:
            pass

    def type(self, keys: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(keys)

    def no_more_keys(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def hear(self, seconds: float = PATIENCE) -> bytes:
        """Return what the guest says, or nothing if it says nothing for so long."""
        assert self._process.stdout
        readable, _writable, _odd = select.select([self._process.stdout], [], [], seconds)
        return os.read(self._process.stdout.fileno(), 4096) if readable else b""

    def hear_all(self, wanted: bytes) -> None:
        heard = b""
        while wanted not in heard:
            more = self.hear()
            assert more, heard
            heard += more

    def wait_for_guest(self) -> None:
        """Type until the guest, which takes its time to start, answers."""
        for _second in range(PATIENCE):
            self.type(b".")
            if self.hear(1):
                return
        raise AssertionError("the guest does not answer")

    def ended(self) -> str:
        """Return what it said at its end."""
        assert self._process.stderr
        said = self._process.stderr.read().decode()
        self._process.wait(PATIENCE)
        return said.strip()


def test_keys_go_to_the_guest_and_its_words_come_back_until_the_user_leaves(
    host: str, vm: Any
) -> None:
    with Terminal(host, vm.UUIDString()) as terminal:
        terminal.wait_for_guest()
        terminal.type(b"who are you?\r\n")
        terminal.hear_all(b"who are you?\r\n")
        terminal.type(b"bye\x1dnot this")
        assert terminal.ended() == "left"
    assert vm.isActive()


def test_all_that_is_typed_before_the_end_of_the_keys_reaches_the_guest(host: str, vm: Any) -> None:
    with Terminal(host, vm.UUIDString()) as terminal:
        terminal.wait_for_guest()
        terminal.no_more_keys()
        assert terminal.ended() == "left"


def test_keys_may_come_from_a_file_or_from_nowhere(host: str, vm: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"hello")
    for path in (tmp_path / "keys", Path(os.devnull)):
        with path.open("rb") as keys, Terminal(host, vm.UUIDString(), keys=keys) as terminal:
            assert terminal.ended() == "left"


def test_one_has_it_until_another_takes_it(host: str, vm: Any) -> None:
    uuid = vm.UUIDString()
    with Terminal(host, uuid) as first:
        first.wait_for_guest()
        with Terminal(host, uuid) as second:
            assert second.ended().startswith(
                "libvirt_failed the serial console of vm echo on host kvm0.example.jp can't be"
                " opened: "
            )
        with Terminal(host, uuid, take=True) as third:
            third.wait_for_guest()
            assert first.ended().startswith(
                "libvirt_failed the serial console of vm echo on host kvm0.example.jp was cut off: "
            )


def test_it_ends_with_the_guest(host: str, vm: Any) -> None:
    with Terminal(host, vm.UUIDString()) as terminal:
        terminal.wait_for_guest()
        vm.destroy()
        assert terminal.ended() == "ended"


def test_what_is_not_there_is_named(host: str, vm: Any) -> None:
    vm.destroy()
    with Terminal(host, vm.UUIDString()) as terminal:
        off = "vm_stopped vm echo on host kvm0.example.jp is off: start it first"
        assert terminal.ended() == off
    with Terminal(host, NOBODY) as terminal:
        assert terminal.ended() == "vm_unknown there is no vm echo on host kvm0.example.jp"
    with Terminal("qemu+unix:///system?socket=/nowhere", NOBODY) as terminal:
        assert terminal.ended().startswith("host_down host kvm0.example.jp: ")
