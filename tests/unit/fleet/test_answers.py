# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers by TCP, and how the addresses of vms are waited for by it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from maglica.fleet import answers, by_libvirt
from maglica.libvirtd.addresses import ANY
from maglica.model.reported import AddressSource
from maglica.model.vm import Domain, Interface

SPEAKS, HANGS, CLOSES, REFUSES = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which one address speaks SSH, one takes connections, and one ends them."""
    with socket.create_server((SPEAKS, 0)) as speaks:
        found: int = speaks.getsockname()[1]
        with (
            socket.create_server((HANGS, found)),
            socket.create_server((CLOSES, found)) as closes,
        ):

            def serve(server: socket.socket, said: bytes) -> None:
                while True:
                    try:
                        connection, _peer = server.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(said)

            for server, said in ((speaks, b"SSH-2.0-test\r\n"), (closes, b"")):
                threading.Thread(target=serve, args=(server, said), daemon=True).start()
            yield found
            for server in (speaks, closes):
                server.shutdown(socket.SHUT_RDWR)


def test_who_is_there(port: int) -> None:
    asked = [SPEAKS, HANGS, CLOSES, REFUSES, "255.255.255.255", "2001:db8::1"]
    # Nobody has the last two.
    begun = time.monotonic()
    assert answers.answering(asked, 2, port=port) == {SPEAKS, HANGS, CLOSES, REFUSES}
    assert answers.answering(asked, 2, ssh=True, port=port) == {SPEAKS}
    assert time.monotonic() - begun < 20
    assert answers.answering([], 9) == set()


@pytest.mark.parametrize(
    ("said", "is_ssh"),
    [
        (b"SSH-2.0-test\r\n", True),
        (b"Authorized use only\r\nSSH-2.0-test\r\n", True),
        (b"HTTP/1.1 400 no SSH-2.0 here\r\n", False),
        (b"SSH", False),
        # Nobody listens for ever.
        (b"a line\r\n" * 2000 + b"SSH-2.0-test\r\n", False),
    ],
)
@pytest.mark.parametrize("piece", [3, 1024])
def test_who_speaks_ssh(
    monkeypatch: pytest.MonkeyPatch, said: bytes, is_ssh: bool, piece: int
) -> None:
    monkeypatch.setattr(answers, "_PIECE", piece)
    with socket.create_server((SPEAKS, 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            connection, _peer = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = answers.answering([SPEAKS], 5, ssh=True, port=port)
        thread.join()
    assert found == ({SPEAKS} if is_ssh else set())


class Session:
    """Where time passes by sleeping only."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def connected(self) -> Any:
        return nullcontext()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def domain(name: str, address: str | None = None) -> Domain:
    nic = Interface("52:54:00:00:00:01", "default", (address,) if address else ())
    return Domain(name, name, "kvm0", "running", True, interfaces=(nic,), address=address)


@pytest.mark.parametrize(
    ("ssh", "there", "met"),
    [
        (False, [set()], {"leased"}),
        (False, [set(), {"192.0.2.2"}], {"leased", "fixed"}),
        (True, [{"192.0.2.1"}], {"leased"}),
        (True, [{"192.0.2.2"}], {"fixed"}),
    ],
)
def test_a_fixed_address_is_met_when_it_answers(
    monkeypatch: pytest.MonkeyPatch, ssh: bool, there: list[set[str]], met: set[str]
) -> None:
    leased, fixed = domain("leased", "192.0.2.1"), domain("fixed", "192.0.2.2")
    asked: list[set[str]] = []

    def read_some(_session: Any, _connection: Any, reading: Any) -> tuple[Domain, ...]:
        by_lease = AddressSource.LEASE in reading.sources
        seen = (leased, replace(domain("fixed")) if by_lease else fixed)
        return tuple(each for each in seen if reading.wanted(each, None))

    def answering(addresses: set[str], _seconds: float, *, ssh: bool) -> set[str]:
        asked.append(addresses)
        return addresses & there[min(len(asked), len(there)) - 1]

    monkeypatch.setattr(by_libvirt.host_reader, "read_some", read_some)
    monkeypatch.setattr(answers, "answering", answering)
    session: Any = Session()
    monkeypatch.setattr(by_libvirt, "time", session)
    found = by_libvirt._wait(session, {("leased", "kvm0"), ("fixed", "kvm0")}, ANY, 5.0, ssh)
    assert {each.name for each in found if each.address} == met
    assert all(each.interfaces[0].addresses for each in found)
    assert asked[0] == ({"192.0.2.1", "192.0.2.2"} if ssh else {"192.0.2.2"})
    # Who was met is not asked again.
    assert len(session.slept) == len(asked) - 1


def test_each_of_many_addresses_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    vms = [domain(f"vm{number}", f"192.0.2.{number}") for number in range(250)]
    rounds: list[set[str]] = []

    def answering(addresses: set[str], _seconds: float, *, ssh: bool) -> set[str]:
        rounds.append(addresses)
        return set()

    monkeypatch.setattr(answers, "answering", answering)
    asker = answers.Rounds(ssh=False)
    silent = [replace(each, address=None) for each in vms]
    for _round in range(3):
        assert not any(each.address for each in asker.met(silent, lambda _uuids: vms))
    every = {each.address for each in vms}
    assert [len(asked) for asked in rounds] == [200, 200, 200]
    assert rounds[0] | rounds[1] == every
    # The third goes on where the second ended.
    assert every - rounds[1] <= rounds[2]
