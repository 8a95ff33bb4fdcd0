# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud whose hosts ask for a password besides the certificate; then all of it is removed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.cloud import IMAGE, STATE, Cloud
from support.machine_state import LOOK, difference
from support.playbooks import play
from support.reading import reasons

VM = "password0.example.jp"
PASSWORD = "right; 'and' \"long\""
WITH = json.dumps(
    {
        "libvirtd_sasl_users": [{"name": "library", "password": PASSWORD}],
        "library_sasl_user": "library",
        "library_sasl_password": PASSWORD,
    }
)
AUTH = STATE / "library.auth"


@pytest.fixture
def removed(cloud: Cloud) -> Iterator[dict[str, str]]:
    """Return what each host is like without Maglica; it is deployed as it was in the end."""
    play(cloud, "remove")
    yield {host: cloud.ssh(host, LOOK) for host in cloud.hosts}
    play(cloud, "deploy")
    for host in cloud.hosts:
        cloud.wait_alive(host, alive=True)


def test_all_work_with_passwords_of_which_nothing_stays(
    cloud: Cloud, removed: dict[str, str]
) -> None:
    play(cloud, "deploy", "-e", WITH)
    assert play(cloud, "deploy", "-e", WITH)[0] == 0
    for host in cloud.hosts:
        cloud.wait_alive(host, alive=True)
    for host in cloud.description["hosts"]:
        (reason,) = reasons(host["address"], STATE / "pki")
        assert "the host asks for a user" in reason
    assert AUTH.stat().st_mode & 0o777 == 0o600
    made = cloud.vm(VM, image=IMAGE, customize="none", ssh_authorized_keys=[], state="stopped")
    assert made.status == "CHANGED", made.output
    assert VM in cloud.inventory()["_meta"]["hostvars"]
    assert cloud.vm(VM, state="absent").status == "CHANGED"

    play(cloud, "remove", "-e", WITH)
    assert not AUTH.exists()
    for host, before in removed.items():
        changed = difference(before, cloud.ssh(host, LOOK))
        # Packages stay, with what they bring, and so do bases.
        others = [line for line in changed.went | changed.came if "maglica-base." not in line]
        assert [line for line in others if "sasl" not in line or "/etc/sasl2" in line] == []
