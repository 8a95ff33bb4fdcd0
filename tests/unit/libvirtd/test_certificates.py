# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt says of certificates and passwords, explained."""

from __future__ import annotations

import pytest
from maglica.libvirtd.certificates import explained

CONFIRMATION = "Unable to read TLS confirmation: Input/output error"
REMEDY = "; run the playbook maglica.cloud.deploy again, which makes certificates anew"


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("qemu+tls://kvm0/system?pkipath=/home/a%20b/pki", "/home/a b/pki"),
        ("qemu://kvm0/system", "libvirt's usual folders"),
    ],
)
def test_it_says_whose_certificate_is_meant_and_what_to_do(uri: str, place: str) -> None:
    assert explained(uri, CONFIRMATION) == (
        f"{CONFIRMATION}: the host does not take the certificate in {place}: there is none, or it"
        f" was taken back, or is of another authority{REMEDY}"
    )
    assert explained(uri, "The client certificate x has expired").endswith(f"expired{REMEDY}")


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("qemu+tls://kvm0/system", "unable to connect to server at 'kvm0:16514': refused"),
        ("qemu+ssh://kvm0/system", "a certificate of ssh's"),
        ("qemu:///system", "a certificate of QEMU's"),
    ],
)
def test_what_is_not_of_certificates_stays(uri: str, text: str) -> None:
    assert explained(uri, text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Failed to collect auth credentials", "the host asks for a user and a password; name"),
        ("authentication failed", "the host does not take this user with this password"),
        ("Failed to start SASL negotiation: -4 (no mechanism available: x)", "install"),
    ],
)
def test_it_says_what_is_wrong_with_a_password(text: str, said: str) -> None:
    told = f"authentication failed: {text}"
    for uri in ("qemu+tls://kvm0/system", "qemu+tcp://kvm0/system"):
        assert explained(uri, told).startswith(f"{told}: ")
        assert said in explained(uri, told)
