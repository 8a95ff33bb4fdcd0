# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access file and the roles."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from maglica.client_worker import access
from maglica.client_worker.access import ALLOWED, ANYBODY, AccessFile, Caller, parse
from maglica.model.errors import ConfigInvalid
from maglica.model.request import Role
from zmq.utils import z85

PATH = Path("/etc/maglica/access")
PUBLIC = bytes(range(32))
KEY = z85.encode(PUBLIC).decode()
OTHER = z85.encode(PUBLIC[::-1]).decode()


def test_a_file_with_all_roles() -> None:
    text = f"# who\n\nclient admin {KEY}\n  host\tkvm0.example.jp   {OTHER}\n"
    table = parse(text, PATH)
    assert table.peers == {
        KEY: Caller("admin", Role.CLIENT, KEY),
        OTHER: Caller("kvm0.example.jp", Role.HOST, OTHER),
    }
    assert table.hosts == {"kvm0.example.jp"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("client admin", "2 words instead of ROLE NAME KEY"),
        (f"client admin {KEY} # mine", "5 words instead of ROLE NAME KEY"),
        (f"root admin {KEY}", "'root' is not a role: use one of client, observer, host"),
        ("client admin short", "not a key of 40 Z85 characters"),
        (f"client admin {KEY[:-1]}~", "not a key of 40 Z85 characters"),
        (f"host ../kvm0 {KEY}", "'../kvm0' is not a valid name"),
        (f"observer eye {OTHER}", "the key of host kvm0 stands here again"),
        (f"# host kvm0 {KEY}\nclient admin {KEY}\nhost kvm0", "2 words"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, text: str) -> None:
    number = 2 + line.count("\n")
    with pytest.raises(ConfigInvalid) as caught:
        parse(f"host kvm0 {OTHER}\n{line}\n", PATH)
    assert str(caught.value).startswith(f"{PATH}:{number}: {text}")


@pytest.mark.parametrize("role", Role)
def test_a_role_may_only_what_stands_there(role: Role) -> None:
    peer = Caller("kvm0", role, KEY)
    every = {kind for kinds in ALLOWED.values() for kind in kinds}
    assert {kind for kind in every | {"shutdown"} if peer.may(kind)} == ALLOWED[role]
    assert peer.is_host("kvm0") == (role is Role.HOST)
    assert not peer.is_host("kvm1")


def test_anybody_may_everything() -> None:
    assert ANYBODY.may("submit")
    assert ANYBODY.is_host("kvm0")


@pytest.fixture
def file(tmp_path: Path) -> AccessFile:
    path = tmp_path / "access"
    path.write_text(f"client admin {KEY}\n")
    path.chmod(0o640)
    found = AccessFile(path)
    found.load()
    return found


def test_it_is_read_again_when_it_changes(file: AccessFile) -> None:
    assert not file.refresh()
    file.path.write_text(f"client admin {OTHER}\n")
    assert file.refresh()
    assert list(file.table.peers) == [OTHER]
    assert not file.refresh()


def test_a_change_without_a_new_time_stamp_or_size_is_seen(
    file: AccessFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It was read right after it was written, however long that takes here.
    monkeypatch.setattr(access, "_SETTLED_NS", 1 << 62)
    file.load()
    status = file.path.stat()
    file.path.write_text(f"client admin {OTHER}\n")
    os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.refresh()


def test_an_old_file_is_not_read_again(file: AccessFile, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(file.path, (1, 1))
    assert not file.refresh()
    monkeypatch.setattr(access, "parse", None)
    assert not file.refresh()


def test_a_bad_file_is_logged_once_and_the_table_stays(
    file: AccessFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.path.write_text("client admin\n")
    with caplog.at_level(logging.ERROR):
        assert not file.refresh()
        assert not file.refresh()
        file.path.unlink()
        assert not file.refresh()
        assert not file.refresh()
    assert list(file.table.peers) == [KEY]
    assert [record.message.split(":")[0] for record in caplog.records] == [
        str(file.path),
        f"cannot read {file.path}",
    ]
    file.path.write_text(f"client admin {OTHER}\n")
    assert file.refresh()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key is in it"),
        ("# the keys of this cloud\n\n", "no key is in it"),
        (f"client admin {KEY}\nhost kvm0 {OTHER}", "its last line has no end"),
        (f"client admin {KEY[:20]}", "its last line has no end"),
        (f"client admin {KEY}\nhost kv", "its last line has no end"),
        ("client", "its last line has no end"),
    ],
)
def test_a_file_that_is_being_written_takes_no_key_away(
    file: AccessFile, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    whole = f"client admin {KEY}\nhost kvm0 {OTHER}\n"
    file.path.write_text(whole)
    assert file.refresh()
    file.path.write_text(text)
    with caplog.at_level(logging.ERROR):
        assert not file.refresh()
        file.remind()
    assert [why in record.message for record in caplog.records] == [True, True]
    assert "the 2 keys in force stay as they were" in caplog.text
    assert file.table.peers.keys() == {KEY, OTHER}
    file.path.write_text(whole)
    assert not file.refresh()
    assert not file.complaint


def test_a_key_that_is_taken_out_is_gone_at_once(file: AccessFile) -> None:
    file.path.write_text(f"client admin {KEY}\nhost kvm0 {OTHER}\n")
    assert file.refresh()
    file.path.write_text(f"host kvm0 {OTHER}\n")
    assert file.refresh()
    assert file.table.peers.keys() == {OTHER}


def test_the_client_worker_may_start_without_a_key(tmp_path: Path) -> None:
    path = tmp_path / "access"
    path.touch(0o600)
    found = AccessFile(path)
    found.load()
    assert not found.table.peers
    path.write_text(f"client admin {KEY}\n")
    assert found.refresh()


@pytest.mark.parametrize("mode", [0o660, 0o646])
def test_a_file_that_others_may_write_is_refused(file: AccessFile, mode: int) -> None:
    file.path.chmod(mode)
    with pytest.raises(ConfigInvalid, match="others than its owner may write to it"):
        file.load()
