# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put back of a backup, wherever that is cut off and however often it is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker import access
from maglica.client_worker.backup import journal_copy, put_back

from ..conftest import Cell
from .conftest import Machine

FILES = ("cacert.pem", "cakey.pem", "index.txt", "issued/01.pem")


@pytest.mark.parametrize("count", range(len(FILES)))
def test_half_an_authority_is_never_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    source, target = tmp_path / "backup", tmp_path / "etc" / "ca"
    (source / "issued").mkdir(parents=True)
    for name in FILES:
        (source / name).write_text(name)
    install, done = put_back._install, []

    def cut(*arguments: Any) -> None:
        if len(done) == count:
            raise OSError(28, "No space left on device")
        done.append(install(*arguments))

    target.mkdir(parents=True)
    with monkeypatch.context() as short:
        short.setattr(put_back, "_install", cut)
        with pytest.raises(OSError, match="space"):
            put_back._copy_tree(source, target)
    # Else the next run would take it for somebody's own, and leave it.
    assert not put_back._has_files(target)
    put_back._copy_tree(source, target)
    assert {str(each.relative_to(target)) for each in target.rglob("*.*")} == set(FILES)
    assert [each.name for each in target.parent.iterdir()] == ["ca"]


def test_no_journal_that_was_kept_is_overwritten_by_the_next(tmp_path: Path) -> None:
    journal, draft = tmp_path / "journal.sqlite", tmp_path / "draft"
    for text in ("first", "second"):
        journal.write_text(text)
        draft.write_text("backup")
        kept = put_back._beside(journal)
        put_back._replace(journal, draft, is_used=True)
        assert (kept.read_text(), journal.read_text()) == (text, "backup")
    assert {each.read_text() for each in tmp_path.iterdir()} == {"first", "second", "backup"}


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("log", [None, "log"])
def test_a_journal_is_there_wherever_it_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, log: str | None
) -> None:
    """One that can't be read, which is kept with its log."""
    journal, draft = tmp_path / "journal.sqlite", tmp_path / "draft"
    journal.write_text("there")
    draft.write_text("backup")
    if log:
        (tmp_path / "journal.sqlite-wal").write_text(log)
    done: list[str] = []

    def cutting(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def cut(*arguments: Any, **options: Any) -> Any:
            if len(done) == count:
                raise OSError(5, "Input/output error")
            done.append(name)
            return act(*arguments, **options)

        return cut

    with monkeypatch.context() as cuts:
        cuts.setattr(os, "link", cutting("link", os.link))
        cuts.setattr(Path, "replace", cutting("replace", Path.replace))
        with suppress(OSError):
            put_back._replace(journal, draft, is_used=True)
    assert journal.read_text() in ("there", "backup")
    if draft.exists():
        put_back._replace(journal, draft, is_used=True)
    left = {each.name: each.read_text() for each in tmp_path.iterdir()}
    kept = {"journal.sqlite.replaced-wal": log} if log else {}
    assert left == {"journal.sqlite": "backup", "journal.sqlite.replaced": "there", **kept}


def test_the_folder_of_the_journal_is_touched_as_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = ["root"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("setgroups", "setegid"):
        monkeypatch.setattr(os, name, lambda _which: None)
    monkeypatch.setattr(os, "seteuid", lambda which: now.append("root" if which == 0 else "owner"))
    status = os.stat_result((0o40700, 0, 0, 1, 4711, 4711, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda _path, **_options: status)
    with journal_copy.as_owner(tmp_path / "journal.sqlite"):
        assert now[-1] == "owner"
    assert now == ["root", "owner", "root"]


def test_what_one_that_was_killed_has_left_of_secrets_goes_with_the_next(
    backup: Path, cell: Cell, other: Machine, machine: Machine
) -> None:
    """Also where that one puts back nothing."""
    cell.journal.close()
    for there in (other, machine):
        (there.folder / ".client_worker.key.part").write_text("secret")
        (there.folder / ".pki.part").mkdir()
        (there.folder / ".pki.part" / "cakey.pem").write_text("secret")
    (machine.folder / "client_worker.pub").write_text("other")
    assert other.restore(backup) == 0
    assert machine.restore(backup) == 1
    for there in (other, machine):
        assert not [name for name in there.files() if ".part" in name]


def test_a_key_whose_line_has_no_end_keeps_nobody_out(
    cell: Cell, other: Machine, machine: Machine, tmp_path: Path
) -> None:
    (machine.folder / "access.d" / "by hand").write_text(f"observer alice {'a' * 40}")
    assert machine.make(tmp_path / "one.tar.gz") == 0
    assert other.restore(tmp_path / "one.tar.gz") == 0
    file = other.folder / "access"
    named = {str(caller) for caller in access.parse(file.read_text(), file).peers.values()}
    assert named == {"observer alice", "host kvm0"}
