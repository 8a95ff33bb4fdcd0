# SPDX-FileCopyrightText: Maglica contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is put back of a backup, wherever that is cut off and however often it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from maglica.client_worker.backup import put_back

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
    journal = tmp_path / "journal.sqlite"
    for text in ("first", "second"):
        journal.write_text(text)
        kept = put_back._beside(journal)
        put_back._keep(journal)
        assert kept.read_text() == text
    assert {each.read_text() for each in tmp_path.iterdir()} == {"first", "second"}
