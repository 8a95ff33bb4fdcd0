# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom libzmq lets in."""

from __future__ import annotations

import pytest
from maglica.client_worker.access import Caller, Table
from maglica.client_worker.zap import zap
from maglica.model.request import Role
from maglica.wire.sockets import PUBLISH_DOMAIN, REQUEST_DOMAIN
from zmq.utils import z85

PUBLIC = bytes(range(32))
KEY = z85.encode(PUBLIC).decode()
OTHER = z85.encode(PUBLIC[::-1]).decode()


def question(domain: str, public: bytes = PUBLIC) -> list[bytes]:
    return [b"1.0", b"7", domain.encode(), b"192.0.2.7", b"", b"CURVE", public]


def table(role: Role) -> Table:
    return Table({KEY: Caller("kvm0", role, KEY)})


@pytest.mark.parametrize(
    ("role", "domain", "let_in"),
    [
        (Role.CLIENT, REQUEST_DOMAIN, True),
        (Role.OBSERVER, REQUEST_DOMAIN, True),
        (Role.HOST, REQUEST_DOMAIN, True),
        (Role.HOST, PUBLISH_DOMAIN, True),
        (Role.CLIENT, PUBLISH_DOMAIN, False),
        (Role.OBSERVER, PUBLISH_DOMAIN, False),
        (Role.CLIENT, "", False),
        (Role.HOST, "maglica", False),
    ],
)
def test_zap_by_role_and_domain(role: Role, domain: str, let_in: bool) -> None:
    verdict = zap(question(domain), table(role))
    if let_in:
        assert verdict.frames == [b"1.0", b"7", b"200", b"OK", KEY.encode(), b""]
        assert verdict.refusal is None
    else:
        assert verdict.frames == [b"1.0", b"7", b"400", b"refused", b"", b""]
        assert verdict.refusal == f"{role.value} kvm0 from 192.0.2.7 may not use {domain}"


@pytest.mark.parametrize(
    ("frames", "status", "refusal"),
    [
        (question(REQUEST_DOMAIN, PUBLIC[::-1]), b"400", f"unknown key {OTHER} from 192.0.2.7"),
        (question(REQUEST_DOMAIN, PUBLIC[:31]), b"400", "no CURVE key, from 192.0.2.7"),
        ([*question(REQUEST_DOMAIN)[:6], b"a", b"b"], b"500", "no ZAP request for CURVE"),
        ([*question(REQUEST_DOMAIN)[:5], b"NULL"], b"500", "no ZAP request for CURVE"),
        ([*question(REQUEST_DOMAIN)[:5], b"PLAIN", PUBLIC], b"400", "no CURVE key, from 192.0.2.7"),
        ([b"2.0", *question(REQUEST_DOMAIN)[1:]], b"500", "no ZAP request for CURVE"),
        ([b"1.0"], b"500", "no ZAP request for CURVE"),
        ([], b"500", "no ZAP request for CURVE"),
    ],
)
def test_zap_refuses_the_rest(frames: list[bytes], status: bytes, refusal: str) -> None:
    verdict = zap(frames, table(Role.HOST))
    assert verdict.frames[2:] == [status, b"refused", b"", b""]
    assert verdict.refusal == refusal
