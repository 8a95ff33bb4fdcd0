# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import uuid
from dataclasses import replace

from maglica.model.request import Request, User, new_request_id
from maglica.model.vm import vm_uuid
from maglica.verbs.clone import CloneSpec

HASH = "$6$salt$0123456789"


def test_a_password_hash_is_in_no_repr() -> None:
    spec = CloneSpec("vm0", "image", root_password=HASH)
    assert HASH not in repr(Request("id", spec))
    assert spec.without_secrets() == CloneSpec("vm0", "image")


def test_no_secret_is_in_a_repr_or_kept() -> None:
    user = User("admin", ssh_authorized_keys=("ssh-ed25519 AAAA",), password=HASH)
    spec = CloneSpec("vm0", "image", user=user, user_data="#!/bin/sh\nconfidential\n")
    assert HASH not in repr(Request("id", spec))
    assert "confidential" not in repr(Request("id", spec))
    kept = spec.without_secrets()
    assert kept == CloneSpec("vm0", "image", user=replace(user, password=None))


def test_the_uuid_of_a_vm_follows_from_its_request() -> None:
    first, second = new_request_id(), new_request_id()
    assert vm_uuid(first) == vm_uuid(first)
    assert vm_uuid(first) != vm_uuid(second)
    assert uuid.UUID(vm_uuid(first)).version == 5
