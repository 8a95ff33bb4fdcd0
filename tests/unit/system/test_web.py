# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from maglica.system import web
from maglica.system.web import Interrupted, Web


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_all_addresses_of_a_host_together_have_the_time(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror has a dozen, and a firewall that lets nothing out answers for none of them."""
    waited: list[float] = []

    class Silent:
        def settimeout(self, seconds: float) -> None:
            waited.append(seconds)

        def connect(self, _where: Any) -> None:
            raise TimeoutError

        def close(self) -> None:
            pass

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 80)) for n in range(12)]
    monkeypatch.setattr(web.socket, "getaddrinfo", lambda *_arguments: found)
    monkeypatch.setattr(web.socket, "socket", lambda *_arguments: Silent())
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(Interrupted, match="nothing came for 60 s"):
        Web(60).ask(f"{scheme}://mirror.example.com/a.img", {})
    assert len(waited) == 12
    assert sum(waited) == pytest.approx(60)


@pytest.mark.parametrize("turned", [False, True])
def test_an_address_of_a_family_that_the_host_lacks_is_passed_over(
    turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def settimeout(self, _seconds: float) -> None:
            pass

        def connect(self, _where: Any) -> None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

        def close(self) -> None:
            pass

    def made(family: int, *_arguments: Any) -> Refusing:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return Refusing()

    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 80, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
    ]
    found = found[::-1] if turned else found
    monkeypatch.setattr(web.socket, "getaddrinfo", lambda *_arguments: found)
    monkeypatch.setattr(web.socket, "socket", made)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(Interrupted, match=r"^Connection refused$"):
        Web(60).ask("http://mirror.example.com/a.img", {})
