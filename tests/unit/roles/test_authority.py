# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of a cloud: what it signs, for how long, and what it takes back."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.authority import LASTING, SCRIPT, Authority, openssl, request

KVM0 = {"kind": "host", "name": "kvm0.example.jp", "names": ["kvm0.example.jp", "fd00::1"]}
ALICE = {"kind": "client", "name": "alice+x@control"}


def entries(authority: Authority) -> list[list[str]]:
    lines = (authority.folder / "index.txt").read_text().splitlines()
    return [line.split("\t") for line in lines]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def test_what_it_says_is_what_the_play_says_and_not_what_the_request_says(
    authority: Authority,
) -> None:
    made = authority.do("issue", request=request(), certificate="", **KVM0)
    shown = openssl("x509", "-noout", "-text", text=made["certificate"])
    assert "OU = host, name = kvm0.example.jp" in shown
    assert "Extended Key Usage: critical\n                TLS Web Server Auth" in shown
    assert "  IP Address:FD00:0:0:0:0:0:0:1, DNS:kvm0.example.jp\n" in shown
    assert made["hosts"] == ["kvm0.example.jp"]
    user = authority.do("issue", request=request(), certificate="", **ALICE)
    shown = openssl("x509", "-noout", "-text", text=user["certificate"])
    assert "Extended Key Usage: critical\n                TLS Web Client Auth" in shown
    assert "everybody" not in shown
    assert user["hosts"] == ["kvm0.example.jp"]
    assert {path.stat().st_mode & 0o077 for path in authority.folder.iterdir()} == {0}
    assert authority.is_good(made["certificate"])


def test_an_authority_of_somebody_else_s_is_not_used(authority: Authority) -> None:
    authority.folder.mkdir()
    for name in ("cakey.pem", "cacert.pem", "index.txt"):
        (authority.folder / name).write_text("theirs")
    for verb in ("prepare", "issue", "revoke"):
        with pytest.raises(AssertionError, match="is somebody's: set certificates_ca_dir"):
            authority.do(verb, request=request(), certificate="", **KVM0)
    assert len(list(authority.folder.iterdir())) == 3


def test_another_certificate_is_made_only_where_one_is_needed(authority: Authority) -> None:
    key = request()
    first = authority.do("issue", request=key, certificate="", **KVM0)["certificate"]

    def again(**asked: Any) -> tuple[str, bool]:
        given = {**KVM0, "request": key, "certificate": first, **asked}
        would = authority.do("issue", "check", **given)
        assert would["certificate"] == given["certificate"]
        made = authority.do("issue", **given)
        assert (would["changed"], would["why"]) == (made["changed"], made["why"])
        assert made["changed"] == (made["certificate"] != first)
        return made["why"], authority.is_good(first)

    assert again() == (None, True)
    assert again(names=["fd00:0::1", "kvm0.example.jp", "not a name"]) == (None, True)
    assert again(names=["kvm0"]) == ("the names have changed", True)
    assert again(renew_days=366)[0].startswith("it ends in 36")
    foreign = Authority(authority.folder.parent / "other").do(
        "issue", request=key, certificate="", **KVM0
    )
    assert "not one that this authority gave" in again(certificate=foreign["certificate"])[0]
    assert again(request=request()) == ("it is for another key", True)


def test_what_was_replaced_is_taken_back_once_its_successor_is_in_place(
    authority: Authority,
) -> None:
    key, held = request(), [""]

    def replaces(**asked: Any) -> bool:
        given = {**KVM0, "request": key, "certificate": held[-1], **asked}
        made = authority.do("issue", **given)
        held.append(made["certificate"])
        return bool(made["replaced"])

    def good() -> list[bool]:
        return [authority.is_good(each) for each in held[1:]]

    assert not replaces()
    # One that only lasts longer has replaced nothing.
    assert not replaces(renew_days=366)
    assert replaces(names=["kvm0"])
    assert replaces(names=["kvm0"], request=request())
    assert good() == [True] * 4
    assert not authority.do("revoke", before="", **KVM0)["changed"]
    # The newest may be on its way still.
    assert authority.do("revoke", "check", before=held[3], **KVM0)["changed"]
    assert authority.do("revoke", before=held[3], **KVM0)["changed"]
    assert good() == [False, False, True, True]
    assert authority.do("revoke", before=held[4], **KVM0)["changed"]
    assert good() == [False, False, False, True]
    assert not authority.do("revoke", before=held[4], **KVM0)["changed"]


