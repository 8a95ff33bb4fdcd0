# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an authority has said is put in its place, also while another play does the same."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.authority import SCRIPT, Authority, new_key, request

PLACE = SCRIPT.with_name("place.py")
ALICE = {"kind": "client", "name": "alice"}


class Owner:
    """A folder with a key, and with what an authority has said of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = folder / "clientkey.pem"
        self.key.write_text(new_key())

    def ask(self, authority: Authority, key: Path | None = None) -> dict[str, Any]:
        text = (key or self.key).read_text()
        held = {"held": self.held}
        return authority.do("issue", request=request(text), certificate=self.held, **ALICE) | held

    def put(self, said: dict[str, Any], mode: str = "make", key: Path | None = None) -> str:
        command = [sys.executable, "-Ic", PLACE.read_text(), self.folder, "client"]
        done = subprocess.run(
            [*command, key or self.key, mode],
            input=json.dumps(said),
            text=True,
            capture_output=True,
            check=False,
        )
        return done.stdout + done.stderr

    @property
    def held(self) -> str:
        file = self.folder / "clientcert.pem"
        return file.read_text() if file.exists() else ""

    @property
    def revoked(self) -> str:
        return (self.folder / "cacrl.pem").read_text()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def alice(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "alice")


def test_what_is_there_already_is_not_written_again(authority: Authority, alice: Owner) -> None:
    said = alice.ask(authority)
    assert alice.put(said, "check") == "changed"
    assert [file.name for file in alice.folder.iterdir()] == ["clientkey.pem"]
    assert alice.put(said) == "changed"
    assert (alice.held, alice.revoked) == (said["certificate"], said["revoked"])
    assert (alice.put(said), alice.put(said, "check")) == ("", "")
    assert (alice.folder / "cacert.pem").stat().st_mode & 0o777 == 0o644


def test_check_mode_needs_no_authority(authority: Authority, alice: Owner) -> None:
    """The one that signed what is there may be lost, or have been moved away."""
    alice.put(alice.ask(authority))
    authority.folder.rename(authority.folder.with_name("moved"))
    asked = {"request": request(alice.key.read_text()), "certificate": alice.held, **ALICE}
    said = authority.do("issue", "check", **asked) | {"held": alice.held}
    assert said["why"] == "there is no authority"
    assert alice.put(said, "check") == ""
    assert not authority.folder.exists()


def test_an_older_list_of_what_was_taken_back_takes_the_place_of_none(
    authority: Authority, alice: Owner, tmp_path: Path
) -> None:
    early = alice.ask(authority)
    for name in ("bob", "carol"):
        asked = {"kind": "client", "name": name}
        authority.do("issue", request=request(), certificate="", **asked)
        late = {**early, "revoked": authority.do("revoke", **asked)["revoked"]}
        alice.put(late)
        assert alice.put(early) == ""
        assert alice.revoked == late["revoked"]
    # Also where the authority is one of a backup, or has lost its count.
    (authority.folder / "crlnumber").unlink()
    (authority.folder / "cacrl.pem").unlink()
    later = alice.ask(authority)
    assert alice.put(later) == "changed"
    assert alice.revoked == later["revoked"]
    # One that was made anew counts anew.
    other = alice.ask(Authority(tmp_path / "other"))
    assert alice.put(other) == "changed"
    assert alice.revoked == other["revoked"]


def test_a_certificate_for_a_key_that_is_no_longer_there_is_left(
    authority: Authority, alice: Owner
) -> None:
    said = alice.ask(authority)
    alice.key.write_text(new_key())
    alice.put(said)
    assert (alice.held, alice.revoked) == ("", said["revoked"])


def test_what_another_play_had_signed_for_this_key_meanwhile_stays(
    authority: Authority, alice: Owner
) -> None:
    for _time in "first", "again":
        early = alice.ask(authority)
        certificate = authority.do(
            "issue", request=request(alice.key.read_text()), certificate="", **ALICE
        )["certificate"]
        alice.put({**early, "certificate": certificate})
        other = {
            **early,
            "certificate": authority.do(
                "issue", request=request(alice.key.read_text()), certificate="", **ALICE
            )["certificate"],
        }
        assert alice.put(other) == ""
        assert alice.held == certificate


def test_a_key_takes_the_other_s_place_together_with_its_certificate(
    authority: Authority, alice: Owner
) -> None:
    alice.put(alice.ask(authority))
    new = alice.folder / "clientkey.pem.new"
    new.write_text(new_key())
    said = alice.ask(authority, new)
    key = new.read_text()
    # Another play has begun to do the same.
    new.write_text(new_key())
    assert "Another play has made another" in alice.put(said, key=new)
    assert alice.held != said["certificate"]
    new.write_text(key)
    assert alice.put(said, key=new) == "changed"
    assert (alice.key.read_text(), alice.held) == (key, said["certificate"])
    assert not new.exists()


def test_a_key_that_a_cut_has_left_with_the_other_s_certificate_gets_its_own(
    authority: Authority, alice: Owner
) -> None:
    alice.put(alice.ask(authority))
    new = alice.folder / "clientkey.pem.new"
    new.write_text(new_key())
    alice.ask(authority, new)
    new.replace(alice.key)
    pair = (alice.folder / "clientcert.pem", alice.key)
    with pytest.raises(ssl.SSLError, match="mismatch"):
        ssl.create_default_context().load_cert_chain(*pair)
    assert alice.put(alice.ask(authority)) == "changed"
    ssl.create_default_context().load_cert_chain(*pair)
