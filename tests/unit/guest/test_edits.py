# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits do to a guest's files what they say."""

from __future__ import annotations

import pytest
from maglica.guest.accounts import shadow_with
from maglica.guest.edits import MakeDirectory, Remove, SetPassword, Write, apply
from maglica.guest.filesystem import Kind
from maglica.model.errors import GuestUnsupported
from support.fake_filesystem import FakeFilesystem

SHADOW = "root:*:19000:0:99999:7:::\nrooty:x:1:0:99999:7:::\n"


def test_write_makes_the_folder_that_is_missing() -> None:
    guest = FakeFilesystem()
    apply([Write("/etc/udev/rules.d/x.rules", b"rule", 0o600)], guest)
    assert guest.text("/etc/udev/rules.d/x.rules") == "rule"
    assert guest.mode("/etc/udev/rules.d/x.rules") == 0o600


def test_a_laid_out_file_is_filled_and_keeps_its_mode() -> None:
    guest = FakeFilesystem()
    guest.add_file("/etc/machine-id", "", 0o444)
    apply([Write("/etc/machine-id", b"id\n", 0o600)], guest, {"/etc/machine-id"})
    assert guest.text("/etc/machine-id") == "id\n"
    assert guest.mode("/etc/machine-id") == 0o444


def test_make_directory_leaves_one_that_is_there() -> None:
    guest = FakeFilesystem()
    guest.add_directory("/root/.ssh", 0o755)
    apply([MakeDirectory("/root/.ssh", 0o700), MakeDirectory("/root/new", 0o700)], guest)
    assert (guest.mode("/root/.ssh"), guest.mode("/root/new")) == (0o755, 0o700)


def test_make_directory_refuses_a_file() -> None:
    with pytest.raises(GuestUnsupported, match=r"/root/\.ssh in the guest is not a directory"):
        apply([MakeDirectory("/root/.ssh")], FakeFilesystem({"root/.ssh": ""}))


def test_remove_takes_all_that_match() -> None:
    guest = FakeFilesystem({"var/lib/dhcp/a.leases": "", "var/lib/dhcp/b.leases": ""})
    guest.add_file("/var/lib/dhcp/keep")
    apply([Remove("/var/lib/dhcp/*.leases")], guest)
    assert guest.glob("/var/lib/dhcp/*") == ("/var/lib/dhcp/keep",)


def test_set_password_changes_one_user() -> None:
    guest = FakeFilesystem()
    guest.add_file("/etc/shadow", SHADOW, 0o640)
    apply([SetPassword("root", "$6$salt$hash", 20000)], guest)
    assert guest.text("/etc/shadow") == (
        "root:$6$salt$hash:20000:0:99999:7:::\nrooty:x:1:0:99999:7:::\n"
    )
    assert guest.mode("/etc/shadow") == 0o640


@pytest.mark.parametrize("kind", [Kind.SYMLINK, Kind.OTHER, Kind.ABSENT])
def test_set_password_wants_a_plain_file(kind: Kind) -> None:
    guest = FakeFilesystem({"etc/other": SHADOW})
    if kind is Kind.SYMLINK:
        guest.add_link("/etc/shadow", "other")
    elif kind is Kind.OTHER:
        guest.add_other("/etc/shadow")
    with pytest.raises(GuestUnsupported, match="/etc/shadow in the guest is not a plain file"):
        apply([SetPassword("root", "$6$salt$hash", 20000)], guest)


@pytest.mark.parametrize("text", ["", "root:*\n", "daemon:*:19000:0:99999:7:::\n"])
def test_shadow_without_the_user(text: str) -> None:
    with pytest.raises(GuestUnsupported, match="no entry for root"):
        shadow_with(text, "root", "$6$salt$hash", 1)


def test_secrets_are_not_shown() -> None:
    edits = [Write("/k", b"PRIVATE"), SetPassword("root", "$6$SECRET$x", 1)]
    assert "PRIVATE" not in repr(edits)
    assert "SECRET" not in repr(edits)
