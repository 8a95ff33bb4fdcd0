# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of a machine or user, as the role certificates has them made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.authority import Authority
from support.role_runs import Deployment


class Owner:
    """Somebody on a machine that is all there is of a cloud."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "ca")
        self.pki = folder / "pki"
        self.cloud = Deployment(folder)
        self.cloud.variables["certificates_ca_dir"] = str(self.authority.folder)

    def deploy(self, *options: str, **variables: Any) -> bool:
        """Return whether anything was changed."""
        role = {"name": "maglica.cloud.certificates", "tasks_from": "client.yml"}
        given = {"certificates_name": "alice", "certificates_folder": str(self.pki), **variables}
        return self.cloud.deploy([{"ansible.builtin.include_role": role, "vars": given}], *options)

    @property
    def held(self) -> tuple[str, str]:
        key, certificate = ((self.pki / f"client{end}.pem").read_text() for end in ("key", "cert"))
        return key, certificate


@pytest.fixture
def alice(tmp_path: Path) -> Owner:
    return Owner(tmp_path)


def test_a_key_is_made_once_and_signed_once(alice: Owner) -> None:
    assert alice.deploy("--check")
    assert alice.deploy()
    assert {file.name for file in alice.pki.iterdir()} == {
        *("cacert.pem", "cacrl.pem", "clientcert.pem", "clientkey.pem"),
    }
    assert (alice.pki / "clientkey.pem").stat().st_mode & 0o777 == 0o600
    assert not alice.deploy("--check")
    assert not alice.deploy()


def test_who_has_lost_a_key_gets_another_and_the_old_one_is_void_then(alice: Owner) -> None:
    alice.deploy()
    lost = alice.held[1]
    (alice.pki / "clientkey.pem").unlink()
    assert alice.deploy()
    assert [alice.authority.is_good(each) for each in (lost, alice.held[1])] == [False, True]