def test_what_openssl_says_of_a_request_is_not_taken_for_its_key(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL 3.5 of Debian 13 tells that on stdout, where 3.0 of Debian 12 did on stderr."""
    later = tmp_path / "openssl"
    later.write_text(
        f'#!/bin/sh\n{shutil.which("openssl")} "$@" || exit\n'
        'case "$*" in *-verify*) echo Certificate request self-signature verify OK;; esac\n'
    )
    later.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    key = request()
    made = authority.do("issue", request=key, certificate="", **ALICE)["certificate"]
    assert authority.is_good(made)
    again = authority.do("issue", request=key, certificate=made, **ALICE)
    assert not again["changed"], again["why"]


def test_what_was_taken_back_is_so_for_all_keys_and_others_stay(authority: Authority) -> None:
    key = request()
    held = [
        authority.do("issue", request=key, certificate="", **ALICE)["certificate"] for _time in "ab"
    ]
    host = authority.do("issue", request=request(), certificate="", **KVM0)["certificate"]
    assert authority.do("revoke", "check", **ALICE)["changed"]
    assert [authority.is_good(each) for each in [*held, host]] == [True] * 3
    assert authority.do("revoke", **ALICE)["changed"]
    assert [authority.is_good(each) for each in [*held, host]] == [False, False, True]
    assert not authority.do("revoke", **ALICE)["changed"]
    # Cut off before it was listed.
    (authority.folder / "cacrl.pem").unlink()
    assert authority.do("prepare")["changed"]
    assert [authority.is_good(each) for each in [*held, host]] == [False, False, True]


def test_what_was_cut_off_is_finished_and_what_is_lost_is_told(authority: Authority) -> None:
    assert not authority.do("revoke", **ALICE)["changed"]
    assert authority.do("prepare", "check")["changed"]
    assert not authority.folder.exists()
    assert authority.do("prepare")["changed"]
    assert not authority.do("prepare")["changed"]
    folder = authority.folder
    (folder / "index.txt").rename(folder / "index.txt.new")
    assert not authority.do("prepare")["changed"]
    (folder / "cacert.pem").unlink()
    key = (folder / "cakey.pem").read_text()
    assert authority.do("prepare")["changed"]
    assert (folder / "cakey.pem").read_text() == key
    (folder / "cakey.pem").unlink()
    lost = authority.try_to("issue", request=request(), certificate="", **KVM0)
    assert "cakey.pem is lost. Restore it from a backup" in lost.stderr


@pytest.mark.parametrize("kept", [0, 1])
def test_an_index_that_lacks_what_was_taken_back_makes_nothing_good_again(
    authority: Authority, kept: int
) -> None:
    """It was emptied by a power cut, or is of a backup from before something was taken back."""
    key = request()
    authority.do("issue", request=key, certificate="", **ALICE)
    index = authority.folder / "index.txt"
    old = index.read_text()
    listed = authority.do("revoke", **ALICE)["revoked"]
    whole = index.read_text()
    index.write_text(old * kept)
    for verb, *mode in ("issue", "check"), ("issue",), ("revoke",), ("prepare",):
        told = authority.try_to(verb, *mode, request=key, certificate="", **ALICE)
        assert told.returncode == 1
        assert f"{index} does not say of all that cacrl.pem lists" in told.stderr
    assert (authority.folder / "cacrl.pem").read_text() == listed
    index.write_text(whole)
    assert authority.do("prepare")["changed"] is False


def test_an_index_that_was_emptied_is_told_also_where_nothing_was_taken_back(
    authority: Authority,
) -> None:
    """What it had could be taken back by nobody."""
    for _each in range(2):
        authority.do("issue", request=request(), certificate="", **ALICE)
    index = authority.folder / "index.txt"
    index.write_text("")
    for verb in ("issue", "revoke"):
        told = authority.try_to(verb, request=request(), certificate="", **ALICE)
        assert f"{index} has not all that index.txt.old has" in told.stderr
    index.write_text((authority.folder / "index.txt.old").read_text())
    assert authority.do("revoke", **ALICE)["changed"]


def test_where_only_its_certificate_is_lost_another_authority_begins(authority: Authority) -> None:
    authority.do("issue", request=request(), certificate="", **ALICE)
    authority.do("revoke", **ALICE)
    (authority.folder / "cacert.pem").unlink()
    made = authority.do("issue", request=request(), certificate="", **ALICE)["certificate"]
    assert authority.is_good(made)


def test_what_the_authority_knows_outlasts_a_power_cut(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file was on the disk before it took the place of the one before."""
    program = runpy.run_path(str(SCRIPT))
    safe: set[str] = set()
    fsync = os.fsync

    def watched(file: int) -> None:
        fsync(file)
        path = Path(f"/proc/self/fd/{file}").readlink()
        safe.add(path.read_text() if path.is_file() else str(path))

    authority.do("prepare")
    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.chdir(authority.folder)
    asked = {**LASTING, "request": request(), "certificate": "", **ALICE}
    asked["subject"] = program["subject"](asked["kind"], asked["name"])
    _changed, _why, made = program["act"]("issue", asked, check=False)
    assert {made, Path("index.txt").read_text(), str(authority.folder / "issued")} <= safe
    program["act"]("revoke", {**asked, "before": None}, check=False)
    kept = {Path(name).read_text() for name in ("index.txt", "cacrl.pem")}
    assert {*kept, str(authority.folder)} <= safe


def test_nothing_is_signed_for_a_key_that_was_taken_back(authority: Authority) -> None:
    key, other = request(), request()
    asked = {"request": key, "certificate": "", **KVM0}
    old = authority.do("issue", **asked)["certificate"]
    asked["names"] = ["kvm0"]
    held = authority.do("issue", **{**asked, "certificate": old})["certificate"]
    authority.do("revoke", before=held, **KVM0)
    # The names were taken back, and not the key.
    assert authority.do("issue", **asked)["certificate"]
    authority.do("revoke", **KVM0)
    for mode in ([], ["check"]):
        refused = authority.try_to("issue", *mode, **asked)
        assert refused.returncode == 1
        assert "The key of kvm0.example.jp was taken back" in refused.stderr
        said = authority.do("issue", *mode, new_key=True, **asked)
        assert (said["certificate"], said["changed"]) == ("", True)
        # Whoever asks.
        stolen = authority.try_to("issue", *mode, request=key, certificate="", **ALICE)
        assert "was taken back" in stolen.stderr
    assert authority.do("issue", **{**asked, "request": other})["certificate"]


def test_what_can_t_be_signed_is_refused(authority: Authority) -> None:
    def refused(**asked: Any) -> str:
        done = authority.try_to("issue", certificate="", **{"request": key, **asked})
        assert done.returncode == 1
        return done.stderr

    key = request()
    assert "can't be the name" in refused(kind="client", name="a/CN=b")
    assert "can't be the name" in refused(kind="host\n", name="a")
    assert "neither a name nor an address" in refused(kind="host", name="a", names=["a,DNS:b"])
    assert "openssl req -noout failed" in refused(**{**KVM0, "request": "nonsense"})
    ending = refused(**{**KVM0, "request": key, "renew_days": 3651})
    assert "The authority itself ends in 36" in ending


def test_a_key_that_was_taken_back_stays_so_where_the_file_of_its_certificate_is_lost(
    authority: Authority,
) -> None:
    key, other = request(), request()
    asked: dict[str, Any] = {**ALICE, "certificate": "", "new_key": True}
    held = authority.do("issue", **{**asked, "request": other, "name": "bob"})["certificate"]
    authority.do("issue", **{**asked, "request": key})
    authority.do("revoke", **ALICE)
    (authority.folder / "issued" / f"{entries(authority)[1][3]}.pem").unlink()
    for whose in (ALICE, {"name": "carol"}):
        for mode in (("check",), ()):
            assert not authority.do("issue", *mode, **{**asked, "request": key, **whose})[
                "certificate"
            ]
    made = authority.do("issue", **{**asked, "request": request(), "new_key": False})
    assert authority.is_good(made["certificate"])
    # Of one with another certificate that is good it is known that it was another.
    given = {**asked, "request": other, "name": "bob", "certificate": held, "renew_days": 366}
    made = authority.do("issue", **given)
    assert authority.is_good(made["certificate"])
    assert made["certificate"] != held


def test_a_certificate_whose_file_is_lost_keeps_nobody_from_anything(authority: Authority) -> None:
    lost = authority.do("issue", request=request(), certificate="", **ALICE)["certificate"]
    for file in (authority.folder / "issued").iterdir():
        file.unlink()
    key = request()
    made = authority.do("issue", request=key, certificate="", **ALICE)["certificate"]
    assert authority.do("revoke", before=made, **ALICE)["changed"]
    assert [authority.is_good(each) for each in (lost, made)] == [False, True]
    for file in (authority.folder / "issued").iterdir():
        file.unlink()
    assert authority.do("revoke", **ALICE)["changed"]
    assert [authority.is_good(each) for each in (lost, made)] == [False, False]
    assert not authority.do("revoke", **ALICE)["changed"]
