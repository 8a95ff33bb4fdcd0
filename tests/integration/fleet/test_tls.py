# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirtd that is reached by TLS with certificates of the role's authority, or that is not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maglica.config.config import HostEntry
from maglica.libvirtd.hosts import Gather
from support import testdriver
from support.authority import PLACE, Cloud, serving
from support.ports import free_port
from support.reading import snapshot


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    # Not below pytest's folder, which is root's alone: libvirtd runs as nobody.
    with tempfile.TemporaryDirectory(prefix="maglica-tls-") as name:
        Path(name).chmod(0o755)
        made = Cloud(Path(name))
        made.user("alice")
        yield made


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@contextlib.contextmanager
def _serving(server: Path, port: int) -> Iterator[None]:
    """Run a libvirtd with the certificate of this folder, set up as the role has it."""
    with testdriver.running(serving(server, port)):
        yield


def _reasons(port: int, pki: Path) -> list[str]:
    uri = f"test+tls://127.0.0.1:{port}/default?pkipath={pki}"
    seen = snapshot([HostEntry("kvm0", uri)], gather=Gather.MINIMAL)
    return [entry.text for entry in seen.unreachable]


def _is_let_in(port: int, pki: Path, certificate: str | None = "client") -> bool:
    """Tell whether libvirtd takes a certificate: it says so by one byte, after the handshake.

    libvirt's own client looks at its certificate before, and does not send one that is refused.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pki / "cacert.pem")
    if certificate:
        context.load_cert_chain(pki / f"{certificate}cert.pem", pki / f"{certificate}key.pem")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as peer,
        contextlib.suppress(OSError),
    ):
        return peer.recv(1) == b"\x01"
    return False


def test_only_whom_the_authority_knows_is_let_in(cloud: Cloud, port: int) -> None:
    alice, bob, late = cloud.folder / "alice", cloud.user("bob"), cloud.user("late", days=-0.5)
    cloud.authority.do("revoke", kind="client", name="bob")
    server = cloud.give("server", "server", **PLACE)
    other = cloud.give("other", "server", kind="host", name="kvm1", names=["127.0.0.2"])
    (cloud.folder / "foreign").mkdir()
    mallory = Cloud(cloud.folder / "foreign").user("mallory")
    with _serving(server, port):
        assert _reasons(port, alice) == []
        assert _is_let_in(port, alice)

        (reason,) = _reasons(port, bob)
        assert "does not take the certificate in" in reason
        assert "bob: there is none, or it was taken back" in reason
        assert "maglica.cloud.deploy" in reason
        assert not _is_let_in(port, bob)

        (reason,) = _reasons(port, late)
        assert "late/clientcert.pem has expired; run the playbook maglica.cloud.deploy" in reason
        assert not _is_let_in(port, late)

        # What it is asked for is another authority's; it is one of another authority.
        (reason,) = _reasons(port, mallory)
        assert "is not of the authority in" in reason
        (mallory / "cacert.pem").write_text((alice / "cacert.pem").read_text())
        assert not _is_let_in(port, mallory)

        # A host's key opens no other host.
        assert not _is_let_in(port, other, "server")
        assert not _is_let_in(port, alice, None)
        for file in alice.glob("client*"):
            file.rename(other / file.name)
        (reason,) = _reasons(port, alice)
        assert "alice: there is none, or it was taken back" in reason
        (reason,) = _reasons(port, cloud.folder / "nothing")
        assert "nothing/cacert.pem': No such file" in reason
        assert "maglica.cloud.deploy" in reason
        for file in other.glob("client*"):
            file.rename(alice / file.name)


@pytest.mark.parametrize(
    "wrong", [{"days": -0.5}, {"names": ["127.0.0.2"]}], ids=["expired", "another's"]
)
def test_a_host_that_can_t_show_who_it_is_is_not_spoken_to(
    cloud: Cloud, port: int, wrong: dict[str, Any]
) -> None:
    name = f"server-{'-'.join(wrong)}"
    server = cloud.give(name, "server", **{**PLACE, "name": name, **wrong})
    with _serving(server, port):
        (reason,) = _reasons(port, cloud.folder / "alice")
    assert "authentication failed: Failed to verify peer's certificate: " in reason
    assert "it has ended, is for another name or address, or was taken back" in reason


def test_a_host_s_certificate_that_was_taken_back_is_refused(cloud: Cloud, port: int) -> None:
    server = cloud.give("gone", "server", **{**PLACE, "name": "gone"})
    answer = cloud.authority.do("revoke", kind="host", name="gone")
    alice = cloud.folder / "alice"
    with _serving(server, port):
        assert _reasons(port, alice) == []
        (alice / "cacrl.pem").write_text(answer["revoked"])
        (reason,) = _reasons(port, alice)
    assert "was taken back" in reason
