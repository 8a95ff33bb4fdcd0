# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diff shows of what will be written into a guest."""

from __future__ import annotations

from maglica.fleet.snapshot import Found
from maglica.manage.plan import decide
from maglica.manage.wanted import want
from maglica.model.request import Nic, User

NAME, IMAGE = "vm0.example.jp", "debian12.original"
KEY, SECRET = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me", "$6$salt$confidential"


def after(**fields: object) -> dict[str, object]:
    return decide(want(NAME, image=IMAGE, **fields), Found(()), None).after


def test_all_that_is_said_is_shown_and_no_secret() -> None:
    shown = after(
        networks=(Nic("default"), Nic(bridge="br0", addresses=("192.0.2.7/24",))),
        ssh_authorized_keys=(KEY,),
        root_password=SECRET,
        user=User("admin", ("adm",), ssh_authorized_keys=(KEY,), password=SECRET),
        user_data="#!/bin/sh\necho confidential\n",
    )
    assert "confidential" not in repr(shown)
    assert {key: shown[key] for key in list(shown)[2:]} == {
        "customize": "auto",
        "hostname": NAME,
        "networks": [{"network": "default"}, {"bridge": "br0", "addresses": ["192.0.2.7/24"]}],
        "ssh_authorized_keys": [KEY],
        "root_password": "(hidden)",
        "user": {
            "name": "admin",
            "groups": ["adm"],
            "ssh_authorized_keys": [KEY],
            "password": "(hidden)",
        },
        "user_data": "(hidden)",
    }


def test_what_is_not_said_is_not_shown() -> None:
    assert {"customize", "hostname"} == after().keys() - {"state", "image"}
    assert after(networks=())["networks"] == []


def test_nothing_is_written_with_none() -> None:
    assert {"customize"} == after(customize="none").keys() - {"state", "image"}
