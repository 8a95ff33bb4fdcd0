# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from maglica.libvirtd.uri import Endpoint, Way, for_unattended_use, peer
from maglica.model.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("qemu+tcp://kvm0.example.jp/system", Endpoint(Way.INET, "kvm0.example.jp", 16509)),
        ("qemu+tcp://kvm0.example.jp:99/system", Endpoint(Way.INET, "kvm0.example.jp", 99)),
        ("qemu+tls://kvm0/system", Endpoint(Way.INET, "kvm0", 16514)),
        ("qemu://kvm0/system", Endpoint(Way.INET, "kvm0", 16514)),
        ("qemu+tcp://[2001:db8::1]/system", Endpoint(Way.INET, "2001:db8::1", 16509)),
        ("qemu+tcp:///system", Endpoint(Way.INET, "localhost", 16509)),
        ("qemu+libssh2://root@kvm0/system", Endpoint(Way.INET, "kvm0", 22)),
        ("qemu+ssh://root@kvm0:2222/system", Endpoint(Way.CHILD, "kvm0")),
        ("qemu:///system", Endpoint(Way.UNIX)),
        ("qemu+unix:///system?socket=/run/x", Endpoint(Way.UNIX, socket="/run/x")),
        ("test:///default", Endpoint(Way.INSIDE)),
        ("test+tcp://127.0.0.1:1/default", Endpoint(Way.INET, "127.0.0.1", 1)),
        ("test+unix:///default?socket=/x", Endpoint(Way.UNIX, socket="/x")),
    ],
)
def test_peer(uri: str, expected: Endpoint) -> None:
    assert peer(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "kvm0",
        "qemu+pigeon://kvm0/system",
        "qemu+ext://kvm0/system?command=/x",
        "qemu+tcp://kvm0:x/",
        "qemu://[::1/",
        "qemu:///a b",
    ],
)
def test_no_uri(uri: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"libvirt URI|transport"):
        peer(uri)


@pytest.mark.parametrize(
    ("uri", "auth_file", "expected"),
    [
        ("qemu+tcp://kvm0/system", None, "qemu+tcp://kvm0/system"),
        ("qemu+ssh://kvm0/system", None, "qemu+ssh://kvm0/system?no_tty=1"),
        ("qemu+ssh://kvm0/system?no_tty=0", None, "qemu+ssh://kvm0/system?no_tty=0"),
        (
            "qemu+ssh://kvm0/system?a=b",
            "/x y",
            "qemu+ssh://kvm0/system?a=b&no_tty=1&authfile=/x%20y",
        ),
        ("qemu+tcp://kvm0/system", "/etc/a", "qemu+tcp://kvm0/system?authfile=/etc/a"),
        ("qemu+tcp://kvm0/?authfile=/b", "/etc/a", "qemu+tcp://kvm0/?authfile=/b"),
        ("qemu:///system", None, "qemu:///system"),
    ],
)
def test_for_unattended_use(uri: str, auth_file: str | None, expected: str) -> None:
    assert for_unattended_use(uri, auth_file) == expected
